// What an agent expression may look at and change: the small interfaces through which the bytecode
// of the protocol meets whoever has registers and memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/error.h"

namespace rsp {

class AgentRegisters {
 public:
  virtual ~AgentRegisters() = default;
  // A register by its number in the target description, zero-extended to 64 bits.
  virtual Result<std::uint64_t> read(unsigned number) = 0;
};

class AgentMemory {
 public:
  virtual ~AgentMemory() = default;
  // All of `to`, or false.
  virtual bool read(std::uint64_t address, std::span<std::byte> to) = 0;
};

// Trace state variables, shared by all expressions. One that was never set is 0.
class AgentVariables {
 public:
  virtual ~AgentVariables() = default;
  virtual std::int64_t get(unsigned number) = 0;
  virtual void set(unsigned number, std::int64_t value) = 0;
};

// Where results other than the value go. Collecting is for tracepoints: in a breakpoint's condition
// or commands there is no trace frame, and the collecting opcodes have no effect.
class AgentOutput {
 public:
  virtual ~AgentOutput() = default;
  virtual void print(std::string_view text) = 0;
  virtual void collect_memory(std::uint64_t /*address*/, std::uint64_t /*size*/) {}
  // Up to and with the string's NUL, `limit` bytes at most.
  virtual void collect_string(std::uint64_t /*address*/, std::uint64_t /*limit*/) {}
  virtual void collect_variable(unsigned /*number*/) {}
};

struct AgentEnvironment {
  AgentRegisters& registers;
  AgentMemory& memory;
  AgentVariables& variables;
  AgentOutput& output;
};

}  // namespace rsp
