// Cases for the differential test: for every mnemonic the decoder knows, instructions of all shapes
// in states of the processor in which they do something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "arch/address.h"
#include "arch/registers.h"
#include "tests/differential/encoding.h"
#include "tests/differential/layout.h"
#include "tests/differential/random.h"

namespace differential {

// One instruction with everything it may depend on.
struct Case {
  x86::Mode mode = x86::Mode::amd64;
  std::vector<std::uint8_t> bytes;  // exactly the instruction
  ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  x86::Address site;
  x86::GeneralRegisters registers{};
  std::vector<std::byte> xstate;
  std::vector<std::uint8_t> data;  // data_size bytes, then the read-only page
};

class Generator {
 public:
  // Finds the encodings by trying all opcodes.
  explicit Generator(x86::Mode mode);

  // Mnemonics that can be encoded in this mode, less the few a test cannot run (see .cc).
  std::vector<ZydisMnemonic> mnemonics() const;

  // A random instruction in a random state. `xstate` is an image of the kernel's to start from.
  Case make(Random& random, std::span<const std::byte> xstate) const;

 private:
  void enumerate(Template shape, std::span<const std::uint8_t> maps, int vector_lengths);
  void consider(const Template& shape);
  const Template& draw(Random& random) const;

  x86::Mode mode_;
  struct Sample {
    std::vector<Template> shapes;
    std::size_t seen = 0;
  };
  std::map<ZydisMnemonic, Sample> templates_;
  Random sampling_{1};
  std::vector<const std::vector<Template>*> by_mnemonic_;
  // Drawn more often: what is not simply copied, and what has a memory operand and uses general
  // registers, in the way of a scratch register.
  std::vector<Template> special_, integer_;
};

}  // namespace differential
