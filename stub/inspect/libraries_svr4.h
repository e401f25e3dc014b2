// The shared libraries of a program, from the link map its dynamic linker keeps: the document of
// qXfer:libraries-svr4:read (GDB manual, "Library List Format for SVR4 Targets") and
// qShlibInfoAddr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "stub/base/memory_reader.h"
#include "stub/base/types.h"
#include "stub/base/work.h"

namespace stub {

// A program as far as it is needed to find its link map.
struct ProgramImage {
  MemoryReader& memory;
  std::span<const std::byte> auxv;  // as the kernel saved it (proc_fs::auxv)
  std::size_t word_size = 8;        // 4 or 8 bytes (proc_fs::word_size)
};

// The annex: `start=ADDR;prev=ADDR;lmid=ADDR`, hex without 0x, all optional, any order; unknown
// keys are passed over. With a start, the list begins at that link map, whose l_prev has to be
// `prev`, and is the one of a single namespace, reported under `lmid`.
struct LibrariesAnnex {
  std::uint64_t start = 0;
  std::uint64_t prev = 0;
  std::uint64_t lmid = 0;
};
Result<LibrariesAnnex> parse_libraries_annex(std::string_view annex);

// LLDB takes `main-lm` for a reason to leave the program itself out of its list of modules.
enum class MainLinkMap { named, left_out };

// Where the dynamic linker stores the address of its r_debug: the value of the program's DT_DEBUG
// entry (System V ABI, "Dynamic Section"). An error for a program without one (static).
Result<Address> shlib_info_address(const ProgramImage& program);

// The whole document. Before the dynamic linker has run the list is empty; a program without
// DT_DEBUG is an error. Whatever the program's memory holds, the document is of bounded size and
// well-formed. It is read in one piece unless the libraries are more than a thousand, since a
// program that runs may change its list. What `program` refers to must outlive the work.
Work<Result<std::string>> libraries_svr4(ProgramImage program, LibrariesAnnex annex,
                                         MainLinkMap main_link_map = MainLinkMap::named);

}  // namespace stub
