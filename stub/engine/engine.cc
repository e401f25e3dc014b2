#include "stub/engine/engine.h"

#include <algorithm>
#include <utility>

#include "stub/kernel/proc_fs.h"
#include "stub/kernel/syscall_restart.h"

namespace stub {

Engine::Engine(Tracee& tracee)
    : tracee_(tracee),
      inbox_(tracee),
      step_over_(tracee, inbox_),
      ranges_(tracee),
      conditions_(tracee) {}

Engine::~Engine() {
  while (!processes_.empty()) {
    const Pid pid = processes_.order().back();
    if (process(pid)->origin == Inferior::Origin::launched)
      (void)kill(pid);
    else
      (void)detach(pid);
    if (process(pid)) remove_process(*process(pid));
  }
}

// ---- events in ---------------------------------------------------------------------------------

// Threads that hit breakpoints in a loop can keep this busy for ever, so it comes up for air: the
// client may have something to say.
void Engine::on_child_event() {
  constexpr int most_at_once = 32;  // half a millisecond to a whole one
  handle_deaths();
  int seen = 0;
  for (; seen < most_at_once; ++seen) {
    const auto result = inbox_.wait();
    if (!result) break;
    on_wait(*result);
  }
  handle_deaths();
  hurry_steps();
  if (gate_ || lane_is_busy() || a_leader_is_watched() || (seen == 0 && a_leader_runs_alone()))
    check_zombie_leaders();
}

// Then nothing else would tell that it has become a zombie, for which there is a SIGCHLD but no
// status (kernel/exit.c, exit_notify and delay_group_leader).
bool Engine::a_leader_runs_alone() const {
  return std::any_of(processes_.begin(), processes_.end(), [](const auto& entry) {
    const auto& threads = entry.second->threads;
    return threads.size() > 1 && std::all_of(threads.begin(), threads.end(), [&](const auto& each) {
             return each.second->running == (each.first == leader_of(entry.first));
           });
  });
}

// Its SIGCHLD may have come together with another.
bool Engine::a_leader_is_watched() const {
  return std::any_of(processes_.begin(), processes_.end(), [&](const auto& entry) {
    return entry.second->threads.size() > 1 && interest_.wants_exit_of(leader_of(entry.first));
  });
}

// Nobody up the stack walks through threads now.
void Engine::handle_deaths() {
  while (!orphaned_.empty()) {
    Thread* child = thread(orphaned_.back());
    orphaned_.pop_back();
    if (child == nullptr || child->running) continue;
    if (child->process->release_at_stop)
      let_go(*child->process);
    else
      settle(*child);
  }
  while (const auto result = inbox_.take_put_back()) on_wait(*result);
}

bool Engine::lane_is_busy() const {
  return std::any_of(processes_.begin(), processes_.end(), [](const auto& entry) {
    return !entry.second->space->in_place.queue.empty();
  });
}

void Engine::on_wait(const WaitResult& result) {
  Thread* known = thread(result.tid);
  if (known == nullptr) return on_unknown(result);
  const WaitStatus status = decode_wait_status(result.status);
  if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status))
    on_exit(*known, status);
  else
    on_stop(*known, status);
}

// A new thread or process may be seen before its parent's event that announces it, and the leader
// of a process may come back after it was dropped as a zombie: to report the end of the process, or
// to exec in the name of another thread.
void Engine::on_unknown(const WaitResult& result) {
  const WaitStatus status = decode_wait_status(result.status);
  if (let_go_.erase(result.tid) != 0) return;
  Inferior* leader_of_known = process(Pid{raw(result.tid)});
  if (leader_of_known == nullptr) {
    inbox_.keep_early(result);
    // Where there are others, one of them may be about to tell of it.
    if (processes_.empty() && last_space_) release_orphans(*last_space_);
    return;
  }
  if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status))
    return on_process_exit(*leader_of_known, status);
  on_stop(add_thread(*leader_of_known, result.tid), status);
}

std::optional<std::chrono::milliseconds> Engine::poll_after() const {
  using namespace std::chrono_literals;
  if (inbox_.may_have_more() || inbox_.has_put_back() || !orphaned_.empty()) return 0ms;
  if ((gate_ && !at_rest()) || lane_is_busy()) return 20ms;
  return std::nullopt;
}

// ---- state settled -----------------------------------------------------------------------------

bool Engine::may_run(const Thread& thread) const {
  const Inferior& process = *thread.process;
  if (thread.want == Want::hold || thread.stop_pending || process.exiting) return false;
  if (gate_ && !process.hidden) return false;
  const InPlaceStep& in_place = process.space->in_place;
  return in_place.queue.empty();
}

void Engine::go_on(Thread& thread) {
  if (thread.running) return;
  if (may_run(thread)) return start(thread);
  park(thread);
}

void Engine::settle(Thread& thread) {
  if (!thread.running && may_run(thread) && replaced_by_exec(thread))
    thread.running = true;  // the event is about to be told
  go_on(thread);
}

// While a leader was held, a thread that ran may have called exec: the stopped leader was killed
// for it, and behind its id stands the caller now, at an event that has not been dealt with. To
// resume it would be to lose the event, and to write the registers of the old program into the new
// one.
bool Engine::replaced_by_exec(const Thread& thread) {
  constexpr int exec_code = SIGTRAP | static_cast<int>(PtraceEvent::exec) << 8;
  if (raw(thread.tid) != raw(thread.process->pid) || thread.process->threads.size() == 1)
    return false;
  const auto info = tracee_.siginfo(thread.tid);
  return info && info->si_code == exec_code;
}

