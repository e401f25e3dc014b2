// Register sets as text: target.xml for gdb, the same for LLDB, and LLDB's qRegisterInfo rows.
#pragma once

#include <span>
#include <string>

#include "arch/address.h"
#include "arch/register_table.h"

namespace x86 {

// The document gdbserver sends for this set, byte for byte (GDB manual, "Target Descriptions").
std::string gdb_target_description(Mode mode, std::span<const Register> registers);

// The document gdbserver sends to a client that does not offer to read registers from it: the
// architecture and the ABI, byte for byte.
std::string bare_target_description(Mode mode);

// The same registers and numbers with the attributes LLDB reads besides (encoding, format, generic,
// dwarf_regnum, ehframe_regnum, group for all); LLDB puts xmm and ymmh together by itself.
std::string lldb_target_description(Mode mode, std::span<const Register> registers);

// The reply to qRegisterInfo<n> for a register, for an LLDB that did not take the document
// ("lldb gdb remote extensions", qRegisterInfo).
std::string lldb_register_info(Mode mode, const Register& reg);

}  // namespace x86
