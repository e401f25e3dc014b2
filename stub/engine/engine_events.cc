// Threads and processes come and go: clone, fork, vfork, exec, exit.
#include <algorithm>

#include "stub/engine/engine.h"
#include "stub/kernel/exec_pkru.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

bool is_alive(Tid tid) {
  const auto stat = proc_fs::stat(tid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

bool is_dying(Tid tid) {
  const auto stat = proc_fs::stat(tid);
  return !stat || stat->state == 'Z' || stat->state == 'X' || stat->is_dying();
}

}  // namespace

void Engine::on_event(Thread& thread, PtraceEvent event) {
  const auto message = tracee_.event_message(thread.tid);
  if (!message) {  // killed at this very stop
    thread.running = true;
    return;
  }
  const std::uint64_t value = *message;
  switch (event) {
    case PtraceEvent::clone:
      return on_clone(thread, Tid{static_cast<pid_t>(value)});
    case PtraceEvent::fork:
      return on_fork(thread, Pid{static_cast<pid_t>(value)}, false);
    case PtraceEvent::vfork:
      return on_fork(thread, Pid{static_cast<pid_t>(value)}, true);
    case PtraceEvent::vfork_done:
      return on_vfork_done(thread);
    case PtraceEvent::exec:
      return on_exec(thread);
    case PtraceEvent::stop:
      return settle(thread);
  }
  settle(thread);  // an event of a newer kernel that we did not ask for
}

// The new thread has been seized by the kernel; its first stop may have come already. A clone
// without CLONE_THREAD is a process to the kernel; for the client it is a thread, as with gdbserver
// and gdb itself. One that has a copy of the memory loses our bytes in it before it runs: it hits
// no breakpoint, for which it would have to have an area, sites and slots of its own.
void Engine::on_clone(Thread& parent, Tid child) {
  const auto status = proc_fs::status(child);
  const bool apart = status && status->tgid != parent.process->pid;
  const bool copied =
      apart && !tracee_.shares_memory(parent.process->pid, status->tgid).value_or(false);
  if (copied && parent.process->hidden) return on_fork(parent, status->tgid, false);
  if (copied) {
    const BreakpointTable& sites = parent.process->space->sites;
    sites.restore_all(status->tgid);
    sites.restore_removed(status->tgid, parent.removals_seen);
  }
  Thread& created = add_thread(*parent.process, child);
  created.own_process = apart;
  created.own_memory = copied;
  created.seen_epoch = 0;  // it starts in its parent's slot, if that was in one
  created.want = Want::run;
  const bool is_told = interest_.wants_clones_of(parent.tid);
  if (is_told) {
    created.want = Want::hold;
    queue_stop(parent, {.kind = StopKind::cloned,
                        .signal = SIGTRAP,
                        .value = static_cast<std::uint64_t>(raw(child))});
  } else {
    created.announce = interest_.events.threads;
    // The client asked all threads to stop while this one was being born: it does not know of it,
    // and nothing would tell it later that one still runs.
    if (parent.stop_request && parent.stop_new_threads) {
      created.stop_request = parent.stop_request;
      created.stop_new_threads = true;
    }
    settle(parent);
  }
  dispatch_early(child, is_told);
}

// The first stop of a new thread, if it came before its parent's event; `wait`: the client is about
// to be told of the thread and may ask for its registers, so the stop is waited for. It is certain
// to come at once, or the thread's death is.
//
// A death that was waited for is of an earlier bearer of the id, if there is somebody alive now.
void Engine::dispatch_early(Tid tid, bool wait) {
  auto early = inbox_.take_early(tid);
  if (early && !WIFSTOPPED(early->status) && is_alive(tid)) early.reset();
  if (early)
    deaths_or_stop(*early);
  else if (wait)
    if (const auto first = tracee_.wait_for(tid)) deaths_or_stop(*first);
}

// A death changes the set of threads, which a caller up the stack may be walking through.
void Engine::deaths_or_stop(const WaitResult& result) {
  const WaitStatus status = decode_wait_status(result.status);
  if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status))
    inbox_.put_back(result);
  else
    on_wait(result);
}

// The memory of a fork child is a copy from the middle of the call, and the call is over: what was
// taken out of the parent's since then is still in it.
std::shared_ptr<AddressSpace> Engine::copied_space(const Thread& parent, Pid child) {
  const auto& origin = parent.process->space;
  auto space = new_space(origin->mode);
  space->sites.copy_from(origin->sites);
  space->sites.drop_internal(child);
  origin->sites.restore_removed(child, parent.removals_seen);
  space->filters = origin->filters;
  space->sites.for_each([&](Site& site) {
    site.filter = space->filter_at(site.address);
    site.program.persist = false;  // the client has asked for that in the parent alone
  });
  space->parent_areas = origin;
  space->hardware = origin->hardware;
  return space;
}

