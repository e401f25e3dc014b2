// Stops that the client has not been told yet. Chooses the next one, those that are told together
// with it, and the threads that have to be stopped first.
#include <algorithm>
#include <utility>

#include "stub/base/clock.h"
#include "stub/engine/engine.h"

namespace stub {
namespace {

// Of the thread alone: nothing that other threads or processes have to do with.
bool is_plain_stop(StopKind kind) {
  return kind == StopKind::signal || kind == StopKind::breakpoint ||
         kind == StopKind::hw_breakpoint || kind == StopKind::write_watch ||
         kind == StopKind::access_watch || kind == StopKind::step;
}

}  // namespace

void Engine::queue_stop(Thread& thread, Stop stop) {
  if (thread.process->hidden || thread.process->exiting) {
    disown_child(stop);
    return settle(thread);
  }
  ranges_.end(thread.tid);
  park(thread);
  reports_.add({thread.process->pid, thread.tid, std::move(stop)});
  if (!non_stop_) close_gate();
  if (!thread.process->space->in_place.queue.empty()) advance_in_place(*thread.process->space);
}

// A child that the client will never hear of now is let go, or let run.
void Engine::disown_child(const Stop& stop) {
  if (stop.kind == StopKind::cloned) {
    if (Thread* created = thread(Tid{static_cast<pid_t>(stop.value)})) created->want = Want::run;
    return;
  }
  if (stop.kind != StopKind::fork && stop.kind != StopKind::vfork) return;
  Inferior* child = process(Pid{static_cast<pid_t>(stop.value)});
  if (child == nullptr) return;
  child->hidden = true;
  child->release_at_stop = !child->vfork_parent;  // it has a memory of its own
  for (auto& [tid, member] : child->threads) {
    member->want = Want::run;
    orphaned_.push_back(tid);
  }
}

void Engine::drop_reports(Tid tid) {
  const auto dropped = reports_.take_if([&](const StopReport& report) {
    return report.tid == tid && is_thread_stop(report.stop.kind);
  });
  for (const StopReport& report : dropped) disown_child(report.stop);
}

// A process that ended before the client had it detached or killed: its end is not told then.
bool Engine::forget_end(Pid pid) {
  const auto ends = reports_.take_if([&](const StopReport& report) {
    return report.pid == pid && (report.stop.kind == StopKind::process_exited ||
                                 report.stop.kind == StopKind::process_killed);
  });
  return !ends.empty();
}

// The step that the client waits for is over in a moment, and its report comes first
// (next_report()); interrupted, the thread would as a rule stop in front of it.
void Engine::close_gate() {
  if (!gate_) gate_closed_ns_ = now_ns();
  gate_ = true;
  interrupt_all([](const Thread& member) { return !(member.stepped && is_step(member.want)); });
}

// Not so for a step into a system call that sleeps.
void Engine::hurry_steps() {
  constexpr std::uint64_t patience_ns = 10'000'000;
  if (gate_ && now_ns() - gate_closed_ns_ > patience_ns && !at_rest())
    interrupt_all([](const Thread&) { return true; });
}

void Engine::interrupt_all(const std::function<bool(const Thread&)>& chosen) {
  for (auto& [pid, process] : processes_)
    if (!process->hidden)
      for (auto& [tid, member] : process->threads)
        if (chosen(*member)) request_interrupt(*member);
}

bool Engine::at_rest() const {
  for (const auto& [pid, process] : processes_) {
    if (process->hidden) continue;
    for (const auto& [tid, member] : process->threads)
      if (member->running && !member->in_vfork) return false;
  }
  return true;
}

// A breakpoint that was removed before its hit could be told was not hit: the PC is at its address,
// the thread just goes on.
bool Engine::still_valid(const StopReport& report) {
  if (report.stop.kind == StopKind::no_resumed) return none_resumed();
  if (report.stop.kind != StopKind::breakpoint) return true;
  Thread* hit = thread(report.tid);
  if (hit == nullptr) return false;
  const Site* site =
      hit->passed_site ? hit->process->space->sites.find(*hit->passed_site) : nullptr;
  return site != nullptr && site->client;
}

std::optional<StopReport> Engine::take_report() {
  if (!non_stop_ && gate_ && !at_rest()) return std::nullopt;
  while (auto report = reports_.take_next(steps_come_first())) {
    Thread* stopped = reports_.thread_of(*report);
    if (!still_valid(*report)) {
      if (stopped) stopped->passed_site.reset();
      if (stopped && non_stop_) settle(*stopped);
      continue;
    }
    hold_after(*report, stopped);
    if (follower_ != nullptr) follower_->rest();
    return report;
  }
  if (!non_stop_ && gate_) {  // whatever closed the gate is not worth a report any more
    gate_ = false;
    settle_all();
  }
  return std::nullopt;
}

// Nothing of a range step is left in memory when the client is told that it is over.
void Engine::end_idle_ranges() {
  ranges_.end_unless([&](Tid tid) {
    const Thread* stepping = thread(tid);
    return stepping != nullptr && stepping->want == Want::range;
  });
}

std::vector<StopReport> Engine::take_companions() {
  auto taken = reports_.take_if([&](const StopReport& report) {
    const Thread* stopped = is_plain_stop(report.stop.kind) ? thread(report.tid) : nullptr;
    return stopped != nullptr && stopped->want == Want::hold && still_valid(report);
  });
  for (const StopReport& report : taken) thread(report.tid)->last_stop = report.stop;
  return taken;
}

void Engine::hold_after(const StopReport& report, Thread* stopped) {
  if (stopped) {
    stopped->want = Want::hold;
    stopped->last_stop = report.stop;
    stopped->stop_request.reset();
  }
  if (non_stop_) return;
  gate_ = false;
  // Only its own stop answers a Ctrl-C: gdb, in the middle of a step or of a condition it evaluates
  // itself, goes on after any other and would never stop (GDB manual, "Interrupts": an interrupt of
  // a stopped program takes effect when it is resumed).
  const auto kind = report.stop.kind;
  if (report.stop.interrupt || kind == StopKind::process_exited || kind == StopKind::process_killed)
    interrupt_owed_ = false;
  (void)reports_.take_if([](const StopReport& other) { return other.stop.interrupt; });
  for (auto& [pid, process] : processes_)
    if (!process->hidden)
      for (auto& [tid, member] : process->threads) {
        member->want = Want::hold;
        member->stop_request.reset();
      }
  end_idle_ranges();
}

std::set<Tid> Engine::unacknowledged(const std::deque<StopReport>& on_their_way) const {
  std::set<Tid> threads;
  const auto add = [&](const StopReport& report) {
    threads.insert(report.tid);
    if (const auto child = child_of(report.stop)) threads.insert(*child);
  };
  std::for_each(on_their_way.begin(), on_their_way.end(), add);
  for (const StopReport& report : reports_) {
    const Thread* stopped = reports_.thread_of(report);
    if (stopped == nullptr || stopped->want != Want::hold) add(report);
  }
  return threads;
}

// `N`: the client waits for a stop that cannot come any more. In all-stop any other report answers
// the client as well. In non-stop it comes even after the report of the thread's own exit, as with
// gdbserver: gdb goes on waiting after that one. Whether it is still true is asked when it is told
// (still_valid()): by then another thread may have been resumed.
void Engine::report_if_none_resumed() {
  if (!interest_.events.no_resumed || any_still_to_stop()) return;
  if (!non_stop_ && reports_.has_next(steps_come_first())) return;
  if (!reports_.has_kind(StopKind::no_resumed))
    reports_.add({Pid{}, Tid{}, {.kind = StopKind::no_resumed}});
}

bool Engine::any_still_to_stop() const {
  return std::ranges::any_of(processes_.threads(), [](const auto& entry) {
    const Thread& each = *entry.second;
    return !each.process->hidden && each.want != Want::hold && !each.stop_pending;
  });
}

// There are threads, and all of them are held. Not so when they are dying with the last thread that
// ran (exit_group): a held thread that cannot be asked for its registers is no longer stopped, and
// the end of its process is about to be told.
bool Engine::none_resumed() {
  bool any_held = false;
  for (const auto& [pid, process] : processes_) {
    if (process->hidden) continue;
    for (const auto& [tid, member] : process->threads) {
      if (member->want != Want::hold) return false;
      any_held = any_held || tracee_.registers(tid).has_value();
    }
  }
  return any_held;
}

}  // namespace stub
