// Looking up symbols of a running program in its own memory, the way its dynamic linker does.
//
// libthread_db asks for a few symbols of the C library. The protocol would let the client answer
// (qSymbol), but that makes the stub depend on a client that has the symbols, loaded them already
// and speaks that packet; those wanted are all in the dynamic symbol tables, which even a stripped
// library keeps and which are mapped.
#pragma once

#include <optional>
#include <string_view>

#include "stub/base/types.h"
#include "stub/inspect/libraries_svr4.h"

namespace stub {

// The address of the first dynamic symbol of that name along the link map (default namespace). Only
// for 64-bit programs; nothing for static ones.
std::optional<Address> find_dynamic_symbol(const ProgramImage& program, std::string_view name);

// The address of the main program's link map, nothing before the dynamic linker has published it.
std::optional<Address> main_link_map(const ProgramImage& program);

}  // namespace stub
