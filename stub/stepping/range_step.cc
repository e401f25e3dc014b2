#include "stub/stepping/range_step.h"

#include <iterator>
#include <utility>

namespace stub {
namespace {

// Single steps before a plan is made: about what a plan costs.
constexpr unsigned patience = 32;
// Places that the flow did not show beforehand; a range with more is stepped.
constexpr std::size_t most_entries = 16;
constexpr std::uint64_t largest_range = 64 << 10;  // bytes

}  // namespace

bool RangeStepper::may_run(const Thread& thread) {
  Run& run = runs_[thread.tid];
  if (!run.space) run.space = thread.process->space;
  if (std::exchange(run.stale, false)) {
    remove_sites(run);
    run.entries.clear();
    run.steps = 0;
  }
  if (thread.general->mode() != run.space->mode) return false;
  const Address pc = thread.general->pc();
  if (run.native && run.plan.covers(pc)) return true;
  if (++run.steps <= patience || run.entries.size() == most_entries) return false;
  run.steps = 0;
  make_plan(thread, run);
  return run.native && run.plan.covers(pc);
}

bool RangeStepper::is_native(Tid tid) const {
  const auto found = runs_.find(tid);
  return found != runs_.end() && found->second.native;
}

// A failure is remembered as an entry too, so that it is not tried for ever.
void RangeStepper::make_plan(const Thread& thread, Run& run) {
  run.entries.push_back(thread.general->pc());
  const auto size = static_cast<std::uint64_t>(thread.range_end - thread.range_start);
  const Pid pid = thread.process->pid;
  if (size > largest_range || !tracee_.is_fixed_text(pid, thread.range_start, size)) return;
  std::vector<std::uint8_t> code(size);
  const auto bytes = std::as_writable_bytes(std::span(code));
  run.space->sites.verify(pid, thread.range_start, size);
  if (tracee_.read_memory(pid, thread.range_start, bytes) != size) return;
  run.space->sites.mask(thread.range_start, bytes);
  auto plan = x86::plan_range(code, thread.range_start, run.entries, run.space->mode);
  if (!plan) return;
  remove_sites(run);
  run.plan = std::move(*plan);
  run.native = insert_sites(pid, run);
}

// All or none.
bool RangeStepper::insert_sites(Pid pid, Run& run) {
  for (const Address at : run.plan.decisions) {
    if (!run.space->sites.insert_internal(pid, at)) {
      remove_sites(run);
      return false;
    }
    run.sites.push_back(at);
  }
  return true;
}

// Through whichever process still runs in that memory; with none left there is nothing to restore.
void RangeStepper::remove_sites(Run& run) {
  AddressSpace& space = *run.space;
  for (const Address at : run.sites) {
    if (space.users.empty()) break;
    space.sites.remove_internal(space.users.front()->pid, at);
    if (space.sites.find(at) == nullptr) forget_passed(space, at);
  }
  run.sites.clear();
  run.native = false;
}

void RangeStepper::end(Tid tid) {
  const auto found = runs_.find(tid);
  if (found == runs_.end()) return;
  remove_sites(found->second);
  runs_.erase(found);
}

void RangeStepper::end_unless(const std::function<bool(Tid)>& keep) {
  for (auto it = runs_.begin(); it != runs_.end();) {
    const bool kept = keep(it->first);
    if (!kept) remove_sites(it->second);
    it = kept ? std::next(it) : runs_.erase(it);
  }
}

std::vector<Tid> RangeStepper::text_changed(const AddressSpace& space, Address from,
                                            std::size_t size) {
  std::vector<Tid> concerned;
  for (auto& [tid, run] : runs_) {
    const Address start = run.plan.start;
    if (run.space.get() != &space || !run.native || from >= start + run.plan.starts.size() ||
        from + size <= start)
      continue;
    run.stale = true;
    concerned.push_back(tid);
  }
  return concerned;
}

void forget_passed(const AddressSpace& space, Address at) {
  for (Inferior* user : space.users)
    for (auto& [tid, member] : user->threads) member->passed_contexts.forget(at);
}

}  // namespace stub
