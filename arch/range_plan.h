// Where a thread that steps through a range of addresses can leave it: the decision points at which
// it has to be stopped, so that it can run natively in between.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "arch/address.h"

namespace x86 {

struct RangePlan {
  Address start;             // of the range
  std::vector<bool> starts;  // by offset: the first byte of an instruction the flow can reach
  // Addresses to stop at, ascending, each once. Inside the range: an instruction whose successor
  // only the processor knows, to be executed on its own. Outside: the thread has left.
  std::vector<Address> decisions;

  // Whether the thread may run from here; elsewhere nothing is known.
  bool covers(Address pc) const;
};

// Follows the flow from each of `entries` through `code`, the program's bytes at `start` up to the
// end of the range. nullopt when that cannot be trusted: no instruction, instructions that overlap
// each other or the end of the range, a kind whose flow is not known, more than `most` decisions.
std::optional<RangePlan> plan_range(std::span<const std::uint8_t> code, Address start,
                                    std::span<const Address> entries, Mode mode,
                                    std::size_t most = 64);

}  // namespace x86
