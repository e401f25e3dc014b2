// The inferior's memory and program, in the form that services ask for.
#pragma once

#include <vector>

#include "stub/engine.h"
#include "stub/libraries_svr4.h"
#include "stub/memory_reader.h"
#include "stub/proc_fs.h"

namespace stub {

class EngineMemory : public MemoryReader {
 public:
  EngineMemory(Engine& engine, Pid pid) : engine_(engine), pid_(pid) {}
  std::size_t read(Address from, std::span<std::byte> to) override {
    return engine_.read_memory(pid_, from, to);
  }

 private:
  Engine& engine_;
  Pid pid_;
};

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
