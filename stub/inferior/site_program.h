// What the stub itself decides at a breakpoint: the conditions and commands of a Z packet.
#pragma once

#include <cstddef>
#include <vector>

#include "protocol/agent_expression.h"

namespace stub {

// Conditions are alternatives (GDB manual, "Z0": the stop is reported if any is true; an empty list
// is always true). Commands run at each hit whose condition holds, and then the thread goes on
// without a report. All verified when they arrived.
struct SiteProgram {
  std::vector<rsp::AgentExpression> conditions;
  std::vector<rsp::AgentExpression> commands;
  bool persist = false;  // commands stay active when the client disconnects

  std::size_t memory_size() const {
    std::size_t size = 0;
    for (const auto& expression : conditions) size += expression.memory_size();
    for (const auto& expression : commands) size += expression.memory_size();
    return size;
  }
};

// Of all sites of one address space together, in bytes: hundreds for each of 100,000 sites, where
// a packet may hold bytecode for a million.
inline constexpr std::size_t most_program_memory = 64u << 20;

}  // namespace stub
