// The decoder: Zydis' answer turned into our own Instruction, with everything the stepping lanes
// ask for later. It is the only file that sees Zydis; whoever changes decoders changes this file.
//
// Three things are decided here because they need the decoder's tables: the kind of an instruction
// (its treatment when stepped over), which general registers it touches, hidden operands included
// (cl of shifts, rdx:rax of cmpxchg16b, rdx of mulx), and where its parts lie, so that relocate()
// can rewrite them. Whether an operand is RIP-relative is read off ModRM itself (mod 00, rm 101
// with a disp32) and not off Zydis' operand list: a reserved nop or a future instruction with
// operands that the tables leave out is still rewritten right.
#include <Zydis/Zydis.h>

#include <algorithm>
#include <iterator>

#include "arch/instruction.h"
#include "arch/semantics.h"

namespace x86 {
namespace {

struct Decoded {
  ZydisDecodedInstruction zydis;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  bool is_legacy_opcode(std::uint8_t first, std::uint8_t last, ZydisOpcodeMap map) const {
    return zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && zydis.opcode_map == map &&
           zydis.opcode >= first && zydis.opcode <= last;
  }
  bool has_operand(int index, ZydisOperandType type) const {
    return zydis.operand_count > index && operands[index].type == type;
  }
};

constexpr RegisterMask bit(unsigned number) { return static_cast<RegisterMask>(1u << number); }

RegisterMask general_register(ZydisMachineMode mode, ZydisRegister reg) {
  const auto whole = ZydisRegisterGetLargestEnclosing(mode, reg);
  const auto reg_class = ZydisRegisterGetClass(whole);
  if (reg_class != ZYDIS_REGCLASS_GPR64 && reg_class != ZYDIS_REGCLASS_GPR32) return 0;
  return bit(static_cast<unsigned>(ZydisRegisterGetId(whole)));
}

void collect_registers(const Decoded& from, Instruction& to) {
  const auto mode = from.zydis.machine_mode;
  for (const auto& operand : std::span(from.operands, from.zydis.operand_count)) {
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      to.registers_read |= general_register(mode, operand.mem.base);
      to.registers_read |= general_register(mode, operand.mem.index);
    } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      const auto reg = general_register(mode, operand.reg.value);
      if (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) to.registers_read |= reg;
      if (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) to.registers_written |= reg;
    }
  }
}

// Where prefixes end and the opcode starts, and the register numbers they extend.
void locate_prefixes(const Decoded& from, Instruction& to) {
  const auto& raw = from.zydis.raw;
  unsigned rex_r = 0, rex_b = 0;
  switch (from.zydis.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      to.encoding = Encoding::vex;
      to.extension_offset = raw.vex.offset;
      to.opcode_offset = static_cast<std::uint8_t>(raw.vex.offset + raw.vex.size);
      break;
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
      to.encoding = Encoding::xop;
      to.extension_offset = raw.xop.offset;
      to.opcode_offset = static_cast<std::uint8_t>(raw.xop.offset + 3);
      break;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      to.encoding = Encoding::evex;
      to.extension_offset = raw.evex.offset;
      to.opcode_offset = static_cast<std::uint8_t>(raw.evex.offset + 4);
      break;
    default: {
      to.encoding = from.zydis.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW ? Encoding::amd_3dnow
                                                                            : Encoding::legacy;
      to.opcode_offset = to.extension_offset = raw.prefix_count;
      // Only a REX prefix directly before the opcode has effect (SDM vol. 2, 2.2.1).
      const bool rex = to.mode == Mode::amd64 && raw.prefix_count > 0 &&
                       (to.bytes[raw.prefix_count - 1] & 0xf0) == 0x40;
      if (!rex) break;
      to.extension_offset--;
      rex_r = (to.bytes[to.extension_offset] >> 2) & 1;
      rex_b = to.bytes[to.extension_offset] & 1;
    }
  }
  to.reg_register = static_cast<std::uint8_t>(rex_r << 3 | raw.modrm.reg);
  to.rm_register =
      static_cast<std::uint8_t>(rex_b << 3 | (to.has_modrm ? raw.modrm.rm : from.zydis.opcode & 7));
}

