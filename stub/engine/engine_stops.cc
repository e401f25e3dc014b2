// What happens at a stop: the thread's state is made canonical, facts are gathered, the policy
// (stop_policy.h) decides, and the decision is carried out.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "stub/base/clock.h"
#include "stub/engine/engine.h"
#include "stub/engine/engine_memory.h"
#include "stub/kernel/syscall_restart.h"
#include "stub/stepping/ssol_mapping.h"

namespace stub {
namespace {

constexpr int trap_int3 = 0x80;  // SI_KERNEL: how an executed int3 arrives
constexpr int trap_trace = 2;
// The stop of a stepped thread at the first instruction of a handler (kernel/signal.c,
// ptrace_notify: the code is the exit code, which is the signal).
constexpr int trap_handler = SIGTRAP;

// The child's id is what the call returns.
bool is_in_fork(PtraceEvent event) {
  return event == PtraceEvent::fork || event == PtraceEvent::vfork || event == PtraceEvent::clone ||
         event == PtraceEvent::vfork_done;
}

}  // namespace

void Engine::reset_after_stop(Thread& thread, const WaitStatus& status) {
  thread.running = false;
  thread.newborn = false;
  thread.interrupted = false;
  thread.in_vfork = false;
  thread.vfork_child.reset();
  thread.general.reset();
  thread.general_dirty = false;
  thread.signal = 0;
  thread.group_stopped = std::holds_alternative<GroupStop>(status);
  const auto* signal = std::get_if<SignalStop>(&status);
  const bool in_call = std::holds_alternative<SyscallStop>(status);
  thread.takes_signal = signal != nullptr || in_call;
  const auto* event = std::get_if<EventStop>(&status);
  thread.mid_syscall = in_call || event != nullptr;
  thread.in_fork = event != nullptr && is_in_fork(event->event);
  thread.client_siginfo.reset();
  thread.general_at_stop.reset();
  thread.stop_signal = signal != nullptr ? signal->signal : 0;
  thread.seen_epoch = thread.process->space->areas.epoch();
}

void Engine::on_stop(Thread& thread, const WaitStatus& status) {
  const auto space = thread.process->space;  // may be the last use of it, if the process is let go
  const bool lane_was_busy = !space->in_place.queue.empty();
  handle_stop(thread, status);
  if (lane_was_busy) advance_in_place(*space);
}

// The kernel takes an interrupt before a SIGTRAP that is queued already (kernel/signal.c,
// get_signal: do_jobctl_trap comes before dequeue_synchronous_signal). The instruction that raised
// it has been executed, so the thread is let run on to that stop, which it reaches without
// executing another.
bool Engine::trap_comes_first(Thread& thread, const WaitStatus& status) {
  if (!std::holds_alternative<InterruptStop>(status) && !std::holds_alternative<GroupStop>(status))
    return false;
  // So does any signal that waits when a program is attached to: it stops with that, as it would
  // for PTRACE_ATTACH's SIGSTOP, and whoever attaches into a signal sees it.
  const bool signal_first = attaching_ && std::holds_alternative<InterruptStop>(status) &&
                            tracee_.signal_pending(thread.tid);
  if (thread.newborn || !(signal_first || tracee_.trap_pending(thread.tid))) return false;
  thread.interrupted = false;
  thread.left_group_stop = std::holds_alternative<GroupStop>(status);
  (void)tracee_.resume(thread.tid, ResumeHow::run, 0);
  return true;
}

void Engine::handle_stop(Thread& thread, const WaitStatus& status) {
  if (trap_comes_first(thread, status)) return;
  stop_seen_ns_ = now_ns();
  reset_after_stop(thread, status);
  auto regs = tracee_.registers(thread.tid);
  if (!regs) {  // killed meanwhile; its exit status is on the way
    thread.running = true;
    return;
  }
  thread.set_fetched(*regs);
  if (thread.stop_signal != SIGTRAP)
    if (const auto mask = tracee_.signal_mask(thread.tid)) thread.trap_mask.known = *mask;
  StopFacts facts{.status = status};
  if (!make_canonical(thread, status, facts)) return;
  if (const auto next = std::exchange(thread.passed_next, std::nullopt))
    recall_passed(thread, *next, facts);
  if (thread.in_place_step) end_in_place(thread);
  if (thread.stepped_from) step_over_.hide_trap_flag(thread, *thread.stepped_from);
  if (thread.process->release_at_stop) return release(thread, status);
  if (std::exchange(thread.announce, false))
    return queue_stop(thread, {.kind = StopKind::thread_created, .signal = SIGTRAP});
  gather_facts(thread, facts);
  perform(thread, facts, decide(facts));
}

// No PC inside an area is seen by anybody after this. False: the thread had to go on at once.
bool Engine::make_canonical(Thread& thread, const WaitStatus& status, StopFacts& facts) {
  const Address pc = thread.general->pc();
  AddressSpace& space = *thread.process->space;
  facts.in_place_step = thread.in_place_step;
  const AddressSpace& areas_of = space.parent_areas ? *space.parent_areas : space;
  const auto left = step_over_.leave_slot(thread, areas_of);
  space.parent_areas.reset();
  // A thread that has jumped in by itself stays where it went: its state, and its fault, are its
  // own.
  const bool ours = left && left->progress != x86::Progress::lost;
  if (ours && slot_was_taken_away(thread, pc)) facts.slot_lost = true;
  if (left && left->progress == x86::Progress::unfinished) return finish_in_slot(thread);
  thread.slot_run.reset();
  const bool is_trap = std::holds_alternative<SignalStop>(status) && thread.stop_signal == SIGTRAP;
  if (ours) {
    const bool done = left->progress == x86::Progress::done;
    const bool restarts = done && left->is_syscall && awaits_restart(*thread.general);
    // Interrupted in front of the int3, a step that went on would take a second instruction.
    const bool interrupted = std::holds_alternative<InterruptStop>(status) && !restarts;
    facts.slot_finished = (is_trap && left->at_end) || (done && (facts.slot_lost || interrupted));
    if (left->progress == x86::Progress::not_started) thread.passed_site = left->site;
    if (restarts)
      thread.interrupted_call = {.site = left->site, .stack_pointer = thread.general->rsp};
    if (thread.stop_signal != 0 && !facts.slot_finished) repair_siginfo(thread, pc);
  }
  if (is_trap) gather_trap_facts(thread, facts, left.has_value());
  return true;
}

// A thread that was resumed at a passed site has stopped: in a handler, or still there.
void Engine::recall_passed(Thread& thread, const PassedNext& next, StopFacts& facts) {
  const x86::GeneralRegisters& regs = *thread.general;
  const bool still_there =
      regs.rip == next.state.rip && regs.rsp == next.state.rsp && facts.si_code != trap_int3;
  facts.entered_handler = !still_there && facts.si_code == trap_handler;
  if (still_there) thread.passed_site = regs.pc();
  if (facts.entered_handler && next.outlives_handler)
    thread.passed_contexts.begin(
        {.state = next.state, .frame = Address(regs.rsp), .fault = next.fault});
}

// At the entry or exit of a system call, while the thread has contexts to come back to.
void Engine::watch_returns(Thread& thread) {
  EngineMemory memory(*this, thread.process->pid);
  const x86::GeneralRegisters& regs = *thread.general;
  const Address stack_pointer(regs.rsp);
  const auto from = std::exchange(thread.sigreturn_from, std::nullopt);
  if (thread.in_syscall && is_sigreturn(regs))
    thread.sigreturn_from = stack_pointer;
  else if (thread.in_syscall)
    thread.passed_contexts.system_call(stack_pointer, memory);
  else if (from && thread.passed_contexts.returned(*from, regs, memory))
    thread.passed_site = regs.pc();
}

// The processor has to do the rest of the instruction; its next stop comes at once. A signal that
// arrived just here is sent again, to arrive after it.
bool Engine::finish_in_slot(Thread& thread) {
  if (thread.stop_signal != 0 && thread.stop_signal != SIGTRAP)
    (void)tracee_.send_signal(thread.tid, thread.stop_signal);
  resume_in_kernel(thread, ResumeHow::run);
  return false;
}

// The slot itself could not be executed: the program has unmapped the area, changed its protection
// or mapped over it. That fault is ours; the thread goes on through another area.
bool Engine::slot_was_taken_away(const Thread& thread, Address slot_pc) {
  if (thread.stop_signal != SIGSEGV) return false;
  const auto info = tracee_.siginfo(thread.tid);
  const auto fault = info ? reinterpret_cast<std::uintptr_t>(info->si_addr) : 0;
  if (!info || info->si_code <= 0 || fault != slot_pc.value()) return false;
  AddressSpace& space = *thread.process->space;
  lose_area(space, slot_pc);
  return true;
}

// Faults name the address of the instruction in si_addr (SIGILL, SIGFPE, SIGTRAP): the program is
// to see its own.
void Engine::repair_siginfo(Thread& thread, Address slot_pc) {
  auto info = tracee_.siginfo(thread.tid);
  if (!info || info->si_code <= 0) return;
  const Address address(reinterpret_cast<std::uintptr_t>(info->si_addr));
  const auto& areas = thread.process->space->areas;
  if (!areas.contains(address)) return;
  const Slot* slot = areas.at(slot_pc);
  if (slot == nullptr) return;
  const bool at_start = address == slot->address;
  const Address shown = at_start ? slot->site : thread.general->pc();
  info->si_addr = reinterpret_cast<void*>(shown.value());
  (void)tracee_.set_siginfo(thread.tid, *info);
}

// A SIGTRAP that somebody sent may stand for a trap of ours (trap_mask.h): behind an int3 of ours
// there is nothing else it can be, except where instructions of one byte have brought the thread.
bool Engine::hides_our_trap(Thread& thread, const StopFacts& facts, bool was_in_slot) {
  const bool waited = std::exchange(thread.trap_mask.waits, false);
  if (was_in_slot) return facts.slot_finished;
  if (facts.in_place_step) return waited;
  const Address pc = thread.general->pc();
  const Site* site = thread.process->space->sites.find(pc - 1);
  if (site == nullptr) return false;
  return site->length > 1 || waited || thread.trap_mask.blocks() || pc != thread.resumed_pc;
}

// Delivered while it is blocked, a signal is pending again, with all that came with it
// (kernel/signal.c, ptrace_signal).
void Engine::keep_pending(Thread& thread) {
  TrapMask& trap = thread.trap_mask;
  trap.waits = trap.requeue = true;
  if (const auto mask = tracee_.signal_mask(thread.tid)) {
    trap.known = *mask | sigtrap_bit;
    (void)tracee_.set_signal_mask(thread.tid, *trap.known);
  }
}

// After each trap of ours. At a thread that is not known to block SIGTRAP it looks the first few
// hundred times, and then a hundred times a second: the look is a tenth of the price of a hit.
void Engine::restore_mask(Thread& thread) {
  constexpr unsigned free_looks = 256;
  constexpr std::uint64_t pause_ns = 10'000'000;
  TrapMask& trap = thread.trap_mask;
  if (!trap.blocks() && ++trap.looks > free_looks) {
    const std::uint64_t now = now_ns();
    if (now < trap.look_after_ns) return;
    trap.look_after_ns = now + pause_ns;
  }
  const auto mask = tracee_.signal_mask(thread.tid);
  if (!mask) return;
  const auto before = mask_before_trap(*mask, trap.known);
  if (before) (void)tracee_.set_signal_mask(thread.tid, *before);
  trap.known = before.value_or(*mask);
}

void Engine::gather_trap_facts(Thread& thread, StopFacts& facts, bool was_in_slot) {
  if (auto info = tracee_.siginfo(thread.tid)) facts.si_code = info->si_code;
  if (facts.si_code == trap_handler) thread.takes_signal = false;  // ptrace_notify() drops it
  if (facts.si_code <= 0 && hides_our_trap(thread, facts, was_in_slot)) {
    facts.si_code = facts.in_place_step ? trap_trace : trap_int3;
    keep_pending(thread);
  }
  if (facts.si_code != trap_int3 || was_in_slot || thread.own_memory) return;
  const Address at = thread.general->pc() - 1;
  AddressSpace& space = *thread.process->space;
  // An int3 of the program's own under the site: ours was lifted.
  if (facts.in_place_step && at == space.in_place.lifted_site) return;
  if (const Site* site = space.sites.find_hit(thread.process->pid, at)) {
    facts.site = SiteAt::ours;
    facts.site_for_client = site->client;
    x86::GeneralRegisters before = *thread.general;
    before.rip = at.value();
    facts.already_passed = thread.passed_contexts.hit(before) ||
                           (thread.passed_next && thread.passed_next->state.pc() == at);
    return;
  }
  facts.site = what_trapped(*thread.process, at);
}

// At `at`, the last byte of what raised an int3 trap, there is no site now.
SiteAt Engine::what_trapped(const Inferior& process, Address at) {
  constexpr std::array long_int3{std::byte{0xcd}, std::byte{0x03}};  // int $3, in two bytes
  std::array<std::byte, 2> now{};
  const auto last = std::span(now).last(1);
  if (tracee_.read_memory(process.pid, at - 1, now) != now.size() &&
      tracee_.read_memory(process.pid, at, last) != last.size())
    return SiteAt::none;
  process.space->sites.mask(at - 1, now);
  const bool own = now[1] == std::byte{int3_opcode} || now == long_int3;
  return own ? SiteAt::none : SiteAt::vanished;
}

// Not one of the same number from elsewhere: ours may be behind it, or was taken without a stop
// (sigwaitinfo(2), or it was ignored). tgkill(2) tells who sent it; 0 where the program cannot see
// us, in a pid namespace of its own.
bool Engine::is_sent_signal(const Thread& thread) {
  if (thread.stop_signal == 0 || thread.stop_signal != thread.sent_signal) return false;
  const auto info = tracee_.siginfo(thread.tid);
  return info && info->si_code == SI_TKILL && (info->si_pid == ::getpid() || info->si_pid == 0);
}

void Engine::gather_facts(Thread& thread, StopFacts& facts) {
  facts.want = thread.want;
  const Address pc = thread.general->pc();
  const Address at = facts.site == SiteAt::ours ? pc - 1 : pc;
  facts.inside_range = inside_range(thread, at);
  facts.left_range =
      thread.want == Want::range && !facts.inside_range && ranges_.is_native(thread.tid);
  facts.stop_requested = thread.stop_request.has_value();
  facts.hidden = thread.process->hidden;
  facts.unattended = thread.process->unattended;
  facts.stepped = thread.stepped;
  facts.traps_itself = thread.traps_itself;
  if (thread.stop_signal == SIGTRAP && facts.si_code > 0 && facts.si_code != trap_int3)
    facts.hardware = hardware_triggered(thread);
  else if (is_sent_signal(thread))
    facts.own_signal = std::exchange(thread.sent_signal, 0) != 0;
  else if (thread.stop_signal != 0 && thread.stop_signal != SIGTRAP)
    facts.passed_signal = interest_.passes(thread.stop_signal);
  facts.breakpoint_fault = is_breakpoint_fault(thread, facts);
  if (std::holds_alternative<SyscallStop>(facts.status)) {
    constexpr std::uint64_t entry = 1;  // PTRACE_EVENTMSG_SYSCALL_ENTRY of linux/ptrace.h
    thread.in_syscall = tracee_.event_message(thread.tid) == entry;
    if (!thread.passed_contexts.empty()) watch_returns(thread);
    const auto& caught = thread.process->caught_syscalls;
    facts.catching_syscalls =
        caught && (caught->empty() || caught->contains(thread.general->orig_rax));
  }
}

// The processor could not execute the int3: the client has put it where nothing can be executed, as
// gdb does for a call's return address on a stack (gdb's infrun.c takes SIGILL, SIGSEGV and SIGBUS
// there for that breakpoint). A fault of the instruction under a site comes from a slot, or from a
// step in place.
bool Engine::is_breakpoint_fault(const Thread& thread, const StopFacts& facts) {
  const bool is_fault =
      thread.stop_signal == SIGSEGV || thread.stop_signal == SIGBUS || thread.stop_signal == SIGILL;
  if (!is_fault || thread.passed_site || facts.in_place_step) return false;
  const Site* site = thread.process->space->sites.find(thread.general->pc());
  if (site == nullptr || !site->client) return false;
  const auto info = tracee_.siginfo(thread.tid);
  return info && info->si_code > 0;
}

bool Engine::inside_range(const Thread& thread, Address pc) const {
  return thread.want == Want::range && pc >= thread.range_start && pc < thread.range_end;
}

void Engine::perform(Thread& thread, const StopFacts& facts, Action action) {
  if (thread.stop_signal == SIGTRAP && facts.si_code != trap_handler &&
      action != Action::report_signal && action != Action::deliver)
    restore_mask(thread);
  switch (action) {
    case Action::go_on:
      thread.stop_signal = 0;
      if (std::holds_alternative<SyscallStop>(facts.status)) return go_on_in_call(thread);
      return go_on(thread);
    case Action::deliver:
      thread.signal = std::exchange(thread.stop_signal, 0);
      return go_on(thread);
    case Action::report_signal:
      return queue_stop(thread, {.kind = StopKind::signal, .signal = thread.stop_signal});
    case Action::hit_site:
      return hit_site(thread);
    case Action::pass_site:
      return pass_site(thread);
    case Action::back_up:
      thread.general->rip -= 1;
      thread.general_dirty = true;
      thread.stop_signal = 0;
      return go_on(thread);
    case Action::finish_slot:
      return finish_slot(thread);
    case Action::finish_in_place:
      thread.stop_signal = 0;
      return finish_step(thread);
    case Action::leave_range:
      thread.general->rip -= 1;
      thread.general_dirty = true;
      [[fallthrough]];
    case Action::report_step:
      thread.stop_signal = 0;
      return queue_stop(thread, {.kind = StopKind::step, .signal = SIGTRAP});
    case Action::hit_hardware:
      return hit_hardware(thread);
    case Action::report_requested:
      return queue_stop(thread, {.kind = StopKind::signal,
                                 .signal = *thread.stop_request,
                                 .interrupt = *thread.stop_request == SIGINT});
    case Action::report_syscall:
      return report_syscall(thread);
    case Action::stay_stopped:
      return go_on(thread);
    case Action::handle_event:
      return on_event(thread, std::get<EventStop>(facts.status).event);
    case Action::handle_exit:
      return;  // on_exit() has it: a thread that is gone has no state to gather
  }
}

// Nobody may be held where a system call is entered and nobody has asked to see it: a client that
// uses the thread for something else there loses the call.
void Engine::go_on_in_call(Thread& thread) {
  if (!thread.in_syscall || may_run(thread)) return go_on(thread);
  resume_in_kernel(thread, how_to_run(thread));
  request_interrupt(thread);
}

void Engine::finish_step(Thread& thread) {
  if (step_is_complete(thread.want, inside_range(thread, thread.general->pc())))
    return queue_stop(thread, {.kind = StopKind::step, .signal = SIGTRAP});
  go_on(thread);
}

void Engine::report_syscall(Thread& thread) {
  const auto kind = thread.in_syscall ? StopKind::syscall_entry : StopKind::syscall_return;
  queue_stop(thread, {.kind = kind, .signal = SIGTRAP, .value = thread.general->orig_rax});
}

// ---- breakpoints -------------------------------------------------------------------------------

void Engine::hit_site(Thread& thread) {
  thread.general->rip -= 1;
  thread.general_dirty = true;
  thread.stop_signal = 0;
  const Address at = thread.general->pc();
  Site& site = *thread.process->space->sites.find(at);
  ++site.statistics.hits;
  thread.passed_site = at;
  if (conditions_.evaluate(thread, site.program, site.filter, stop_seen_ns_) == Verdict::report)
    return queue_stop(thread, {.kind = StopKind::breakpoint, .signal = SIGTRAP});
  pass_over(thread, site);
}

// The time of a hit is what the stub takes from the thread: from the stop until it runs on, at the
// end of a slot once more. What the instruction itself takes (a system call may sleep) is its own;
// only in the in-place lane the thread waits for us all the time.
void Engine::pass_over(Thread& thread, Site& site) {
  ++site.statistics.false_hits;
  thread.passed_hit = PassedHit{site.address, stop_seen_ns_};
  go_on(thread);
  if (!thread.running || thread.in_place_step) return;  // see end_in_place()
  const std::uint64_t now = now_ns();
  thread.passed_hit->spent = now - stop_seen_ns_;
  if (!thread.slot_run) count_passed_hit(thread);  // else see finish_slot()
  if (follower_ != nullptr) follower_->on_hit(thread.tid, now);
}

void Engine::finish_slot(Thread& thread) {
  thread.stop_signal = 0;
  finish_step(thread);
  if (!thread.passed_hit) return;
  thread.passed_hit->spent += now_ns() - stop_seen_ns_;
  count_passed_hit(thread);
}

void Engine::count_passed_hit(Thread& thread) {
  const PassedHit hit = *std::exchange(thread.passed_hit, std::nullopt);
  Site* site = thread.process->space->sites.find(hit.site);
  if (site == nullptr) return;
  site->statistics.total_ns += hit.spent;
  site->statistics.max_ns = std::max(site->statistics.max_ns, hit.spent);
}

void Engine::pass_site(Thread& thread) {
  thread.general->rip -= 1;
  thread.general_dirty = true;
  thread.stop_signal = 0;
  thread.passed_site = thread.general->pc();
  go_on(thread);
}

}  // namespace stub
