// Processes that are let go: by the client's detach, with the server's end, as the memory of a fork
// that nobody follows, or by a kill.
//
//   client's            a process that the client has
//     | detach()        every thread to a stop outside the areas; sites, areas and trap action go
//     v
//   let go (hidden, release_at_stop)
//     | let_go()        threads that are stopped: detached
//     v
//   sleepers            threads in vfork or in the kernel, which cannot stop yet
//     | release()       at the next stop of each; the last one takes the areas away
//     v
//   gone                the record is dropped
//
// A vfork child that is detached from while its parent needs the sites stays, hidden, until it
// execs (a guest); wait_for_sleepers() stands between the server's end and what has not stopped
// yet.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "stub/base/log.h"
#include "stub/engine/engine.h"
#include "stub/kernel/daemon_signals.h"
#include "stub/kernel/proc_fs.h"
#include "stub/stepping/ssol_mapping.h"
#include "stub/stepping/trap_action.h"

namespace stub {
namespace {

constexpr int stop_patience_ms = 5000;  // a thread in uninterruptible sleep may take longer
constexpr int kill_patience_ms = 10000;

// A vfork child that the client does not follow. It is let go with its host, when it is stopped
// outside of the areas: without sites it comes into none.
bool is_guest(const Inferior& user) { return user.hidden && user.vfork_parent; }

// Others run in that memory that are not let go, and so there may be sites in it.
bool is_needed_by_others(const AddressSpace& space, const Inferior* leaving) {
  return std::ranges::any_of(space.users, [&](const Inferior* user) {
    return user != leaving && !is_guest(*user) && !user->release_at_stop;
  });
}

}  // namespace

// The process and its guests, those born meanwhile as well. True when they are at rest.
bool Engine::stop_all_with(Pid leaving, const AddressSpace& space) {
  const auto rest = [&] {
    bool all = true;
    for (Inferior* user : space.users) {
      if (is_guest(*user)) user->exiting = true;
      if (user->pid != leaving && !is_guest(*user)) continue;
      for (auto& [tid, member] : user->threads) {
        if (!member->running || member->in_vfork) continue;
        request_interrupt(*member);
        all = false;
      }
    }
    return all;
  };
  return rest() || pump(rest, stop_patience_ms);
}

// Nothing is left in the memory that they run in, or others need it still.
void Engine::release_guests(const AddressSpace& space, bool needed) {
  for (Inferior* user : std::vector(space.users)) {
    if (!is_guest(*user) || !user->exiting) continue;
    user->exiting = false;
    if (!needed) {
      let_go(*user);
      continue;
    }
    for (auto& [tid, member] : user->threads) settle(*member);
  }
}

// A signal that the program was about to receive goes with it, unless the client has said that the
// program is not to see it.
int Engine::signal_to_leave_with(const Thread& thread) const {
  const int signal = thread.signal != 0 ? thread.signal : thread.stop_signal;
  if (signal != SIGTRAP && interest_.may_leave_with(signal)) return signal;
  return thread.trap_mask.requeue ? SIGTRAP : 0;
}

bool Engine::detach_thread(Thread& thread) {
  (void)flush(thread);
  unload_hardware(thread);
  return tracee_.detach(thread.tid, signal_to_leave_with(thread)).has_value();
}

Result<void> Engine::detach(Pid pid, bool stay_stopped) {
  Inferior* leaving = process(pid);
  if (leaving == nullptr && forget_end(pid)) return {};
  if (leaving == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  leaving->exiting = true;
  // A vfork child's memory is its parent's, and so are the sites in it: it stays with us, hidden,
  // until it execs.
  if (leaving->vfork_parent && is_needed_by_others(*leaving->space, leaving)) {
    leaving->exiting = false;
    hide(*leaving);
    return {};
  }
  const auto space = leaving->space;
  leaving->vfork_parent.reset();  // whose guest it was is gone
  space->sites.restore_all(pid);
  const bool all_stopped = stop_all_with(pid, *space);
  leaving = process(pid);
  const bool needed = is_needed_by_others(*space, leaving);
  if (leaving != nullptr) {
    space->sites.restore_all(pid);  // an in-place step may just have put its byte back
    tell_departure(*leaving);
    space->sites.clear();
    if (!needed) space->hardware = HardwarePoints();
    if (all_stopped && !needed) remove_areas(*space);
  }
  release_guests(*space, needed);
  handle_deaths();
  leaving = process(pid);
  if (leaving == nullptr) return {};
  if (stay_stopped) (void)tracee_.send_signal(leader_of(pid), SIGSTOP);
  let_go(*leaving);
  return {};
}

// Everybody is stopped outside the areas. A thread inside a system call cannot make another one,
// and not every other one can be asked (borrow_thread.h).
void Engine::remove_areas(AddressSpace& space) {
  for (Inferior* user : space.users)
    for (auto& [tid, member] : user->threads) {
      if (member->running || member->mid_syscall || member->own_memory) continue;
      if (space.areas.ranges().empty()) return;
      (void)flush(*member);
      unmap_areas(tracee_, inbox_, space, *member);
      if (inbox_.has_put_back(tid)) return;  // with it the others are dying
    }
}

// Asked while nothing is inserted: afterwards the action may be a trap's doing.
void Engine::note_trap_action(Inferior& process) {
  AddressSpace& space = *process.space;
  if (process.trap_ignored || !space.sites.empty() || !space.hardware.empty()) return;
  process.set_trap_ignored(ignores_trap(process.pid));
}

void Engine::restore_trap_action(Inferior& process) {
  if (!process.trap_ignored || !leaves_trap_alone(process.pid)) return;
  for (auto& [tid, member] : process.threads) {
    const bool gets_signal = signal_to_leave_with(*member) != 0;
    if (member->running || member->mid_syscall || member->own_memory || gets_signal) continue;
    if (!general(*member) || !flush(*member)) continue;
    if (ignore_trap(tracee_, inbox_, *process.space, *member) || inbox_.has_put_back(tid)) return;
  }
}

// Takes what is ours out of the process's memory and lets it run on untraced. A thread that cannot
// stop now (asleep in vfork) is let go when it stops.
void Engine::let_go(Inferior& process) {
  if (process.space->users.size() == 1) process.space->sites.restore_all(process.pid);
  process.hidden = true;
  process.exiting = false;
  process.unattended = false;
  process.release_at_stop = true;
  restore_trap_action(process);
  std::vector<Thread*> stopped;
  for (auto& [tid, member] : process.threads)
    if (!member->running) stopped.push_back(member.get());
  const auto leader = proc_fs::status(leader_of(process.pid));
  const Tid child_of_ours =
      leader && raw(leader->ppid) == getpid() ? leader_of(process.pid) : Tid{};
  for (Thread* member : stopped) {
    // The areas can be taken away when it has slept; till then they are its child's as well.
    if (member->vfork_child && !process.space->areas.ranges().empty()) {
      resume_in_kernel(*member, ResumeHow::run);
      continue;
    }
    // We still have to wait for a thread that was killed meanwhile, and for any child of ours.
    if (!detach_thread(*member) || member->tid == child_of_ours) let_go_.insert(member->tid);
    remove_thread(*member);
  }
  if (process.threads.empty()) remove_process(process);
}

// A stop of a process that was let go before. The last of its threads to stop takes the areas away,
// which it cannot do inside of vfork: it is stopped once more, behind it. Its child is out of the
// memory then, although its end may not have been told yet.
void Engine::release(Thread& thread, const WaitStatus& status) {
  Inferior& process = *thread.process;
  AddressSpace& space = *process.space;
  const bool is_last =
      !thread.own_memory &&
      std::ranges::all_of(space.users,
                          [&](const Inferior* user) {
                            return user == &process || user->vfork_parent == process.pid;
                          }) &&
      std::ranges::none_of(process.threads, [](const auto& each) { return each.second->running; });
  if (!is_last || space.areas.ranges().empty()) return let_go(process);
  const auto* event = std::get_if<EventStop>(&status);
  if (event != nullptr && event->event == PtraceEvent::vfork_done) {
    resume_in_kernel(thread, ResumeHow::run);
    return request_interrupt(thread);
  }
  if (event == nullptr) remove_areas(space);
  let_go(process);
}

// Children of threads that died before their event could be seen: nobody will announce them. They
// have a copy of the dead program's memory.
void Engine::release_orphans(const AddressSpace& space) {
  for (const Tid tid : inbox_.early_threads()) {
    const auto child = proc_fs::status(tid);
    if (child && (process(child->tgid) != nullptr || process(child->ppid) != nullptr)) continue;
    (void)inbox_.take_early(tid);
    if (child) release_orphan(tid, child->tgid, space);
  }
}

void Engine::release_orphan(Tid tid, Pid pid, const AddressSpace& space) {
  Inferior orphan;
  orphan.pid = pid;
  orphan.space = new_space(space.mode);
  Thread leader;
  leader.tid = tid;
  leader.process = &orphan;
  if (const auto regs = tracee_.registers(tid)) {
    leader.set_fetched(*regs);
    (void)step_over_.leave_slot(leader, space);
    (void)flush(leader);
    space.sites.restore_all(pid);
    space.sites.restore_removed(pid, 0);
  }
  (void)tracee_.detach(tid, 0);
  tracee_.forget_memory(pid);
}

// For a program that is to end with us it is enough that it is traced. The trap flag stays in a
// thread as the debug registers do: the kernel takes it out of a stopped thread with PTRACE_DETACH,
// not when the tracer exits.
bool has_something_of_ours(const Thread& asleep) {
  return asleep.process->lifetime == Lifetime::exit_kill ||
         !asleep.process->space->areas.ranges().empty() ||
         asleep.debug_loaded != DebugRegisters() || asleep.stepped;
}

// A thread with something of ours in it that has not stopped since its program was let go. The
// kernel reports nothing more of a thread that another thread's exec has replaced.
Thread* Engine::sleeper() {
  for (const auto& [pid, process] : processes_) {
    if (!process->release_at_stop) continue;
    for (const auto& [tid, member] : process->threads) {
      if (!member->running || !has_something_of_ours(*member)) continue;
      const auto status = proc_fs::status(tid);
      if (status && raw(status->tracer) == ::getpid() && status->state != 'Z') return member.get();
    }
  }
  return nullptr;
}

void Engine::wait_for_sleepers() {
  constexpr int rounds_in_silence = 20;
  constexpr timespec round{0, 50'000'000};
  int rounds = 0;
  for (const Pid pid : std::vector(processes_.order()))
    if (const Inferior* left = process(pid); left && !left->release_at_stop && !left->exiting)
      (void)detach(pid);
  for (Thread* asleep = sleeper(); asleep != nullptr; asleep = sleeper()) {
    request_interrupt(*asleep);
    if (++rounds == rounds_in_silence)
      say("Waiting to let go of process " + std::to_string(raw(asleep->process->pid)) +
          ": its thread " + std::to_string(raw(asleep->tid)) + " is in an uninterruptible sleep");
    wait_for_child_signal(round);
    on_child_event();
  }
  for (auto& [pid, process] : processes_) process->entry = ProcessEntry();  // nobody needs to look
}

Result<void> Engine::kill(Pid pid) {
  Inferior* dying = process(pid);
  if (dying == nullptr && forget_end(pid)) return {};
  if (dying == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  dying->exiting = true;
  for (const auto& [tid, member] : dying->threads)
    if (member->own_process) (void)tracee_.kill(Pid{raw(tid)});
  (void)tracee_.kill(pid);
  // Hidden vfork children run on the memory of the dead; they go on by themselves.
  pump([&] { return process(pid) == nullptr; }, kill_patience_ms);
  return {};
}

void Engine::tell_departure(const Inferior& process) {
  if (departure_observer_ && !process.hidden) departure_observer_(process);
}

}  // namespace stub
