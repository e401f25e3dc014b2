// What the stub decides at a breakpoint by itself: conditions, commands and filters.
//
// The evaluation reads the thread's registers as they were fetched at the stop, and the program's
// memory with the inserted breakpoint bytes masked. After any error the client has to decide: the
// stop is reported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "protocol/agent_environment.h"
#include "stub/inferior/inferior.h"
#include "stub/inferior/site_program.h"
#include "stub/kernel/tracee.h"

namespace stub {

enum class Verdict : std::uint8_t { report, pass };

// Trace state variables of agent expressions: what conditions and commands call by $name. Unset
// ones are 0.
class TraceVariables final : public rsp::AgentVariables {
 public:
  std::int64_t get(unsigned number) override;
  void set(unsigned number, std::int64_t value) override;
  void clear() { values_.clear(); }
  std::size_t size() const { return values_.size(); }

 private:
  std::map<unsigned, std::int64_t> values_;
};

// The output of commands, until the session takes it.
class ConsoleBuffer final : public rsp::AgentOutput {
 public:
  // At most this many bytes are kept between two calls of take(); the rest is counted, and the text
  // ends with a line that tells how many bytes were lost.
  static constexpr std::size_t limit = 256 * 1024;

  void print(std::string_view text) override;
  std::string take();

 private:
  std::string text_;
  std::size_t lost_ = 0;  // bytes
};

class ConditionEvaluator {
 public:
  explicit ConditionEvaluator(Tracee& tracee) : tracee_(tracee) {}

  // What becomes of a hit. The thread is stopped, its general registers have been fetched and its
  // PC is the site's address. `filter` may be null; it counts the hit at `seen_ns` (clock.h).
  Verdict evaluate(const Thread& thread, const SiteProgram& program, SiteFilter* filter,
                   std::uint64_t seen_ns);

  TraceVariables& variables() { return variables_; }  // definitions are the session's
  ConsoleBuffer& console() { return console_; }

 private:
  Tracee& tracee_;
  TraceVariables variables_;
  ConsoleBuffer console_;
};

}  // namespace stub