// A thread that is to stay stopped. Should we be killed, it goes on from where the kernel has it;
// the signal of its stop is cancelled then, since a stop that was waited for carries none any more.
void Engine::park(Thread& thread) { (void)flush(thread); }

// Starting a thread can bring about an in-place step, which stops others; it cannot add or remove
// threads, so the iteration is safe.
void Engine::settle_all() {
  for (auto& [pid, process] : processes_)
    for (auto& [tid, thread] : process->threads) settle(*thread);
}

// A thread at a site it has dealt with steps over it. With a signal to deliver the handler comes
// first; the site is remembered, so that coming back from the handler is not a second hit
// (passed_contexts.h). Not so where the client steps: it sees the thread in the handler, and wants
// to be told when it comes back (gdb sets a breakpoint there for that).
void Engine::start(Thread& thread) {
  if (thread.general && thread.left_calls.settle(*thread.general, thread.mid_syscall))
    thread.general_dirty = true;
  if (thread.own_memory) thread.passed_site.reset();
  if (thread.passed_site && !thread.group_stopped) {
    auto regs = general(thread);
    if (!regs) return;
    Site* site = thread.process->space->sites.find(*thread.passed_site);
    const bool there = site != nullptr && !site->gone && (*regs)->pc() == *thread.passed_site;
    if (there && thread.signal == 0) return step_over_site(thread, *site);
    const auto info = there ? tracee_.siginfo(thread.tid) : Result<siginfo_t>(siginfo_t());
    if (there)
      thread.passed_next = {.state = **regs,
                            .outlives_handler = !is_step(thread.want),
                            .fault = info && info->si_code > 0};
    thread.passed_site.reset();
  }
  expect_restart(thread);
  resume_in_kernel(thread, how_wanted(thread));
}

// A signal is delivered with a step, which ends a range step in its handler, and which tells at a
// passed site whether there is a handler at all, and where its frame is (kernel/signal.c,
// signal_setup_done: a thread that is stepped stops at the first instruction of the handler).
ResumeHow Engine::how_wanted(const Thread& thread) {
  if (thread.group_stopped) return ResumeHow::listen;
  if (thread.want == Want::step) return ResumeHow::step;
  if (thread.want == Want::range &&
      (thread.signal != 0 || thread.own_memory || !thread.general ||
       !inside_range(thread, thread.general->pc()) || !ranges_.may_run(thread)))
    return ResumeHow::step;
  if (thread.signal != 0 && thread.passed_next) return ResumeHow::step;
  return how_to_run(thread);
}

ResumeHow Engine::how_to_run(const Thread& thread) {
  const bool sees_calls = thread.process->caught_syscalls || !thread.passed_contexts.empty();
  return sees_calls ? ResumeHow::syscall : ResumeHow::run;
}

// ESRCH here means that the thread is dying (SIGKILL ends even a ptrace stop): its exit status will
// come by wait(), so it counts as running.
void Engine::resume_in_kernel(Thread& thread, ResumeHow how) {
  if (thread.vfork_child) how = prepare_for_vfork(thread, how);
  (void)flush(thread);
  load_hardware(thread);
  if (thread.general) thread.resumed_pc = thread.general->pc();
  if (thread.general && thread.signal != 0 && how != ResumeHow::listen)
    thread.passed_contexts.interrupted(*thread.general);
  thread.removals_seen = thread.process->space->sites.removals();
  (void)tracee_.resume(thread.tid, how, how == ResumeHow::listen ? 0 : signal_to_give(thread));
  thread.settled.lift();
  thread.running = true;
  thread.interrupted = false;
  thread.stepped = how == ResumeHow::step;
  thread.traps_itself = thread.general && (thread.general->eflags & x86::trap_flag) != 0;
  thread.stepped_from.reset();
  if (thread.stepped && thread.general && !thread.traps_itself)
    thread.stepped_from = thread.general->pc();
  if (how != ResumeHow::listen) thread.signal = 0;
  thread.stop_signal = 0;
  thread.in_vfork = thread.vfork_child.has_value();
  if (!thread.in_vfork) thread.general.reset();
  // Another stop may have come in front of the interrupt, which takes that one off
  // (kernel/signal.c, ptrace_stop clears JOBCTL_TRAP_STOP). While the group is stopped, its stop is
  // what an interrupt is answered with (do_jobctl_trap).
  const bool back_to_group_stop = std::exchange(thread.left_group_stop, false);
  if (thread.stop_request || back_to_group_stop || (gate_ && !thread.process->hidden))
    request_interrupt(thread);
}

// The client's; else one of the program's own that goes back to where it was pending.
int Engine::signal_to_give(Thread& thread) {
  if (!std::exchange(thread.trap_mask.requeue, false)) return thread.signal;
  if (thread.signal == 0) return SIGTRAP;
  (void)tracee_.send_signal(thread.tid, SIGTRAP);
  return thread.signal;
}

// Whether an interrupted call starts again after a handler is the handler's choice (SA_RESTART). If
// it does, the site counts as hit again: the program executes its instruction a second time.
void Engine::expect_restart(Thread& thread) {
  if (!thread.interrupted_call || !thread.general) return;
  const auto& [site, stack_pointer] = *thread.interrupted_call;
  const x86::GeneralRegisters& regs = *thread.general;
  if (!awaits_restart(regs) || regs.pc() != site + syscall_length || regs.rsp != stack_pointer)
    return;
  thread.passed_next = {.state = restart_state(regs)};
}

void Engine::request_interrupt(Thread& thread) {
  if (!thread.running || thread.interrupted) return;
  thread.interrupted = tracee_.interrupt(thread.tid).has_value();
}

}  // namespace stub
