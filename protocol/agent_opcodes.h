// The opcodes of agent expressions as a table (GDB manual, "Bytecode Descriptions").
#pragma once

#include <cstdint>
#include <string_view>

namespace rsp {

enum class AgentOpcode : std::uint8_t {
  float_prefix = 0x01,
  add = 0x02,
  sub = 0x03,
  mul = 0x04,
  div_signed = 0x05,
  div_unsigned = 0x06,
  rem_signed = 0x07,
  rem_unsigned = 0x08,
  lsh = 0x09,
  rsh_signed = 0x0a,
  rsh_unsigned = 0x0b,
  trace = 0x0c,
  trace_quick = 0x0d,
  log_not = 0x0e,
  bit_and = 0x0f,
  bit_or = 0x10,
  bit_xor = 0x11,
  bit_not = 0x12,
  equal = 0x13,
  less_signed = 0x14,
  less_unsigned = 0x15,
  ext = 0x16,
  ref8 = 0x17,
  ref16 = 0x18,
  ref32 = 0x19,
  ref64 = 0x1a,
  ref_float = 0x1b,
  ref_double = 0x1c,
  ref_long_double = 0x1d,
  l_to_d = 0x1e,
  d_to_l = 0x1f,
  if_goto = 0x20,
  goto_ = 0x21,
  const8 = 0x22,
  const16 = 0x23,
  const32 = 0x24,
  const64 = 0x25,
  reg = 0x26,
  end = 0x27,
  dup = 0x28,
  pop = 0x29,
  zero_ext = 0x2a,
  swap = 0x2b,
  getv = 0x2c,
  setv = 0x2d,
  tracev = 0x2e,
  tracenz = 0x2f,
  trace16 = 0x30,
  pick = 0x32,
  rot = 0x33,
  printf = 0x34,
};

struct AgentOpcodeRow {
  AgentOpcode opcode;
  std::string_view name;
  std::uint8_t operand_bytes;  // big-endian, directly behind the opcode
  std::uint8_t pops;           // values needed on the stack; they are removed
  std::uint8_t pushes;
  bool supported = true;
};

// printf (operand: argument count) is followed by a 16-bit length and that many bytes of format,
// and pops its arguments besides function and channel. pick needs as deep a stack as its operand
// says. tracev leaves the stack alone, as gdb's compiler and gdbserver have it; the manual's
// summary line shows a value pushed.
inline constexpr AgentOpcodeRow agent_opcodes[] = {
    {AgentOpcode::float_prefix, "float", 0, 0, 0, false},
    {AgentOpcode::add, "add", 0, 2, 1},
    {AgentOpcode::sub, "sub", 0, 2, 1},
    {AgentOpcode::mul, "mul", 0, 2, 1},
    {AgentOpcode::div_signed, "div_signed", 0, 2, 1},
    {AgentOpcode::div_unsigned, "div_unsigned", 0, 2, 1},
    {AgentOpcode::rem_signed, "rem_signed", 0, 2, 1},
    {AgentOpcode::rem_unsigned, "rem_unsigned", 0, 2, 1},
    {AgentOpcode::lsh, "lsh", 0, 2, 1},
    {AgentOpcode::rsh_signed, "rsh_signed", 0, 2, 1},
    {AgentOpcode::rsh_unsigned, "rsh_unsigned", 0, 2, 1},
    {AgentOpcode::trace, "trace", 0, 2, 0},
    {AgentOpcode::trace_quick, "trace_quick", 1, 1, 1},
    {AgentOpcode::log_not, "log_not", 0, 1, 1},
    {AgentOpcode::bit_and, "bit_and", 0, 2, 1},
    {AgentOpcode::bit_or, "bit_or", 0, 2, 1},
    {AgentOpcode::bit_xor, "bit_xor", 0, 2, 1},
    {AgentOpcode::bit_not, "bit_not", 0, 1, 1},
    {AgentOpcode::equal, "equal", 0, 2, 1},
    {AgentOpcode::less_signed, "less_signed", 0, 2, 1},
    {AgentOpcode::less_unsigned, "less_unsigned", 0, 2, 1},
    {AgentOpcode::ext, "ext", 1, 1, 1},
    {AgentOpcode::ref8, "ref8", 0, 1, 1},
    {AgentOpcode::ref16, "ref16", 0, 1, 1},
    {AgentOpcode::ref32, "ref32", 0, 1, 1},
    {AgentOpcode::ref64, "ref64", 0, 1, 1},
    {AgentOpcode::ref_float, "ref_float", 0, 1, 1, false},
    {AgentOpcode::ref_double, "ref_double", 0, 1, 1, false},
    {AgentOpcode::ref_long_double, "ref_long_double", 0, 1, 1, false},
    {AgentOpcode::l_to_d, "l_to_d", 0, 1, 1, false},
    {AgentOpcode::d_to_l, "d_to_l", 0, 1, 1, false},
    {AgentOpcode::if_goto, "if_goto", 2, 1, 0},
    {AgentOpcode::goto_, "goto", 2, 0, 0},
    {AgentOpcode::const8, "const8", 1, 0, 1},
    {AgentOpcode::const16, "const16", 2, 0, 1},
    {AgentOpcode::const32, "const32", 4, 0, 1},
    {AgentOpcode::const64, "const64", 8, 0, 1},
    {AgentOpcode::reg, "reg", 2, 0, 1},
    {AgentOpcode::end, "end", 0, 0, 0},
    {AgentOpcode::dup, "dup", 0, 1, 2},
    {AgentOpcode::pop, "pop", 0, 1, 0},
    {AgentOpcode::zero_ext, "zero_ext", 1, 1, 1},
    {AgentOpcode::swap, "swap", 0, 2, 2},
    {AgentOpcode::getv, "getv", 2, 0, 1},
    {AgentOpcode::setv, "setv", 2, 1, 1},
    {AgentOpcode::tracev, "tracev", 2, 0, 0},
    {AgentOpcode::tracenz, "tracenz", 0, 2, 0},
    {AgentOpcode::trace16, "trace16", 2, 1, 1},
    {AgentOpcode::pick, "pick", 1, 0, 1},
    {AgentOpcode::rot, "rot", 0, 3, 3},
    {AgentOpcode::printf, "printf", 1, 2, 0},
};

}  // namespace rsp
