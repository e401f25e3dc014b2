// Registers, siginfo and the state of a stop, as the client sees them.
#include <utility>

#include "stub/engine/engine.h"
#include "stub/inferior/told_siginfo.h"
#include "stub/kernel/proc_fs.h"

namespace stub {

Result<x86::GeneralRegisters*> Engine::general(Thread& thread) {
  if (!thread.general) {
    if (thread.running) return fail(Errc::refused, "The thread is running");
    auto regs = tracee_.registers(thread.tid);
    if (!regs) return tl::unexpected(regs.error());
    thread.set_fetched(*regs);
  }
  return &*thread.general;
}

Result<void> Engine::flush(Thread& thread) {
  if (!thread.general || !thread.general_dirty) return {};
  thread.general_dirty = false;
  thread.settled.announce(thread.tid, thread.general_in_kernel, *thread.general);
  return tracee_.change_registers(
      thread.tid, std::exchange(thread.general_in_kernel, *thread.general), *thread.general);
}

Result<x86::RegisterFile> Engine::read_registers(Tid tid, RegisterParts parts) {
  Thread* known = thread(tid);
  if (known == nullptr) return fail(Errc::thread_gone, "No such thread", ESRCH);
  const auto regs = general(*known);
  if (!regs) return tl::unexpected(regs.error());
  x86::RegisterFile file{.general = **regs, .xstate = {}};
  if (!parts.xstate) return file;
  if (known->running) {  // in vfork
    file.xstate = known->xstate_in_vfork;
    return file;
  }
  auto xstate = whole_xstate(tracee_, tid);
  if (!xstate) return tl::unexpected(xstate.error());
  file.xstate = std::move(*xstate);
  return file;
}

Result<x86::GeneralRegisters> Engine::last_registers(Tid tid) {
  constexpr int patience_ms = 200;
  const auto is_settled = [&] {
    const Thread* known = thread(tid);
    return known == nullptr || known->was_seen;
  };
  if (!is_settled()) {
    request_interrupt(*thread(tid));
    pump(is_settled, patience_ms);
  }
  Thread* known = thread(tid);
  if (known == nullptr) return fail(Errc::thread_gone, "No such thread", ESRCH);
  if (!known->was_seen) return fail(Errc::refused, "The thread is running");
  return known->general.value_or(known->general_in_kernel);
}

Result<void> Engine::write_registers(Tid tid, const x86::RegisterFile& file, RegisterParts parts) {
  Thread* known = thread(tid);
  if (known == nullptr) return fail(Errc::thread_gone, "No such thread", ESRCH);
  if (known->running) return fail(Errc::refused, "The thread is running");
  const auto before = general(*known);
  if (!before) return tl::unexpected(before.error());
  const bool moved = (*before)->rip != file.general.rip;
  // A client that writes registers one by one may have changed others before the PC.
  if (!known->general_at_stop) known->general_at_stop = **before;
  if (moved) known->left_calls.leave(*known->general_at_stop, result_of_fork(*known));
  if (**before != file.general) {
    known->settled.announce(tid, known->general_in_kernel, file.general);
    if (auto set = tracee_.set_registers(tid, file.general); !set) return set;
    known->set_fetched(file.general);
  }
  if (moved) known->passed_site.reset();
  return parts.xstate ? tracee_.set_xstate(tid, file.xstate) : Result<void>{};
}

// What the call that the thread is inside of is about to return: the child's id in the thread's own
// pid namespace, nothing if it is not inside of one.
std::optional<std::uint64_t> Engine::result_of_fork(const Thread& thread) {
  if (!thread.in_fork) return std::nullopt;
  const auto message = tracee_.event_message(thread.tid);
  if (!message) return std::nullopt;
  const auto parent = proc_fs::status(thread.tid);
  const auto child = proc_fs::status(Tid{static_cast<pid_t>(*message)});
  const std::size_t level = parent && !parent->ns_tids.empty() ? parent->ns_tids.size() - 1 : 0;
  if (!child || level >= child->ns_tids.size()) return *message;
  return static_cast<std::uint64_t>(child->ns_tids[level]);
}

void Engine::restore_stop(Tid tid, const std::optional<Stop>& stop) {
  Thread* held = thread(tid);
  if (held == nullptr || held->want != Want::hold) return;
  held->last_stop = stop;
  const bool has_signal = stop && stop->kind == StopKind::signal && !stop->interrupt;
  held->stop_signal = has_signal && stop->signal != SIGTRAP ? stop->signal : 0;
}

void Engine::withhold_signal(Tid tid) {
  Thread* held = thread(tid);
  if (held != nullptr && held->want == Want::hold) held->stop_signal = 0;
}

Result<siginfo_t> Engine::siginfo(Tid tid) {
  const Thread* known = thread(tid);
  if (known == nullptr) return fail(Errc::thread_gone, "No such thread", ESRCH);
  if (known->client_siginfo) return *known->client_siginfo;
  const auto kernel = tracee_.siginfo(tid);
  if (!kernel) return kernel;
  return told_siginfo(*kernel, known->last_stop);
}

Result<void> Engine::set_siginfo(Tid tid, const siginfo_t& info) {
  Thread* known = thread(tid);
  if (known == nullptr) return fail(Errc::thread_gone, "No such thread", ESRCH);
  if (known->running) return fail(Errc::refused, "The thread is running");
  known->client_siginfo = info;
  if (!known->takes_signal || is_invented(info)) return {};
  return tracee_.set_siginfo(tid, info);
}

x86::Mode Engine::mode(Pid pid) const {
  const Inferior* known = process(pid);
  return known == nullptr ? x86::Mode::amd64 : known->space->mode;
}

}  // namespace stub
