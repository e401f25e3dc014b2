// What the stub itself decides at a breakpoint: the conditions and commands of a Z packet.
#pragma once

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
};

}  // namespace stub
