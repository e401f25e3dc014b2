// A condition that takes as much memory as one may.
#pragma once

#include <cstdint>
#include <vector>

#include "stub/inferior/site_program.h"

namespace stub {

// Of 1 and pop, very often.
inline SiteProgram largest_program() {
  std::vector<std::uint8_t> bytecode;
  for (int i = 0; i < 15000; ++i) bytecode.insert(bytecode.end(), {0x22, 1, 0x29});
  bytecode.insert(bytecode.end(), {0x22, 1, 0x27});
  SiteProgram program;
  program.conditions.push_back(*rsp::AgentExpression::verify(bytecode, rsp::AgentUse::condition));
  return program;
}

}  // namespace stub
