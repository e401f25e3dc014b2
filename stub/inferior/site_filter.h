// What a user can ask of a breakpoint that no client's condition can say (`monitor condition`):
// this thread only, every so many hits, not before so many, not more often than so many a second,
// and comparisons of strings.
//
// gdb has all of these but evaluates them itself: `thread N`, ignore counts and $_streq cost a stop
// of every thread for each hit. LLDB evaluates every condition itself. So they are a command of the
// server's console, which any client can send, and they apply to an address, not to a breakpoint:
// clients take breakpoints out and put them back at each stop. A hit counts here when the client's
// own condition (if it sent one) holds; it is reported, or its commands run, when the filter lets
// it through as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/agent_environment.h"
#include "stub/base/types.h"

namespace stub {

// Where a string is: a register or a number, plus an offset; `indirections` times the pointer that
// is found there.
struct TextLocation {
  std::optional<unsigned> reg;  // number in the target description
  std::uint64_t offset = 0;     // wraps
  unsigned indirections = 0;
};

struct TextTest {
  enum class Relation : std::uint8_t { equal, unequal, begins, contains };
  TextLocation at;
  Relation relation = Relation::equal;
  std::string text;
};

inline constexpr std::size_t most_filters = 1024;  // of one address space
inline constexpr std::size_t longest_terms = 1024;
inline constexpr std::size_t longest_test_text = 256;
inline constexpr std::size_t longest_tested_text = 4096;  // so much of the program's is looked at

class SiteFilter {
 public:
  // Terms separated by blanks, all of which have to hold (README, "Conditions of the server's
  // own"). Error: malformed, with a sentence for the user.
  static Result<SiteFilter> parse(std::string_view terms, x86::Mode mode);

  // Whether this hit is let through; it counts. Error: a string that cannot be read.
  Result<bool> lets_through(Tid tid, rsp::AgentRegisters& registers, rsp::AgentMemory& memory,
                            std::uint64_t now_ns);

  const std::string& text() const { return text_; }  // as the user wrote it
  std::uint64_t asked() const { return asked_; }
  std::uint64_t let_through() const { return let_through_; }

 private:
  struct Rate {
    std::uint64_t most = 0;  // hits in a period; 0: any number
    std::uint64_t period_ns = 0;
  };
  class Parser;

  Result<bool> texts_hold(rsp::AgentRegisters& registers, rsp::AgentMemory& memory) const;
  bool is_due(std::uint64_t now_ns);

  std::string text_;
  std::vector<Tid> threads_;
  std::vector<TextTest> tests_;
  std::uint64_t after_ = 0, every_ = 1;
  Rate rate_;
  std::size_t pointer_size_ = 8;

  std::uint64_t asked_ = 0, let_through_ = 0;
  std::uint64_t counted_ = 0;  // hits of the thread, with the strings
  std::uint64_t period_began_ns_ = 0, in_period_ = 0;
};

}  // namespace stub
