// The client's side of running: vCont, interrupts, and the queue of reports.
#include <algorithm>
#include <utility>

#include "stub/base/clock.h"
#include "stub/engine/engine.h"

namespace stub {
namespace {

bool matches(const ResumeAction& action, const Thread& thread) {
  if (action.tid) return *action.tid == thread.tid;
  return !action.pid || *action.pid == thread.process->pid;
}

// Who is to answer a Ctrl-C: the thread that the client prefers, and before it any one that can
// really be stopped. 0: it cannot.
int fitness_for_interrupt(const Thread& thread, bool preferred) {
  if (thread.want == Want::hold || thread.stop_pending) return 0;
  return 1 + (preferred ? 1 : 0) + (thread.in_vfork ? 0 : 2);
}

// Of the thread alone: nothing that other threads or processes have to do with.
bool is_plain_stop(StopKind kind) {
  return kind == StopKind::signal || kind == StopKind::breakpoint ||
         kind == StopKind::hw_breakpoint || kind == StopKind::write_watch ||
         kind == StopKind::access_watch || kind == StopKind::step;
}

}  // namespace

// ---- reports -----------------------------------------------------------------------------------

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

// ---- resuming ----------------------------------------------------------------------------------

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

Result<void> Engine::resume(std::span<const ResumeAction> actions,
                            const std::deque<StopReport>& on_their_way) {
  const auto untouched = non_stop_ ? unacknowledged(on_their_way) : std::set<Tid>();
  std::vector<Thread*> matched;
  for (auto& [pid, process] : processes_) {
    if (process->hidden || process->exiting) continue;
    for (auto& [tid, member] : process->threads) {
      const auto action = std::find_if(actions.begin(), actions.end(),
                                       [&](const auto& a) { return matches(a, *member); });
      if (action == actions.end()) continue;
      matched.push_back(member.get());
      if (action->kind != ResumeAction::Kind::stop && untouched.contains(tid)) continue;
      apply(*action, *member);
    }
  }
  if (matched.empty()) return fail(Errc::thread_gone, "No such thread", ESRCH);
  if (!non_stop_ && reports_.has_next(steps_come_first())) gate_ = true;
  // Before anything runs: a thread that is just being stepped would be done with it first.
  if (interrupt_owed_) (void)interrupt(std::nullopt);
  // Those that are stepped first: what the others run into would only delay the step.
  std::stable_partition(matched.begin(), matched.end(),
                        [](const Thread* each) { return is_step(each->want); });
  for (Thread* each : matched) settle(*each);
  handle_deaths();
  return {};
}

void Engine::apply(const ResumeAction& action, Thread& thread) {
  if (action.kind == ResumeAction::Kind::stop) {
    if (thread.want == Want::hold) return;
    thread.stop_new_threads = !action.tid;
    if (!thread.stop_pending) return ask_to_stop(thread, 0);
    thread.stop_request = 0;  // in case the stop that waits is not told after all
    return;
  }
  if (thread.want != Want::hold) return;  // runs already
  thread.last_stop.reset();
  switch (action.kind) {
    case ResumeAction::Kind::run:
      thread.want = Want::run;
      break;
    case ResumeAction::Kind::step:
      thread.want = Want::step;
      break;
    default:
      thread.want = action.range_start < action.range_end ? Want::range : Want::step;
      thread.range_start = action.range_start;
      thread.range_end = action.range_end;
      break;
  }
  // A step that was done before the client changed its mind is not worth a stop.
  if (thread.stop_pending && thread.want == Want::run)
    (void)reports_.take_if([&](const StopReport& report) {
      return report.tid == thread.tid && report.stop.kind == StopKind::step;
    });
  if (thread.stop_pending) return;
  thread.stop_request.reset();
  if (action.signal == 0) return;
  if (thread.takes_signal && thread.signal == 0) {
    thread.signal = action.signal;
    return;
  }
  // The thread is not in a stop that a signal can be delivered from, or has one to deliver already.
  thread.sent_signal = action.signal;
  (void)tracee_.send_signal(thread.tid, action.signal);
}

Result<void> Engine::interrupt(std::optional<Tid> prefer) {
  interrupt_owed_ = !non_stop_;
  check_zombie_leaders();
  Thread* chosen = nullptr;
  int best = 0;
  for (const Pid pid : processes_.order()) {
    if (process(pid)->hidden) continue;
    for (auto& [tid, member] : process(pid)->threads) {
      const int fitness = fitness_for_interrupt(*member, tid == prefer);
      if (fitness <= best) continue;
      best = fitness;
      chosen = member.get();
    }
  }
  // gdb, in its all-stop mode on non-stop packets, may send vCtrlC before the vCont that it is for.
  if (chosen == nullptr) interrupt_owed_ = true;
  if (chosen == nullptr) return fail(Errc::refused, "No thread is running");
  chosen->stop_new_threads = false;
  ask_to_stop(*chosen, SIGINT);
  return {};
}

// A thread that is stopped already, or asleep in vfork, says so at once: it could not answer before
// its child is gone, for which the client may have to stop first.
void Engine::ask_to_stop(Thread& thread, int signal) {
  thread.stop_request = signal;
  if (thread.running && !thread.in_vfork) return request_interrupt(thread);
  queue_stop(thread, {.kind = StopKind::signal, .signal = signal, .interrupt = signal == SIGINT});
}

bool Engine::any_resumed() const {
  for (const auto& [pid, process] : processes_) {
    if (process->hidden) continue;
    for (const auto& [tid, member] : process->threads)
      if (member->want != Want::hold) return true;
  }
  return false;
}

// In non-stop, attaching stops nobody but for the leader, which is where the user begins. A server
// that has attached before it had a client did so in all-stop; gdbserver lets the others run at
// QNonStop as well.
void Engine::release_bystanders() {
  for (auto& [pid, process] : processes_) {
    const Tid leader = leader_of(pid);
    const auto untouched = [&](const auto& entry) {
      const auto& last = entry.second->last_stop;
      return entry.first == leader ||
             (last && last->kind == StopKind::signal && last->signal == 0 && !last->interrupt);
    };
    if (process->origin != Inferior::Origin::attached || process->hidden ||
        !std::all_of(process->threads.begin(), process->threads.end(), untouched))
      continue;
    for (auto& [tid, member] : process->threads) {
      if (tid == leader) continue;
      member->want = Want::run;
      member->last_stop.reset();
    }
  }
}

void Engine::set_non_stop(bool on) {
  if (on == non_stop_) return;
  non_stop_ = on;
  gate_ = false;
  interrupt_owed_ = false;
  if (on) {
    release_bystanders();
    return settle_all();
  }
  // Everything stops, unreported; what is queued stays queued until its thread is resumed.
  gate_ = true;
  close_gate();
  pump([&] { return at_rest(); }, 2000);
  for (auto& [pid, process] : processes_)
    if (!process->hidden)
      for (auto& [tid, member] : process->threads) member->want = Want::hold;
  end_idle_ranges();
  gate_ = false;
}

void Engine::set_thread_options(unsigned options, std::optional<Pid> pid, std::optional<Tid> tid) {
  for (const auto& [id, member] : processes_.threads()) {
    if ((tid && *tid != id) || (pid && *pid != member->process->pid)) continue;
    interest_.set_thread_options(id, options);
  }
}

}  // namespace stub
