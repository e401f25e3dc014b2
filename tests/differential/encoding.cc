#include "tests/differential/encoding.h"

#include <algorithm>
#include <array>

namespace differential {
namespace {

constexpr std::uint8_t mandatory_prefixes[] = {0, 0x66, 0xf3, 0xf2};
constexpr std::uint8_t segment_prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
constexpr std::uint8_t any_prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                         0x66, 0x67, 0xf0, 0xf2, 0xf3};

// The random parts of an encoding, as fields.
struct Fields {
  std::vector<std::uint8_t> redundant;
  bool r = false, x = false, b = false, r2 = false, v2 = false, zeroing = false;
  bool bare_rex = false;
  std::uint8_t vvvv = 0;
  std::uint8_t modrm = 0;
  std::vector<std::uint8_t> tail;  // sib, displacement, immediate: as much as is needed of it
};

void add_legacy(std::vector<std::uint8_t>& bytes, const Template& shape, x86::Mode mode,
                const Fields& f) {
  if (shape.prefix != 0) bytes.push_back(mandatory_prefixes[shape.prefix]);
  const std::uint8_t rex = static_cast<std::uint8_t>(shape.w << 3 | f.r << 2 | f.x << 1 | f.b);
  if (mode == x86::Mode::amd64 && (rex != 0 || f.bare_rex)) bytes.push_back(0x40 | rex);
  if (shape.map > 0) bytes.push_back(0x0f);
  if (shape.map == 2) bytes.push_back(0x38);
  if (shape.map == 3) bytes.push_back(0x3a);
  bytes.push_back(shape.opcode);
}

void add_vex_or_xop(std::vector<std::uint8_t>& bytes, const Template& shape, const Fields& f) {
  const auto last =
      static_cast<std::uint8_t>((f.vvvv ^ 15) << 3 | (shape.vector_length & 1) << 2 | shape.prefix);
  const bool xop = shape.form == Template::Form::xop;
  if (!xop && shape.map == 1 && !shape.w && !f.x && !f.b && !f.bare_rex) {
    bytes.push_back(0xc5);
    bytes.push_back(static_cast<std::uint8_t>(!f.r << 7 | last));
  } else {
    bytes.push_back(xop ? 0x8f : 0xc4);
    bytes.push_back(static_cast<std::uint8_t>(!f.r << 7 | !f.x << 6 | !f.b << 5 | shape.map));
    bytes.push_back(static_cast<std::uint8_t>(shape.w << 7 | last));
  }
  bytes.push_back(shape.opcode);
}

void add_evex(std::vector<std::uint8_t>& bytes, const Template& shape, const Fields& f) {
  bytes.push_back(0x62);
  bytes.push_back(
      static_cast<std::uint8_t>(!f.r << 7 | !f.x << 6 | !f.b << 5 | !f.r2 << 4 | shape.map));
  bytes.push_back(static_cast<std::uint8_t>(shape.w << 7 | (f.vvvv ^ 15) << 3 | 4 | shape.prefix));
  bytes.push_back(static_cast<std::uint8_t>(f.zeroing << 7 | shape.vector_length << 5 |
                                            shape.broadcast << 4 | !f.v2 << 3 | shape.mask));
  bytes.push_back(shape.opcode);
}

std::vector<std::uint8_t> assemble(const Template& shape, x86::Mode mode, const Fields& f) {
  std::vector<std::uint8_t> bytes = f.redundant;
  switch (shape.form) {
    case Template::Form::legacy:
      add_legacy(bytes, shape, mode, f);
      break;
    case Template::Form::vex:
    case Template::Form::xop:
      add_vex_or_xop(bytes, shape, f);
      break;
    case Template::Form::evex:
      add_evex(bytes, shape, f);
      break;
  }
  bytes.push_back(f.modrm);
  bytes.insert(bytes.end(), f.tail.begin(), f.tail.end());
  return bytes;
}

std::uint8_t random_modrm(const Template& shape, x86::Mode mode, Random& random) {
  std::uint8_t modrm = shape.modrm;
  if (random.percent(30)) modrm = (modrm & 0xc7) | (random.byte() & 0x38);
  if ((modrm & 0xc0) == 0xc0) {
    return random.percent(50) ? modrm : (modrm & 0xf8) | (random.byte() & 7);
  }
  if (mode == x86::Mode::amd64 && random.percent(50)) return (modrm & 0x38) | 5;
  return (modrm & 0x38) | (random.byte() & 7) | static_cast<std::uint8_t>(random.below(3) << 6);
}

void add_redundant_prefixes(const Template& shape, Random& random, Fields& f) {
  if (random.percent(75)) return;
  const std::size_t count = random.percent(15) ? random.below(13) : 1 + random.below(3);
  for (std::size_t i = 0; i < count; i++) {
    const bool legacy = shape.form == Template::Form::legacy && count <= 3;
    f.redundant.push_back(legacy ? random.pick(any_prefixes) : random.pick(segment_prefixes));
  }
}

}  // namespace

std::optional<Decoded> decode_with_zydis(std::span<const std::uint8_t> bytes, x86::Mode mode) {
  static const auto decoders = [] {
    std::array<ZydisDecoder, 2> made{};
    ZydisDecoderInit(&made[0], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderInit(&made[1], ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    return made;
  }();
  Decoded decoded;
  const auto status = ZydisDecoderDecodeFull(&decoders[mode == x86::Mode::i386], bytes.data(),
                                             std::min<std::size_t>(bytes.size(), 15),
                                             &decoded.instruction, decoded.operands);
  if (!ZYAN_SUCCESS(status)) return std::nullopt;
  return decoded;
}

std::vector<std::uint8_t> encode(const Template& shape, x86::Mode mode) {
  Fields fields;
  fields.modrm = shape.modrm;
  fields.tail = {0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // as a SIB byte: base rsp, index 2
  return assemble(shape, mode, fields);
}

std::vector<std::uint8_t> encode(const Template& shape, x86::Mode mode, Random& random) {
  Fields f;
  add_redundant_prefixes(shape, random, f);
  if (mode == x86::Mode::amd64) {
    f.r = random.percent(30);
    f.x = random.percent(30);
    f.b = random.percent(30);
    f.r2 = random.percent(30);
    f.v2 = random.percent(20);
    f.bare_rex = random.percent(15);
  }
  f.zeroing = random.percent(20);
  if (random.percent(60)) f.vvvv = static_cast<std::uint8_t>(random.below(16));
  f.modrm = random_modrm(shape, mode, random);
  for (int i = 0; i < 14; i++) f.tail.push_back(random.byte());
  Template varied = shape;
  if (shape.form == Template::Form::evex) {
    if (random.percent(50)) varied.mask = random.byte() & 7;
    if (random.percent(20)) varied.broadcast = !shape.broadcast;
  }
  return assemble(varied, mode, f);
}

}  // namespace differential