void locate_parts(const Decoded& from, Instruction& to) {
  const auto& raw = from.zydis.raw;
  to.opcode = from.zydis.opcode;
  to.has_modrm = (from.zydis.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
  to.modrm_offset = raw.modrm.offset;
  to.displacement_offset = raw.disp.offset;
  to.displacement_size = raw.disp.size / 8;
  to.displacement = raw.disp.value;
  to.immediate_offset = raw.imm[0].offset;
  to.immediate_size = raw.imm[0].size / 8;
  to.immediate = raw.imm[0].value.s;
  to.operand_size = from.zydis.operand_width / 8;
  to.address_size = from.zydis.address_width / 8;
  to.rip_relative = to.mode == Mode::amd64 && to.has_modrm && raw.modrm.mod == 0 &&
                    raw.modrm.rm == 5 && to.displacement_size == 4;
}

bool has_prefix(const Instruction& instruction, std::uint8_t prefix) {
  const auto prefixes = std::span(instruction.bytes).first(instruction.extension_offset);
  return std::find(prefixes.begin(), prefixes.end(), prefix) != prefixes.end();
}

// Prefix 66h that a REX.W does not overrule. With both, as in the `data16 rex.W call` of TLS code,
// AMD and Intel agree on a 64-bit branch.
bool has_narrow_operands(const Instruction& instruction) {
  if (!has_prefix(instruction, 0x66)) return false;
  const bool rex = instruction.extension_offset < instruction.opcode_offset;
  return !(rex && (instruction.bytes[instruction.extension_offset] & 8) != 0);
}

Kind kind_of_operand(const Decoded& decoded, Kind relative, Kind reg, Kind memory) {
  if (decoded.has_operand(0, ZYDIS_OPERAND_TYPE_IMMEDIATE)) return relative;
  return decoded.has_operand(0, ZYDIS_OPERAND_TYPE_REGISTER) ? reg : memory;
}

Kind kind_of_interrupt(std::uint8_t vector) {
  // The gates Linux opens to users besides 80h are those of int3 and into (arch/x86/kernel/idt.c).
  if (vector == 0x80) return Kind::system_call;
  return vector == 3 || vector == 4 ? Kind::software_trap : Kind::expected_fault;
}

// Near branches, before the question of prefix 66h; plain when it is none.
Kind kind_of_branch(const Decoded& decoded, const Instruction& instruction) {
  switch (decoded.zydis.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
      return kind_of_operand(decoded, Kind::jump, Kind::jump_register, Kind::jump_memory);
    case ZYDIS_MNEMONIC_CALL:
      return kind_of_operand(decoded, Kind::call, Kind::call_register, Kind::call_memory);
    case ZYDIS_MNEMONIC_RET:
      return Kind::near_return;
    case ZYDIS_MNEMONIC_XBEGIN:
      return Kind::begin_transaction;
    default:
      break;
  }
  if (decoded.is_legacy_opcode(0x70, 0x7f, ZYDIS_OPCODE_MAP_DEFAULT) ||
      decoded.is_legacy_opcode(0x80, 0x8f, ZYDIS_OPCODE_MAP_0F)) {
    return Kind::conditional_jump;
  }
  if (!decoded.is_legacy_opcode(0xe0, 0xe3, ZYDIS_OPCODE_MAP_DEFAULT)) return Kind::plain;
  // Measured on AMD Zen: f2 makes loopne and f3 loope of both e0 and e1. No manual says so.
  const bool has_condition = decoded.zydis.opcode <= 0xe1;
  const bool repeated = has_prefix(instruction, 0xf2) || has_prefix(instruction, 0xf3);
  return has_condition && repeated ? Kind::repeated_loop : Kind::count_jump;
}

// Hints of opcodes 0f 0d and 0f 18-1e are nops to some processors and invalid to others; these do
// what they do in a slot.
bool is_nop(const Decoded& decoded) {
  return decoded.zydis.mnemonic == ZYDIS_MNEMONIC_NOP &&
         (decoded.is_legacy_opcode(0x90, 0x90, ZYDIS_OPCODE_MAP_DEFAULT) ||
          decoded.is_legacy_opcode(0x1f, 0x1f, ZYDIS_OPCODE_MAP_0F));
}

bool loads_stack_segment(const Decoded& decoded) {
  const auto mnemonic = decoded.zydis.mnemonic;
  return (mnemonic == ZYDIS_MNEMONIC_MOV || mnemonic == ZYDIS_MNEMONIC_POP) &&
         decoded.has_operand(0, ZYDIS_OPERAND_TYPE_REGISTER) &&
         decoded.operands[0].reg.value == ZYDIS_REGISTER_SS;
}

// What is told by its mnemonic alone.
struct MnemonicKind {
  ZydisMnemonic mnemonic;
  Kind kind;
};
constexpr MnemonicKind mnemonic_kinds[] = {
    {ZYDIS_MNEMONIC_ENDBR32, Kind::no_operation}, {ZYDIS_MNEMONIC_ENDBR64, Kind::no_operation},
    {ZYDIS_MNEMONIC_POPF, Kind::load_flags},      {ZYDIS_MNEMONIC_POPFD, Kind::load_flags},
    {ZYDIS_MNEMONIC_POPFQ, Kind::load_flags},     {ZYDIS_MNEMONIC_INT3, Kind::software_trap},
    {ZYDIS_MNEMONIC_INT1, Kind::software_trap},   {ZYDIS_MNEMONIC_INTO, Kind::software_trap},
    {ZYDIS_MNEMONIC_IRET, Kind::far_transfer},    {ZYDIS_MNEMONIC_IRETD, Kind::far_transfer},
    {ZYDIS_MNEMONIC_IRETQ, Kind::far_transfer},   {ZYDIS_MNEMONIC_UIRET, Kind::far_transfer},
    {ZYDIS_MNEMONIC_UD0, Kind::expected_fault},   {ZYDIS_MNEMONIC_UD1, Kind::expected_fault},
    {ZYDIS_MNEMONIC_UD2, Kind::expected_fault},   {ZYDIS_MNEMONIC_IN, Kind::expected_fault},
    {ZYDIS_MNEMONIC_OUT, Kind::expected_fault},   {ZYDIS_MNEMONIC_INSB, Kind::expected_fault},
    {ZYDIS_MNEMONIC_INSW, Kind::expected_fault},  {ZYDIS_MNEMONIC_INSD, Kind::expected_fault},
    {ZYDIS_MNEMONIC_OUTSB, Kind::expected_fault}, {ZYDIS_MNEMONIC_OUTSW, Kind::expected_fault},
    {ZYDIS_MNEMONIC_OUTSD, Kind::expected_fault}, {ZYDIS_MNEMONIC_CLI, Kind::expected_fault},
    {ZYDIS_MNEMONIC_STI, Kind::expected_fault},
};

Kind kind_of_syscall(const Decoded& decoded, Mode mode) {
  const bool returns_behind =
      mode == Mode::amd64 && decoded.zydis.mnemonic == ZYDIS_MNEMONIC_SYSCALL;
  return returns_behind ? Kind::system_call : Kind::vdso_system_call;
}

Kind kind_of(const Decoded& decoded, const Instruction& instruction) {
  const auto& zydis = decoded.zydis;
  if (zydis.mnemonic == ZYDIS_MNEMONIC_INT) {
    return kind_of_interrupt(static_cast<std::uint8_t>(instruction.immediate));
  }
  if (zydis.mnemonic == ZYDIS_MNEMONIC_SYSCALL || zydis.mnemonic == ZYDIS_MNEMONIC_SYSENTER)
    return kind_of_syscall(decoded, instruction.mode);
  const auto* row = std::find_if(std::begin(mnemonic_kinds), std::end(mnemonic_kinds),
                                 [&](const auto& r) { return r.mnemonic == zydis.mnemonic; });
  if (row != std::end(mnemonic_kinds)) return row->kind;
  if (is_nop(decoded)) return Kind::no_operation;
  if (zydis.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) return Kind::expected_fault;
  if (zydis.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return Kind::far_transfer;
  if (const Kind branch = kind_of_branch(decoded, instruction); branch != Kind::plain) {
    return has_narrow_operands(instruction) ? Kind::narrow_branch : branch;
  }
  if (decoded.is_legacy_opcode(0xd8, 0xdf, ZYDIS_OPCODE_MAP_DEFAULT)) return Kind::x87;
  if (loads_stack_segment(decoded)) return Kind::load_stack_segment;
  if (zydis.mnemonic == ZYDIS_MNEMONIC_LEA && instruction.rip_relative) return Kind::address_of;
  const unsigned word = instruction.mode == Mode::amd64 ? 8 : 4;
  if (decoded.is_legacy_opcode(0x50, 0x57, ZYDIS_OPCODE_MAP_DEFAULT) &&
      instruction.operand_size == word) {
    return Kind::push_register;
  }
  return Kind::plain;
}

ZydisDecoder make_decoder(Mode mode) {
  ZydisDecoder decoder;
  const bool wide = mode == Mode::amd64;
  ZydisDecoderInit(&decoder, wide ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                   wide ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
  return decoder;
}

}  // namespace

std::optional<Instruction> decode(std::span<const std::uint8_t> bytes, Mode mode) {
  static const ZydisDecoder decoders[] = {make_decoder(Mode::amd64), make_decoder(Mode::i386)};
  Decoded decoded{};
  const auto length = std::min(bytes.size(), max_instruction_length);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode == Mode::i386], bytes.data(), length,
                                           &decoded.zydis, decoded.operands))) {
    return std::nullopt;
  }
  Instruction instruction;
  instruction.mode = mode;
  instruction.length = decoded.zydis.length;
  std::copy_n(bytes.begin(), instruction.length, instruction.bytes.begin());
  locate_parts(decoded, instruction);
  locate_prefixes(decoded, instruction);
  collect_registers(decoded, instruction);
  instruction.kind = kind_of(decoded, instruction);
  return instruction;
}

Address Instruction::next(Address at) const {
  const Address after = at + length;
  return Address(truncated(after.value(), mode));
}

Address Instruction::branch_target(Address at) const {
  const Address target = at + length + static_cast<std::uint64_t>(immediate);
  return Address(truncated(target.value(), mode));
}

Address Instruction::operand_address(Address at) const {
  const Address operand = at + length + static_cast<std::uint64_t>(displacement);
  return address_size == 8 ? operand : Address(operand.value() & low32);
}

}  // namespace x86
