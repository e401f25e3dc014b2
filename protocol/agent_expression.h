// Agent expressions: the bytecode in which gdb sends conditions and commands of breakpoints (GDB
// manual, appendix "The GDB Agent Expression Mechanism").
//
// A condition is evaluated at every hit, millions of times, and comes from outside. Interpreting
// the bytes as they came makes both worse: each hit would decode operands, check the stack at every
// step and meet a bad opcode only when it gets there, with a thread waiting. Compiling to machine
// code is faster still, but a hit costs two thousand times an interpreted instruction. So the
// bytecode is verified once, when it arrives: every opcode known and complete, every jump to an
// instruction, the height of the stack at each instruction the same by every path and within
// bounds, no path past the end. What remains is an array of decoded instructions that runs without
// checks, parsing or allocation; only division, memory, registers and endless loops can still fail.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/agent_environment.h"
#include "protocol/agent_printf.h"
#include "protocol/error.h"

namespace rsp {

enum class AgentOpcode : std::uint8_t;

// What an expression is for: a condition must leave a value, commands need not.
enum class AgentUse : std::uint8_t { condition, commands };

inline constexpr std::size_t agent_stack_size = 128;      // values
inline constexpr std::size_t agent_step_limit = 100'000;  // instructions of one evaluation
inline constexpr std::size_t printed_in_a_step = 64;      // bytes that printf may print for one

class AgentExpression {
 public:
  // Errors: malformed (not well-formed bytecode), unsupported (floating point, invalid opcodes,
  // formats this printf does not have), refused (deeper than agent_stack_size).
  static Result<AgentExpression> verify(std::span<const std::uint8_t> bytecode, AgentUse use);

  // The value on top of the stack at the end, 0 if the stack is empty then. Errors: bad_address
  // (memory that cannot be read), refused (division by zero, step limit), or those of
  // `environment.registers`. Output up to an error has been made.
  Result<std::uint64_t> evaluate(const AgentEnvironment& environment) const;

  // Numbers of the registers it may read, ascending.
  std::span<const std::uint16_t> registers_used() const { return registers_; }
  // Bytes that it occupies, many times those of the bytecode.
  std::size_t memory_size() const;

 private:
  struct Instruction {
    AgentOpcode opcode;
    std::uint16_t operand = 0;  // register, variable, depth, size; an index for jumps and printf
    std::uint64_t constant = 0;
  };
  class Verifier;

  std::vector<Instruction> instructions_;
  std::vector<AgentFormat> formats_;
  std::vector<std::uint16_t> registers_;
};

}  // namespace rsp
