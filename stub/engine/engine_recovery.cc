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
#include <array>
#include <bit>
#include <ctime>
#include <map>
#include <span>
#include <vector>

#include "stub/base/clock.h"
#include "stub/base/log.h"
#include "stub/engine/engine.h"
#include "stub/kernel/proc_fs.h"
#include "stub/kernel/ptrace_refusal.h"
#include "stub/kernel/seizing.h"

namespace stub {
namespace {

// Nobody knows what is in them, so all of it is cleared (SDM vol. 3, 18.2: DR7 without its reserved
// bits).
constexpr DebugRegisters unknown_debug_registers{.address = {1, 1, 1, 1}, .control = 0xffff00ff};

constexpr std::uint64_t tracer_patience_ns = 2'000'000'000;

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
  const std::uint64_t patient_until = now_ns() + tracer_patience_ns;
  std::vector<Pid> shared;
  for (auto& [pid, process] : processes_)
    if (!inherit_threads(*process, patient_until)) shared.push_back(pid);
  predecessor.scratches.for_each([&](const ScratchRow& row) {
    if (Thread* borrower = thread(row.tid))
      borrower->slot_run = SlotRun{.site = row.site, .saved_scratch = row.program_value};
  });
  predecessor.borrowed.for_each([&](const BorrowedRow& row) { give_back(row); });
  predecessor.settled.for_each([&](const SettledRow& row) { inherit_settled(row); });
  do on_child_event();
  while (inbox_.may_have_more());
  inherit_stops();
  // A thread that could not be had may stand in an area, so those stay mapped.
  for (const Pid pid : shared)
    if (Inferior* known = process(pid))
      for (const auto& range : std::vector(known->space->areas.ranges()))
        known->space->areas.drop(range.start);
  for (const Pid pid : std::vector(processes_.order()))
    if (const Inferior* known = process(pid); known != nullptr && !known->threads.empty())
      (void)detach(pid);
  wait_for_sleepers();
  while (!processes_.empty())
    remove_process(*process(processes_.order().back()));  // what cannot be reached
}

void Engine::inherit_spaces(const Journal& predecessor) {
  std::map<SpaceId, std::shared_ptr<AddressSpace>> spaces;
  predecessor.processes.for_each([&](const ProcessRow& row) {
    auto& space = spaces[row.space];
    if (!space) space = new_space(row.mode);
    Inferior& inherited = processes_.add_process(row.pid, space, Lifetime::independent);
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

// The list is read until nobody new is on it: a thread that is not seized yet may create others.
// One that another process traces is waited for, after the others have been seized: an attach that
// finds that it cannot have all threads lets go of those it has at once (engine_attach.cc). False:
// that process has kept a thread.
bool Engine::inherit_threads(Inferior& process, std::uint64_t patient_until) {
  constexpr timespec pause{0, 1'000'000};
  std::string refusal;
  bool is_first = true, has_news = false;
  do {
    if (!has_news && !is_first) nanosleep(&pause, nullptr);
    refusal.clear();
    has_news = false;
    for (const Tid tid : proc_fs::threads(process.pid).value_or(std::vector<Tid>())) {
      if (thread(tid) != nullptr) continue;
      const auto [what, error] = seize_thread(tracee_, tid, process.lifetime);
      if (what == Seizure::refused) refusal = explain_ptrace_refusal(raw(tid), error);
      const bool is_about_to_be_told = what == Seizure::ours && !is_first;
      if (what == Seizure::gone || what == Seizure::refused || is_about_to_be_told) continue;
      has_news = has_news || what == Seizure::seized;
      Thread& inherited = add_thread(process, tid);
      inherited.newborn = false;
      inherited.want = Want::run;
      inherited.debug_loaded = unknown_debug_registers;
    }
    is_first = false;
  } while (has_news || (!refusal.empty() && now_ns() < patient_until));
  if (!refusal.empty()) say("sidestep: cannot clean up: " + refusal);
  return refusal.empty();
}

// It was on its way through a single step; that stop is taken off here.
void Engine::give_back(const BorrowedRow& row) {
  Thread* lender = thread(row.tid);
  if (lender == nullptr) return;
  if (!tracee_.registers(row.tid))
    if (const auto stop = tracee_.wait_for(row.tid); stop && !WIFSTOPPED(stop->status))
      return inbox_.put_back(*stop);
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
  for (const auto& [tid, member] : processes_.threads())
    if (member->running && tracee_.registers(tid)) stopped.push_back(member);
  for (Thread* member : stopped)
    on_stop(*member, decode_wait_status(status_of_stop(tracee_.siginfo(member->tid))));
}

}  // namespace stub
