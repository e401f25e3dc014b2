// Processes that run without the client: it has detached from them, or never asked for them.
//
// Some of them still need us. A vfork child runs on its parent's memory, with the sites in it. And
// a client may have asked for commands that go on when it has left (`Z0;...;cmds:1,...`, gdb's `set
// disconnected-dprintf`): only that process is left unattended, all else goes on as before. (The
// real gdbserver turns the whole session to non-stop, and resumes everything.)
#include "stub/engine/engine.h"

namespace stub {

// All its threads run, with the signals that they were about to receive.
void Engine::hide(Inferior& process) {
  process.hidden = true;
  process.caught_syscalls.reset();
  for (auto& [tid, member] : process.threads) {
    drop_reports(tid);
    interest_.forget(tid);
    member->want = Want::run;
    member->announce = false;
    member->stop_request.reset();
    const int signal = signal_to_leave_with(*member);
    if (!member->running && member->takes_signal && signal != SIGTRAP) member->signal = signal;
    member->stop_signal = 0;
  }
  end_idle_ranges();
  if (processes().empty()) forget_interrupt();
  for (auto& [tid, member] : process.threads) settle(*member);
}

Result<void> Engine::leave_unattended(Pid pid) {
  if (find(pid) == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  Inferior& leaving = *process(pid);
  leaving.unattended = true;
  hide(leaving);
  return {};
}

std::vector<Pid> Engine::unattended() const {
  std::vector<Pid> pids;
  for (const Pid pid : processes_.order())
    if (process(pid)->unattended) pids.push_back(pid);
  return pids;
}

void Engine::take_back_unattended() {
  for (auto& [pid, process] : processes_) {
    if (!process->unattended) continue;
    process->unattended = process->hidden = false;
  }
}

}  // namespace stub
