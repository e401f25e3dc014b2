#include "tests/differential/generator.h"

#include <algorithm>

#include "arch/instruction.h"
#include "tests/differential/state.h"

namespace differential {
namespace {

constexpr std::size_t templates_per_mnemonic = 64;
constexpr unsigned special_share = 25, integer_share = 25;  // percent of the cases

// Hypercalls belong to the machine this may be a guest of (some hosts rewrite them in memory); the
// waits may take as long as they like.
bool is_excluded(ZydisMnemonic mnemonic) {
  constexpr ZydisMnemonic excluded[] = {
      ZYDIS_MNEMONIC_VMCALL, ZYDIS_MNEMONIC_VMMCALL, ZYDIS_MNEMONIC_MWAIT,   ZYDIS_MNEMONIC_MWAITX,
      ZYDIS_MNEMONIC_UMWAIT, ZYDIS_MNEMONIC_TPAUSE,  ZYDIS_MNEMONIC_SYSENTER};
  return std::find(std::begin(excluded), std::end(excluded), mnemonic) != std::end(excluded);
}

constexpr ZydisInstructionEncoding zydis_encoding(Template::Form form) {
  switch (form) {
    case Template::Form::vex:
      return ZYDIS_INSTRUCTION_ENCODING_VEX;
    case Template::Form::evex:
      return ZYDIS_INSTRUCTION_ENCODING_EVEX;
    case Template::Form::xop:
      return ZYDIS_INSTRUCTION_ENCODING_XOP;
    default:
      return ZYDIS_INSTRUCTION_ENCODING_LEGACY;
  }
}

bool is_integer_with_memory(const Decoded& decoded) {
  bool memory = false, general = false;
  for (int i = 0; i < decoded.instruction.operand_count; i++) {
    const auto& operand = decoded.operands[i];
    memory |= operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
              operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const auto reg_class = ZydisRegisterGetClass(operand.reg.value);
    general |= reg_class >= ZYDIS_REGCLASS_GPR8 && reg_class <= ZYDIS_REGCLASS_GPR64;
  }
  return memory && general;
}

bool is_special(std::span<const std::uint8_t> bytes, x86::Mode mode) {
  const auto instruction = x86::decode(bytes, mode);
  if (!instruction) return false;
  const auto kind = instruction->kind;
  return kind != x86::Kind::plain && kind != x86::Kind::x87 && kind != x86::Kind::expected_fault;
}

}  // namespace

Generator::Generator(x86::Mode mode) : mode_(mode) {
  constexpr std::uint8_t legacy[] = {0, 1, 2, 3}, vex[] = {1, 2, 3}, evex[] = {1, 2, 3, 5, 6},
                         xop[] = {8, 9, 10};
  enumerate({.form = Template::Form::legacy}, legacy, 1);
  enumerate({.form = Template::Form::vex}, vex, 2);
  enumerate({.form = Template::Form::xop}, xop, 2);
  enumerate({.form = Template::Form::evex}, evex, 3);
  enumerate({.form = Template::Form::evex, .mask = 1}, evex, 3);
  for (const auto& [mnemonic, sample] : templates_) {
    by_mnemonic_.push_back(&sample.shapes);
    for (const auto& shape : sample.shapes) {
      const auto bytes = encode(shape, mode_);
      if (is_special(bytes, mode_)) special_.push_back(shape);
      if (is_integer_with_memory(*decode_with_zydis(bytes, mode_))) integer_.push_back(shape);
    }
  }
}

void Generator::enumerate(Template shape, std::span<const std::uint8_t> maps, int vector_lengths) {
  std::vector<std::uint8_t> modrms;
  for (unsigned reg = 0; reg < 8; reg++) {
    modrms.push_back(static_cast<std::uint8_t>(reg << 3));         // (%rax)
    modrms.push_back(static_cast<std::uint8_t>(0x44 | reg << 3));  // with SIB
    const unsigned last = shape.form == Template::Form::legacy ? 8 : 1;
    for (unsigned rm = 0; rm < last; rm++) {
      modrms.push_back(static_cast<std::uint8_t>(0xc0 | reg << 3 | rm));
    }
  }
  for (const auto map : maps) {
    for (unsigned rest = 0; rest < 256u * 4 * 2 * vector_lengths; rest++) {
      shape.map = map;
      shape.opcode = static_cast<std::uint8_t>(rest);
      shape.prefix = rest >> 8 & 3;
      shape.w = rest >> 10 & 1;
      shape.vector_length = static_cast<std::uint8_t>(rest >> 11);
      for (const auto modrm : modrms) {
        shape.modrm = modrm;
        consider(shape);
      }
    }
  }
}

void Generator::consider(const Template& shape) {
  const auto bytes = encode(shape, mode_);
  const auto decoded = decode_with_zydis(bytes, mode_);
  if (!decoded || decoded->instruction.opcode != shape.opcode ||
      decoded->instruction.encoding != zydis_encoding(shape.form) ||
      is_excluded(decoded->instruction.mnemonic)) {
    return;
  }
  // A sample of all encodings seen, each with the same chance to be in it.
  auto& sample = templates_[decoded->instruction.mnemonic];
  sample.seen++;
  if (sample.shapes.size() < templates_per_mnemonic) {
    sample.shapes.push_back(shape);
  } else if (const auto at = sampling_.below(sample.seen); at < templates_per_mnemonic) {
    sample.shapes[at] = shape;
  }
}

std::vector<ZydisMnemonic> Generator::mnemonics() const {
  std::vector<ZydisMnemonic> names;
  for (const auto& [mnemonic, sample] : templates_) names.push_back(mnemonic);
  return names;
}

const Template& Generator::draw(Random& random) const {
  if (random.percent(special_share)) return random.pick(special_);
  return random.pick(random.percent(integer_share) ? integer_ : *random.pick(by_mnemonic_));
}

Case Generator::make(Random& random, std::span<const std::byte> xstate) const {
  while (true) {
    const Template& shape = draw(random);
    const auto wanted = decode_with_zydis(encode(shape, mode_), mode_)->instruction.mnemonic;
    for (int attempt = 0; attempt < 200; attempt++) {
      auto bytes = encode(shape, mode_, random);
      const auto decoded = decode_with_zydis(bytes, mode_);
      if (!decoded || decoded->instruction.mnemonic != wanted) continue;
      bytes.resize(decoded->instruction.length);
      Case made;
      made.mode = mode_;
      made.bytes = std::move(bytes);
      made.mnemonic = wanted;
      fill_state(made, *decoded, random, xstate);
      return made;
    }
  }
}

}  // namespace differential