// The child of a fork has a copy of our bytes in its memory (the area is not copied), the child of
// a vfork runs on its parent's. A child the client does not follow is let go at its first stop,
// clean; a vfork child only at its exec, because the sites it may run into stay in for the parent.
void Engine::on_fork(Thread& parent, Pid child, bool vfork) {
  Inferior& origin = *parent.process;
  const bool followed = !origin.hidden && (vfork ? interest_.events.vfork : interest_.events.fork);
  // clone(CLONE_VM) without CLONE_VFORK is announced as a fork, and CLONE_VFORK without CLONE_VM as
  // a vfork.
  const bool shares_memory = tracee_.shares_memory(origin.pid, child).value_or(vfork);
  Inferior& process = processes_.add_process(
      child, shares_memory ? origin.space : copied_space(parent, child), origin.lifetime);
  if (followed && !shares_memory) process.space->sites.put_in_missing(child);
  process.origin = origin.origin;
  process.set_trap_ignored(origin.trap_ignored);
  process.hidden = !followed;
  process.release_at_stop = !followed && !shares_memory;
  if (shares_memory) process.vfork_parent = origin.pid;
  Thread& leader = add_thread(process, leader_of(child));
  leader.want = followed ? Want::hold : Want::run;
  leader.seen_epoch = 0;                                                // as in on_clone()
  if (!shares_memory) leader.passed_contexts = parent.passed_contexts;  // it returns from them, too
  if (vfork) parent.vfork_child = child;
  dispatch_early(leader_of(child), followed);
  if (followed)
    queue_stop(parent, {.kind = vfork ? StopKind::vfork : StopKind::fork,
                        .signal = SIGTRAP,
                        .value = static_cast<std::uint64_t>(raw(child))});
  else if (vfork && parent.stop_request)  // later it could not answer
    ask_to_stop(parent, *parent.stop_request);
  else
    settle(parent);
}

// A thread that is a process to the kernel survives the end of the one it was shown in, and an exec
// of its own leaves that one alone. It goes on as a vfork child does: hidden, on its former memory.
Inferior& Engine::set_apart(Thread& member) {
  Inferior& former = *member.process;
  drop_reports(member.tid);
  Inferior& own = processes_.add_process(Pid{raw(member.tid)}, former.space, former.lifetime);
  own.origin = former.origin;
  own.hidden = true;
  own.release_at_stop = member.own_memory;
  processes_.move_thread(member, own);
  member.own_process = false;
  member.want = Want::run;
  member.stop_request.reset();
  orphaned_.push_back(member.tid);
  return own;
}

// The whole process has a new memory image. All other threads are gone without a word, and the one
// that called exec has the leader's id now (ptrace(2), "execve(2) under ptrace").
void Engine::on_exec(Thread& reported) {
  const bool leaves = reported.own_process;
  const bool client_resumed_it = !reported.process->hidden && reported.want != Want::hold;
  Inferior& process = leaves ? set_apart(reported) : *reported.process;
  if (leaves && client_resumed_it) report_if_none_resumed();
  const auto former = tracee_.event_message(reported.tid);
  Thread* caller = former ? thread(Tid{static_cast<pid_t>(*former)}) : nullptr;
  const Want want = caller ? caller->want : Want::run;
  const auto stop_request = caller ? caller->stop_request : std::nullopt;
  reported.want = Want::hold;  // until all is in place
  tell_departure(process);
  std::erase(process.space->users, &process);
  ranges_.end(reported.tid);
  std::vector<Thread*> others;
  for (auto& [tid, other] : process.threads)
    if (other.get() != &reported) others.push_back(other.get());
  for (Thread* other : others) remove_thread(*other);
  drop_reports(reported.tid);
  tracee_.forget_memory(process.pid);
  const auto regs = tracee_.registers(reported.tid);
  join(process, new_space(regs ? regs->mode() : process.space->mode));
  const Tid tid = reported.tid;
  reported = Thread();
  reported.tid = tid;
  reported.process = &process;
  reported.running = false;
  if (regs) reported.set_fetched(*regs);
  complete_pkru_after_exec(tracee_, tid);
  reported.want = want;
  reported.stop_request = stop_request;
  process.vfork_parent.reset();
  wake_vfork_parent(process.pid);
  if (process.unattended) return settle(reported);
  if (process.hidden) return let_go(process);
  if (!interest_.events.exec) return settle(reported);
  const auto path = proc_fs::executable_to_open(process.pid);
  queue_stop(reported,
             {.kind = StopKind::exec, .signal = SIGTRAP, .path = path.value_or(std::string())});
}

