// Taking on processes: all threads of one, or none.
//
// A thread that is left out would run untraced where breakpoints are, and the first hit would kill
// the program. Another tracer may have it (strace -p TID, a server that ends and still waits for a
// thread that sleeps), or take it in the middle of the attach. So an attach that does not get every
// living thread is refused, and the threads it has got are let go. Before any thread is touched,
// /proc is asked for other tracers: to be stopped can end a system call with EINTR (signal(7)),
// which a program should not suffer from an attach that cannot succeed.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "stub/base/clock.h"
#include "stub/engine/engine.h"
#include "stub/kernel/proc_fs.h"
#include "stub/kernel/ptrace_refusal.h"
#include "stub/kernel/seizing.h"

namespace stub {
namespace {

constexpr int stop_patience_ms = 5000;  // a thread in uninterruptible sleep may take longer
constexpr int signal_patience_ms = 50;  // a signal that waits for a running thread comes at once

tl::unexpected<Error> refused(Pid pid, Tid thread, int error) {
  return fail(Errc::refused, cannot_attach(raw(pid), raw(thread), error), error);
}

tl::unexpected<Error> refused(const Inferior& known) {
  std::string why = "this server is attached to it already";
  if (known.hidden && known.vfork_parent)
    why = fmt::format("it runs in the memory of its parent, process {}, which this server debugs",
                      raw(*known.vfork_parent));
  else if (known.hidden)
    why = "this server has yet to let go of a thread of it that cannot stop now";
  return fail(Errc::refused, fmt::format("Cannot attach to process {}: {}", raw(known.pid), why));
}

}  // namespace

void Engine::adopt_launched(Pid pid) {
  const Tid tid = leader_of(pid);
  const auto regs = tracee_.registers(tid);
  Inferior& launched = processes_.add_process(
      pid, new_space(regs ? regs->mode() : x86::Mode::amd64), Lifetime::exit_kill);
  launched.origin = Inferior::Origin::launched;
  Thread& leader = add_thread(launched, tid);
  leader.newborn = false;
  leader.running = false;
  if (regs) leader.set_fetched(*regs);
  leader.last_stop = Stop{.kind = StopKind::signal, .signal = SIGTRAP, .taken_over = true};
}

// The list of threads is read again until a pass finds no new one: those that are created meanwhile
// by a seized thread are seized by the kernel, those of one not yet seized appear in the next pass.
// While threads end, the list of those behind them can have gaps (fs/proc/base.c, proc_task_readdir
// goes on by counting): where they are stopped one by one, it is read again when all are at rest,
// and else a second pass has to find nobody.
Result<void> Engine::seize_all(Inferior& process) {
  const Pid pid = process.pid;
  const int enough = gate_ ? 1 : 2;
  for (int quiet_passes = 0; quiet_passes < enough; ++quiet_passes) {
    const auto tids = proc_fs::threads(pid);
    if (!tids) return refused(pid, leader_of(pid), tids.error().sys_errno);
    for (const Tid tid : *tids) {
      if (thread(tid) != nullptr) continue;
      const auto [what, error] = seize_thread(tracee_, tid, process.lifetime);
      const bool is_leader = tid == leader_of(pid);
      if (what == Seizure::refused || (what != Seizure::seized && is_leader))
        return refused(pid, tid, error);
      if (what != Seizure::seized) continue;
      quiet_passes = -1;
      Thread& created = add_thread(process, tid);
      created.newborn = false;
      created.want = Want::run;
      if (gate_) request_interrupt(created);
    }
    on_child_event();
    if (this->process(pid) == nullptr) return refused(pid, leader_of(pid), ESRCH);
  }
  return {};
}

Result<void> Engine::attach(Pid pid) {
  if (const Inferior* known = process(pid)) return refused(*known);
  const auto status = proc_fs::status(leader_of(pid));
  if (status && raw(status->tgid) != raw(pid))
    return fail(Errc::refused, "That is a thread; attach to its process " +
                                   std::to_string(raw(status->tgid)) + " instead");
  if (const auto taken = thread_of_another_tracer(pid)) return refused(pid, *taken, EPERM);
  Inferior& fresh = processes_.add_process(pid, new_space(x86::Mode::amd64), Lifetime::independent);
  if (fresh.entry.is_lost()) {
    remove_process(fresh);
    return fail(Errc::refused, "Too many processes");
  }
  const bool gate_before = std::exchange(gate_, !non_stop_);
  gate_closed_ns_ = now_ns();
  attaching_ = !non_stop_;
  auto attached = take_over(fresh);
  attaching_ = false;
  if (!attached) give_up(pid);
  gate_ = gate_before;
  return attached;
}

Result<void> Engine::take_over(Inferior& attached) {
  const Pid pid = attached.pid;
  if (auto seized = seize_all(attached); !seized) return seized;
  if (const auto size = proc_fs::word_size(pid); size && *size == 4)
    join(attached, new_space(x86::Mode::i386));
  if (non_stop_) return {};
  const auto quiet = [&] { return process(pid) == nullptr || at_rest(); };
  // Several threads may have been let run on to one signal of the process, which one of them takes.
  if (!pump(quiet, signal_patience_ms) && process(pid) != nullptr) {
    attaching_ = false;
    for (auto& [tid, member] : attached.threads) request_interrupt(*member);
  }
  // Once all are at rest nobody is born, and whoever was missed is found.
  bool in_time = true;
  do {
    in_time = pump(quiet, stop_patience_ms);
    if (process(pid) == nullptr) return refused(pid, leader_of(pid), ESRCH);
    if (auto seized = seize_all(attached); !seized) return seized;
  } while (in_time && !at_rest());
  for (auto& [tid, member] : attached.threads) {
    member->want = Want::hold;
    member->last_stop = Stop{.kind = StopKind::signal, .signal = 0, .taken_over = true};
  }
  if (Thread* leader = thread(leader_of(pid))) adopt_signal(*leader);
  return {};
}

// The client hears of the refusal and of nothing else.
void Engine::give_up(Pid pid) {
  (void)detach(pid);  // it may have ended by now, which is forgotten then
  forget_end(pid);
}

// A signal that was just being delivered to the leader is what the attach stopped it with.
void Engine::adopt_signal(Thread& leader) {
  const auto signals = reports_.take_if([&](const StopReport& report) {
    return report.tid == leader.tid && report.stop.kind == StopKind::signal;
  });
  if (signals.empty()) return;
  leader.last_stop = signals.front().stop;
  leader.last_stop->taken_over = true;
}

}  // namespace stub
