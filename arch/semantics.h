// Small facts about the processor that emulate, relocate and canonical share.
#pragma once

#include <cstdint>
#include <optional>

#include "arch/address.h"
#include "arch/instruction.h"
#include "arch/registers.h"
#include "arch/step_plan.h"

namespace x86 {

inline constexpr std::uint64_t low32 = 0xffff'ffff;

// A general register by its hardware number (0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, ... 15 r15).
std::uint64_t& general_register(GeneralRegisters& regs, std::uint8_t number);

// Bytes moved by push, call and ret without prefixes.
constexpr std::uint8_t word_size(Mode mode) { return mode == Mode::amd64 ? 8 : 4; }

// An address or word as the mode's instructions see it.
constexpr std::uint64_t truncated(std::uint64_t value, Mode mode) {
  return mode == Mode::amd64 ? value : value & low32;
}

// Whether a branch to this address raises no #GP at the branch itself. Judged by 48 bits, what
// every processor accepts.
constexpr bool is_canonical(Address address) {
  const auto high = static_cast<std::int64_t>(address.value()) >> 47;
  return high == 0 || high == -1;
}

// Whether `to` is within a signed 32-bit displacement of `from`.
constexpr bool in_reach(Address from, Address to) {
  const std::int64_t distance = to - from;
  return distance == static_cast<std::int32_t>(distance);
}

// `condition` is the low four bits of a jcc, setcc or cmovcc opcode (SDM vol. 1, appendix B).
bool condition_holds(std::uint8_t condition, std::uint64_t eflags);

// The linear address of the operand that ModRM gives an instruction with legacy encoding; not
// looked at for being canonical or mapped. nullopt: only the processor can tell (16-bit addresses,
// segments whose base or limit is unknown).
std::optional<Address> effective_address(const Instruction& instruction, Address site,
                                         const GeneralRegisters& regs);

// Pushes a word of the mode's size. False, with nothing changed, when the processor's push may
// fault or when only the processor can tell.
bool push(GeneralRegisters& regs, Mode mode, std::uint64_t value, Memory& memory);

}  // namespace x86