void Engine::on_exit(Thread& thread, const WaitStatus& status) {
  const auto space = thread.process->space;
  const bool lane_was_busy = !space->in_place.queue.empty();
  if (thread.in_place_step) end_in_place(thread);
  forget_exited(thread, status);
  if (lane_was_busy) advance_in_place(*space);
}

void Engine::forget_exited(Thread& thread, const WaitStatus& status) {
  if (raw(thread.tid) == raw(thread.process->pid)) return on_process_exit(*thread.process, status);
  const auto* exited = std::get_if<Exited>(&status);
  on_thread_gone(thread, exited ? exited->code : 0);
}

// A thread has gone and its process has not. The client is told of it where it wants to be, of a
// leader too (as gdbserver 16 does; gdb 16 waits for that word and makes nothing of `N` before it).
// No code: the end of the process is about to be told instead.
void Engine::on_thread_gone(Thread& gone, std::optional<int> code) {
  const Pid pid = gone.process->pid;
  const Tid tid = gone.tid;
  const bool wanted = code && interest_.wants_exit_of(tid);
  const bool was_resumed = gone.want != Want::hold;
  const bool asked_to_stop = gone.stop_request == SIGINT;
  const bool is_exiting = gone.process->exiting;
  const bool is_clients = !gone.process->hidden && !is_exiting;
  remove_thread(gone);
  if (wanted && is_clients) {
    reports_.add(
        {pid, tid, {.kind = StopKind::thread_exited, .value = static_cast<std::uint64_t>(*code)}});
    if (!non_stop_) close_gate();
  }
  // The Ctrl-C it was to answer is still to be answered.
  if (asked_to_stop && !is_exiting) (void)interrupt(std::nullopt);
  if (was_resumed && is_clients) report_if_none_resumed();
}

void Engine::on_process_exit(Inferior& process, const WaitStatus& status) {
  const Pid pid = process.pid;
  const bool told = !process.hidden && !process.exiting;
  const auto space = process.space;
  std::vector<Thread*> survivors;
  for (auto& [tid, member] : process.threads)
    if (member->own_process) survivors.push_back(member.get());
  for (Thread* member : survivors) set_apart(*member);
  remove_process(process);
  wake_vfork_parent(pid);
  last_space_ = space;
  release_orphans(*space);
  if (!told) return;
  Stop stop;
  if (const auto* exited = std::get_if<Exited>(&status)) {
    stop.kind = StopKind::process_exited;
    stop.value = static_cast<std::uint64_t>(exited->code);
  } else {
    stop.kind = StopKind::process_killed;
    stop.signal = std::get<Killed>(status).signal;
  }
  reports_.add({pid, leader_of(pid), stop});
  if (!non_stop_) close_gate();
}

// What is kept of a thread outside it.
void Engine::forget(Tid tid, AddressSpace& space) {
  drop_reports(tid);
  ranges_.end(tid);
  interest_.forget(tid);
  std::erase(space.in_place.queue, tid);
}

void Engine::remove_thread(Thread& gone) {
  const Tid tid = gone.tid;
  AddressSpace& space = *gone.process->space;
  const bool lane_was_busy = !space.in_place.queue.empty();
  if (gone.own_memory) tracee_.forget_memory(Pid{raw(tid)});
  forget(tid, space);
  processes_.erase(gone);
  if (lane_was_busy) advance_in_place(space);
}

void Engine::remove_process(Inferior& gone) {
  const Pid pid = gone.pid;
  const auto space = gone.space;
  tell_departure(gone);
  const bool lane_was_busy = !space->in_place.queue.empty();
  for (auto& [tid, member] : gone.threads) forget(tid, *space);
  tracee_.forget_memory(pid);
  processes_.erase(gone);
  if (processes().empty()) interrupt_owed_ = false;
  if (lane_was_busy) advance_in_place(*space);
}

// A leader that has called pthread_exit stays as a zombie until its threads are gone; it cannot
// stop and is no thread any more for the client.
void Engine::check_zombie_leaders() {
  std::vector<Thread*> zombies;
  for (auto& [pid, process] : processes_) {
    Thread* leader = thread(leader_of(pid));
    if (leader != nullptr && is_zombie_leader(*leader)) zombies.push_back(leader);
  }
  for (Thread* leader : zombies)
    on_thread_gone(*leader, is_outlived(*leader) ? std::optional(0) : std::nullopt);
}

// By a thread that is not dying with it (exit_group): a held one that cannot be asked for its
// registers is.
bool Engine::is_outlived(const Thread& leader) {
  return std::ranges::any_of(leader.process->threads, [&](const auto& entry) {
    const auto& [tid, member] = entry;
    if (member.get() == &leader) return false;
    return member->running ? !is_dying(tid) : tracee_.registers(tid).has_value();
  });
}

}  // namespace stub
