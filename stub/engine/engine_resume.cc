// The client's side of running: vCont and interrupts.
#include <algorithm>

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

}  // namespace

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
