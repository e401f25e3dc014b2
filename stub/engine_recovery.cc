// Cleaning up after a daemon that died.
//
// Two callers. A daemon that crashed executes itself anew (crash.h): by execve it stays the tracer
// of its threads, and those that stopped meanwhile wait for it, so nothing can be missed. A daemon
// killed by SIGKILL is survived by its guardian, which is nobody's tracer: the kernel has let the
// threads run, so the bytes are restored first, at once, and what can be put right of each thread
// afterwards is.
//
// Either way the journal is turned into the state that the dead engine had of its processes, as far
// as it matters for letting them go, and detach() does the rest: stops them, makes each PC
// canonical, unmaps areas, clears debug registers, passes on signals.
#include <unistd.h>

#include <array>
#include <bit>
#include <map>
#include <span>
#include <vector>

#include "stub/engine.h"
#include "stub/proc_fs.h"

namespace stub {
namespace {

// Nobody knows what is in them, so all of it is cleared (SDM vol. 3, 18.2: DR7 without its reserved
// bits).
constexpr DebugRegisters unknown_debug_registers{.address = {1, 1, 1, 1}, .control = 0xffff00ff};

// The wait status of a stop that was waited for by a predecessor. PTRACE_GETSIGINFO tells of every
// stop but a signal's delivery by si_code, which holds what the status had above its low byte
// (kernel/signal.c, ptrace_do_notify).
int status_of_stop(const Result<siginfo_t>& info) {
  constexpr int stopped = 0x7f;
  const int event_stop = static_cast<int>(PtraceEvent::stop) << 8 | SIGTRAP;
  if (!info) return event_stop << 8 | stopped;  // a group-stop has none
  const bool by_code = info->si_code > 0xff || info->si_code == (SIGTRAP | 0x80);
  return (by_code ? info->si_code : info->si_signo) << 8 | stopped;
}

// Registers are written word by word where few of them change, so any mixture may be there.
bool is_settled(const SettledRow& row, const x86::GeneralRegisters& now) {
  using Words = std::array<std::uint64_t, sizeof now / sizeof(std::uint64_t)>;
  const auto words = std::bit_cast<Words>(now);
  const auto before = std::bit_cast<Words>(row.before), after = std::bit_cast<Words>(row.after);
  if (words == after) return true;
  if (words == before) return row.before_is_settled;
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] != before[i] && words[i] != after[i]) return false;
  return true;
}

}  // namespace

void Engine::clean_up_after(const Journal& predecessor) {
  inherit_spaces(predecessor);
  for (auto& [pid, process] : processes_) process->space->sites.restore_all(pid);
  for (auto& [pid, process] : processes_) inherit_threads(*process);
  predecessor.scratches.for_each([&](const ScratchRow& row) {
    if (Thread* borrower = thread(row.tid))
      borrower->slot_run = SlotRun{.site = row.site, .saved_scratch = row.program_value};
  });
  predecessor.borrowed.for_each([&](const BorrowedRow& row) { give_back(row); });
  predecessor.settled.for_each([&](const SettledRow& row) { inherit_settled(row); });
  do on_child_event();
  while (more_events_);
  inherit_stops();
  for (const Pid pid : std::vector<Pid>(order_)) (void)detach(pid);
  wait_for_sleepers();
  while (!order_.empty()) remove_process(*process(order_.back()));  // what cannot be reached
}

void Engine::inherit_spaces(const Journal& predecessor) {
  std::map<SpaceId, std::shared_ptr<AddressSpace>> spaces;
  predecessor.processes.for_each([&](const ProcessRow& row) {
    auto& space = spaces[row.space];
    if (!space) space = new_space(row.mode);
    Inferior& inherited = add_process(row.pid, space, Lifetime::independent);
    inherited.exiting = true;
    inherited.set_trap_ignored(row.trap_ignored);
  });
  const auto space_of = [&](SpaceId id) {
    const auto found = spaces.find(id);
    return found == spaces.end() ? nullptr : found->second.get();
  };
  predecessor.sites.for_each([&](const SiteRow& row) {
    if (AddressSpace* space = space_of(row.space)) space->sites.inherit(row);
  });
  predecessor.areas.for_each([&](const AreaRow& row) {
    if (AddressSpace* space = space_of(row.space)) space->areas.add({row.start, row.size});
  });
  predecessor.slots.for_each([&](const SlotRow& row) {
    if (AddressSpace* space = space_of(row.space)) space->areas.inherit(row.slot);
  });
}

void Engine::inherit_threads(Inferior& process) {
  for (const Tid tid : proc_fs::threads(process.pid).value_or(std::vector<Tid>())) {
    (void)tracee_.seize(tid, process.lifetime);  // refused when it is ours already
    const auto status = proc_fs::status(tid);
    if (!status || raw(status->tracer) != ::getpid()) continue;  // dead, or somebody else's
    Thread& inherited = add_thread(process, tid);
    inherited.newborn = false;
    inherited.want = Want::run;
    inherited.debug_loaded = unknown_debug_registers;
  }
}

// It was on its way through a single step; that stop is taken off here.
void Engine::give_back(const BorrowedRow& row) {
  Thread* lender = thread(row.tid);
  if (lender == nullptr) return;
  if (!tracee_.registers(row.tid))
    if (const auto stop = tracee_.wait_for(row.tid); stop && !WIFSTOPPED(stop->status))
      return deaths_.push_back(*stop);
  (void)tracee_.set_registers(row.tid, row.registers);
  (void)tracee_.set_signal_mask(row.tid, row.signal_mask);
  if (row.dispatch != SyscallDispatch()) (void)tracee_.set_syscall_dispatch(row.tid, row.dispatch);
  handle_stop(*lender, InterruptStop{});
}

// If its stop was dealt with, it is as if it had been stopped by an interrupt; but for a signal
// that it has not received yet.
void Engine::inherit_settled(const SettledRow& row) {
  Thread* member = thread(row.tid);
  const auto now = tracee_.registers(row.tid);
  if (member == nullptr || !now || !is_settled(row, *now)) return;
  if (*now != row.before) (void)tracee_.set_registers(row.tid, row.after);
  const WaitStatus status = decode_wait_status(status_of_stop(tracee_.siginfo(row.tid)));
  handle_stop(*member, InterruptStop{});
  if (const auto* signal = std::get_if<SignalStop>(&status)) member->stop_signal = signal->signal;
}

// Threads in a stop that was waited for and not dealt with.
void Engine::inherit_stops() {
  std::vector<Thread*> stopped;
  for (const auto& [tid, member] : threads_)
    if (member->running && tracee_.registers(tid)) stopped.push_back(member);
  for (Thread* member : stopped)
    on_stop(*member, decode_wait_status(status_of_stop(tracee_.siginfo(member->tid))));
}

}  // namespace stub
