#include "stub/engine/stop_policy.h"

namespace stub {
namespace {

// si_code values of SIGTRAP: int3 arrives as SI_KERNEL, the trap flag and PTRACE_SINGLESTEP as
// TRAP_TRACE, debug registers as TRAP_HWBKPT (arch/x86/kernel/traps.c, get_si_code).
constexpr int trap_int3 = 0x80;
constexpr int trap_trace = 2;
constexpr int trap_hardware = 4;

Action on_int3(const StopFacts& facts) {
  switch (facts.site) {
    case SiteAt::ours:
      // A single step would have ended in front of the site, whoever has one there.
      if (facts.left_range) return Action::leave_range;
      // A hit that was dealt with before a handler ran, or before a system call restarted, is not a
      // second one, and nothing of a hidden process is the client's business, but for commands that
      // it has left behind.
      if (facts.already_passed || !facts.site_for_client) return Action::pass_site;
      return facts.hidden && !facts.unattended ? Action::pass_site : Action::hit_site;
    case SiteAt::vanished:
      return Action::back_up;
    case SiteAt::none:
      return facts.hidden ? Action::deliver : Action::report_signal;
  }
  return Action::report_signal;
}

// A trap of the debug logic can mean several things at once; a watchpoint wins over the step, as in
// the processor's own priorities (SDM vol. 3, 18.3: data breakpoints are reported after execution).
Action on_debug_trap(const StopFacts& facts) {
  if (facts.hardware && !facts.hidden) return Action::hit_hardware;
  // A client that steps wants to see the handler; else the step was for the stub alone.
  if (facts.entered_handler && !is_step(facts.want)) return Action::go_on;
  // However we have the thread execute it, after its instruction the program expects its own trap.
  // A client that steps is told of one stop for both.
  if (facts.traps_itself && facts.si_code == trap_trace && !is_step(facts.want))
    return facts.hidden ? Action::deliver : Action::report_signal;
  if (facts.in_place_step) return Action::finish_in_place;
  if (is_step(facts.want))
    return step_is_complete(facts.want, facts.inside_range) ? Action::report_step : Action::go_on;
  // The stub stepped it out of a slot that has no end of its own, or a point was removed after it
  // had fired. All else is the program's: its own trap flag, int1, a perf trap.
  if (facts.stepped && facts.si_code == trap_trace) return Action::go_on;
  if (facts.si_code == trap_hardware) return Action::go_on;
  return facts.hidden ? Action::deliver : Action::report_signal;
}

Action on_signal(const StopFacts& facts, int signal) {
  if (facts.slot_finished) return Action::finish_slot;
  // The program took the area away; in place, the instruction would not have faulted.
  if (facts.slot_lost) return Action::go_on;
  if (signal == SIGTRAP && facts.si_code == trap_int3) return on_int3(facts);
  if (signal == SIGTRAP && facts.si_code > 0) return on_debug_trap(facts);
  if (facts.hidden) return Action::deliver;
  // It stands for the hit, which only the client can tell from a fault of the program.
  if (facts.breakpoint_fault) return Action::report_signal;
  // A client that steps has to see every signal: it lets the handler run and steps on behind it,
  // which nobody else can do for it.
  if (facts.own_signal || (facts.passed_signal && !is_step(facts.want))) return Action::deliver;
  return Action::report_signal;
}

struct Decide {
  const StopFacts& facts;

  Action operator()(const Exited&) const { return Action::handle_exit; }
  Action operator()(const Killed&) const { return Action::handle_exit; }
  Action operator()(const SignalStop& stop) const { return on_signal(facts, stop.signal); }
  Action operator()(const SyscallStop&) const {
    return facts.catching_syscalls && !facts.hidden ? Action::report_syscall : Action::go_on;
  }
  Action operator()(const EventStop&) const { return Action::handle_event; }
  // An interrupt nobody waits for any more is passed over: the thread stopped for another reason
  // first, and that was reported instead.
  Action operator()(const InterruptStop&) const {
    if (facts.stop_requested) return Action::report_requested;
    if (facts.slot_finished) return Action::finish_slot;
    return facts.left_range ? Action::report_step : Action::go_on;
  }
  Action operator()(const GroupStop&) const {
    return facts.stop_requested ? Action::report_requested : Action::stay_stopped;
  }
};

}  // namespace

bool step_is_complete(Want want, bool inside_range) {
  return want == Want::step || (want == Want::range && !inside_range);
}

Action decide(const StopFacts& facts) { return std::visit(Decide{facts}, facts.status); }

}  // namespace stub
