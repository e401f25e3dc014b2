// Where a memory operand is: what the processor computes from ModRM, SIB, displacement and prefixes
// (SDM vol. 2, 2.1.5 and 2.2.1) for the few that are accessed in its place.
//
// Segments are the ones of ordinary programs: flat, or FS and GS of 64-bit code, whose bases are
// among the registers. A segment of i386 code may have a limit, which nobody can see here.
#include <optional>

#include "arch/semantics.h"
#include "arch/step_plan.h"

namespace x86 {
namespace {

constexpr std::uint64_t user_ds = 0x2b;
constexpr std::uint8_t ds_prefix = 0x3e, fs_prefix = 0x64, gs_prefix = 0x65;
constexpr std::uint8_t rex_b = 1, rex_x = 2;

constexpr bool is_segment_prefix(std::uint8_t byte) {
  return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == ds_prefix || byte == fs_prefix ||
         byte == gs_prefix;
}

std::optional<std::uint64_t> segment_base(const Instruction& instruction,
                                          const GeneralRegisters& regs) {
  std::uint8_t chosen = 0;
  for (std::size_t i = 0; i < instruction.extension_offset; i++) {
    const std::uint8_t byte = instruction.bytes[i];
    if (!is_segment_prefix(byte)) continue;
    // Of two different ones AMD and Intel need not take the same.
    if (chosen != 0 && chosen != byte) return std::nullopt;
    chosen = byte;
  }
  if (instruction.mode == Mode::amd64)
    return chosen == fs_prefix ? regs.fs_base : chosen == gs_prefix ? regs.gs_base : 0;
  const bool flat = regs.ds == user_ds && regs.ss == user_ds;
  if (!flat || (chosen != 0 && chosen != ds_prefix)) return std::nullopt;
  return 0;
}

std::uint64_t base_and_index(const Instruction& instruction, GeneralRegisters regs) {
  const std::uint8_t mod = instruction.modrm() >> 6, rm = instruction.modrm() & 7;
  const bool no_base_form = mod == 0;  // with base number 5: a displacement alone
  if (rm != 4) {
    return no_base_form && rm == 5 ? 0 : general_register(regs, instruction.rm_register);
  }
  const std::uint8_t sib = instruction.bytes[instruction.modrm_offset + 1u];
  const bool has_rex = instruction.extension_offset < instruction.opcode_offset;
  const std::uint8_t rex = has_rex ? instruction.bytes[instruction.extension_offset] : 0;
  const std::uint8_t base = static_cast<std::uint8_t>((sib & 7) | (rex & rex_b ? 8 : 0));
  const std::uint8_t index = static_cast<std::uint8_t>((sib >> 3 & 7) | (rex & rex_x ? 8 : 0));
  std::uint64_t sum = no_base_form && (sib & 7) == 5 ? 0 : general_register(regs, base);
  if (index != 4) sum += general_register(regs, index) << (sib >> 6);
  return sum;
}

}  // namespace

std::optional<Address> effective_address(const Instruction& instruction, Address site,
                                         const GeneralRegisters& regs) {
  if (instruction.encoding != Encoding::legacy || instruction.address_size == 2)
    return std::nullopt;
  const auto segment = segment_base(instruction, regs);
  if (!segment) return std::nullopt;
  std::uint64_t offset = instruction.rip_relative
                             ? instruction.operand_address(site).value()
                             : base_and_index(instruction, regs) +
                                   static_cast<std::uint64_t>(instruction.displacement);
  if (instruction.address_size == 4) offset &= low32;
  return Address(truncated(*segment + offset, instruction.mode));
}

}  // namespace x86
