// The random state of the processor that an instruction of a case starts in.
#pragma once

#include "tests/differential/encoding.h"
#include "tests/differential/generator.h"

namespace differential {

// Fills in everything but mode, bytes and mnemonic; changes displacements in `bytes` so that most
// memory operands and branch targets are in the inferior's memory.
void fill_state(Case& made, const Decoded& decoded, Random& random,
                std::span<const std::byte> xstate);

}  // namespace differential
