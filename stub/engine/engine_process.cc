// Taking on processes and letting them go.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "stub/base/clock.h"
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

void sleep_us(long microseconds) {
  const timespec pause{0, microseconds * 1000};
  nanosleep(&pause, nullptr);
}

}  // namespace

// ---- bookkeeping -------------------------------------------------------------------------------

std::optional<Pid> Engine::process_of(Tid tid) const {
  const Thread* known = find(tid);
  return known ? std::optional(known->process->pid) : std::nullopt;
}

// No event tells that the leader has become a zombie while others live on.
bool Engine::is_zombie_leader(const Thread& thread) const {
  if (!thread.running || thread.tid != leader_of(thread.process->pid) ||
      thread.process->threads.size() < 2)
    return false;
  const auto stat = proc_fs::stat(thread.tid);
  return stat && stat->state == 'Z';
}

std::vector<Tid> Engine::threads(Pid pid) const {
  std::set<Tid> untold;
  for (const StopReport& report : reports_)
    if (const auto child = child_of(report.stop)) untold.insert(*child);
  std::vector<Tid> tids;
  if (const Inferior* known = find(pid))
    for (const auto& [tid, member] : known->threads)
      if (!untold.contains(tid) && !is_zombie_leader(*member)) tids.push_back(tid);
  return tids;
}

std::shared_ptr<AddressSpace> Engine::new_space(x86::Mode mode) {
  return std::make_shared<AddressSpace>(tracee_, mode);
}

Thread& Engine::add_thread(Inferior& process, Tid tid) {
  let_go_.erase(tid);  // the id of a thread that has ended
  return processes_.add_thread(process, tid);
}

// Handles events until `done` or the time is up.
bool Engine::pump(const std::function<bool()>& done, int milliseconds) {
  const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(milliseconds) * 1'000'000u;
  long pause_us = 20;
  while (true) {
    on_child_event();
    if (done()) return true;
    if (now_ns() > end) return false;
    if (inbox_.may_have_more()) continue;
    check_zombie_leaders();
    sleep_us(pause_us);
    pause_us = std::min(pause_us * 2, 2000l);
  }
}

// ---- letting go --------------------------------------------------------------------------------

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

// Of a program that is to end with us, being traced is enough. The trap flag stays as the debug
// registers do: the kernel takes it out of a stopped thread with PTRACE_DETACH, not when the tracer
// exits.
bool has_something_of_ours(const Thread& asleep) {
  return asleep.process->lifetime == Lifetime::exit_kill ||
         !asleep.process->space->areas.ranges().empty() ||
         asleep.debug_loaded != DebugRegisters() || asleep.stepped;
}

// A thread of a program that was let go which has not stopped since, and has something of ours. One
// that an exec of another thread has replaced is never heard of again.
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

}  // namespace stub
