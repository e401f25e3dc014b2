// What has to be known of a program to find its libraries and symbols in memory.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "stub/base/memory_reader.h"
#include "stub/inspect/libraries_svr4.h"
#include "stub/kernel/proc_fs.h"

namespace stub {

// What a ProgramImage refers to.
struct ProgramFacts {
  std::vector<std::byte> auxv;
  std::size_t word_size = 8;

  ProgramImage image(MemoryReader& memory) const { return {memory, auxv, word_size}; }
};

inline Result<ProgramFacts> program_facts(Pid pid) {
  auto auxv = proc_fs::auxv(pid);
  if (!auxv) return tl::unexpected(auxv.error());
  const auto word_size = proc_fs::word_size(pid);
  if (!word_size) return tl::unexpected(word_size.error());
  return ProgramFacts{std::move(*auxv), *word_size};
}

}  // namespace stub
