// Encodings of instructions: what identifies one (Template), and random bytes made from it.
#pragma once

#include <Zydis/Zydis.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "arch/address.h"
#include "tests/differential/random.h"

namespace differential {

struct Template {
  enum class Form : std::uint8_t { legacy, vex, evex, xop } form = Form::legacy;
  std::uint8_t map = 0;  // 0 one byte, 1 0f, 2 0f38, 3 0f3a; the map field of VEX, EVEX and XOP
  std::uint8_t opcode = 0;
  std::uint8_t prefix = 0;  // mandatory: 0 none, 1 66, 2 f3, 3 f2, as in the pp field
  bool w = false;
  std::uint8_t vector_length = 0;  // the L field
  std::uint8_t modrm = 0;
  std::uint8_t mask = 0;   // EVEX.aaa
  bool broadcast = false;  // EVEX.b
};

struct Decoded {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};
std::optional<Decoded> decode_with_zydis(std::span<const std::uint8_t> bytes, x86::Mode mode);

// The template's own encoding, for finding out whether there is such an instruction.
std::vector<std::uint8_t> encode(const Template& shape, x86::Mode mode);

// A random one: registers, addressing form, displacements, immediates, redundant prefixes. It may
// be no instruction, or another than the template's; the caller decodes it. Half of the memory
// operands are RIP-relative in 64-bit code.
std::vector<std::uint8_t> encode(const Template& shape, x86::Mode mode, Random& random);

}  // namespace differential
