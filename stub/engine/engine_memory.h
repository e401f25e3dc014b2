// The memory of one inferior, in the form that services ask for.
#pragma once

#include "stub/base/memory_reader.h"
#include "stub/engine/engine.h"

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

}  // namespace stub
