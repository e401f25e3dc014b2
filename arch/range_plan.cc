// Stepping through a range of addresses without a trap for each instruction.
//
// A debugger's `next` is "step while the PC is between here and there". The trap flag does that at
// one stop per instruction, which makes a loop of a million rounds a matter of minutes. Yet where
// code can leave a range is mostly written in it: the targets of its direct branches, and the
// instruction behind it. With breakpoints there the thread can run at full speed.
//
// The flow is followed from where the thread is, not decoded from one end to the other: what lies
// between functions or behind a jump may be data, and a breakpoint byte in data would change what
// the program reads. For the same reason nothing is assumed to follow a call or an indirect jump.
// A thread that comes to a place not reached by the flow is stepped there, and the plan is made
// again with that place as a further entry.
//
// Calls are stepped one by one although their target may be known: the range is left by each, and a
// breakpoint on the call disturbs fewer threads than one on the function.
#include "arch/range_plan.h"

#include <algorithm>
#include <iterator>

#include "arch/instruction.h"

namespace x86 {
namespace {

// What may come after an instruction.
enum class Flow : std::uint8_t {
  next,           // the next one, or a signal
  branch,         // its target
  two_way,        // its target or the next one
  step,           // only the processor knows
  step_and_next,  // as `step`, but it is usually the next one
  unknown,        // not followed: the range is stepped as a whole
};

struct Row {
  Kind kind;
  Flow flow;
};

constexpr Row rows[] = {
    {Kind::plain, Flow::next},
    {Kind::no_operation, Flow::next},
    {Kind::jump, Flow::branch},
    {Kind::conditional_jump, Flow::two_way},
    {Kind::count_jump, Flow::two_way},
    {Kind::repeated_loop, Flow::two_way},
    {Kind::call, Flow::step},
    {Kind::call_register, Flow::step},
    {Kind::call_memory, Flow::step},
    {Kind::jump_register, Flow::step},
    {Kind::jump_memory, Flow::step},
    {Kind::near_return, Flow::step},
    {Kind::push_register, Flow::next},
    {Kind::address_of, Flow::next},
    // Starts processes and threads, returns from handlers, replaces the program.
    {Kind::system_call, Flow::step_and_next},
    {Kind::vdso_system_call, Flow::step_and_next},
    // The program's own trap flag would trap at each further instruction.
    {Kind::load_flags, Flow::step_and_next},
    {Kind::load_stack_segment, Flow::next},
    // A breakpoint inside would abort the transaction.
    {Kind::begin_transaction, Flow::unknown},
    {Kind::x87, Flow::next},
    // A debugger may move the PC behind it or let a handler do so.
    {Kind::software_trap, Flow::unknown},
    // What follows is often no code.
    {Kind::expected_fault, Flow::step},
    {Kind::far_transfer, Flow::unknown},
    {Kind::narrow_branch, Flow::unknown},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < std::size(rows); i++)
    if (static_cast<std::size_t>(rows[i].kind) != i) return false;
  return std::size(rows) == static_cast<std::size_t>(Kind::narrow_branch) + 1;
}
static_assert(rows_are_in_order(), "one row for every Kind");

class Explorer {
 public:
  Explorer(std::span<const std::uint8_t> code, Address start, Mode mode)
      : code_(code), mode_(mode), inner_(code.size()) {
    plan_.start = start;
    plan_.starts.resize(code.size());
  }

  void reach(Address at) {
    const std::uint64_t offset = at.value() - plan_.start.value();
    if (offset >= code_.size())
      plan_.decisions.push_back(at);
    else if (!plan_.starts[offset])
      waiting_.push_back(offset);
  }

  bool explore() {
    while (!waiting_.empty()) {
      const std::uint64_t offset = waiting_.back();
      waiting_.pop_back();
      if (!plan_.starts[offset] && !visit(offset)) return false;
    }
    return true;
  }

  RangePlan take(std::size_t most, bool& fits) {
    auto& found = plan_.decisions;
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    fits = found.size() <= most;
    return std::move(plan_);
  }

 private:
  bool visit(std::uint64_t offset) {
    const Address at = plan_.start + offset;
    const auto instruction = decode(code_.subspan(offset), mode_);
    if (!instruction || !claim(offset, instruction->length)) return false;
    switch (rows[static_cast<std::size_t>(instruction->kind)].flow) {
      case Flow::next:
        reach(instruction->next(at));
        return true;
      case Flow::two_way:
        reach(instruction->next(at));
        [[fallthrough]];
      case Flow::branch:
        reach(instruction->branch_target(at));
        return true;
      case Flow::step_and_next:
        reach(instruction->next(at));
        [[fallthrough]];
      case Flow::step:
        plan_.decisions.push_back(at);
        return true;
      case Flow::unknown:
        return false;
    }
    return false;
  }

  // Each byte belongs to one instruction.
  bool claim(std::uint64_t offset, std::size_t length) {
    if (inner_[offset]) return false;
    plan_.starts[offset] = true;
    for (std::size_t i = offset + 1; i < offset + length; ++i) {
      if (plan_.starts[i] || inner_[i]) return false;
      inner_[i] = true;
    }
    return true;
  }

  std::span<const std::uint8_t> code_;
  Mode mode_;
  RangePlan plan_;
  std::vector<bool> inner_;  // by offset: a byte of an instruction, not its first
  std::vector<std::uint64_t> waiting_;
};

}  // namespace

bool RangePlan::covers(Address pc) const {
  const std::uint64_t offset = pc.value() - start.value();
  return offset < starts.size() && starts[offset];
}

std::optional<RangePlan> plan_range(std::span<const std::uint8_t> code, Address start,
                                    std::span<const Address> entries, Mode mode, std::size_t most) {
  Explorer explorer(code, start, mode);
  for (const Address entry : entries) explorer.reach(entry);
  if (!explorer.explore()) return std::nullopt;
  bool fits = false;
  RangePlan plan = explorer.take(most, fits);
  if (!fits) return std::nullopt;
  return plan;
}

}  // namespace x86
