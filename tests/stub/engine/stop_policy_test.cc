// The policy as a table: facts to action, each rule with its neighbours.
#include "stub/engine/stop_policy.h"

#include <string>

#include "tests/catch.h"

namespace stub {
namespace {

constexpr int si_user = 0, si_tkill = -6, si_kernel = 0x80;
constexpr int trap_brkpt = 1, trap_trace = 2, trap_hwbkpt = 4, trap_perf = 6;

struct Row {
  const char* what;
  StopFacts facts;
  Action action;
};

StopFacts signal(int number, int si_code = si_user) {
  return {.status = SignalStop{number}, .si_code = si_code};
}
StopFacts sigtrap(int si_code) { return signal(SIGTRAP, si_code); }

template <class... Changes>
StopFacts with(StopFacts facts, Changes... changes) {
  (changes(facts), ...);
  return facts;
}

constexpr auto ours = [](StopFacts& f) { f.site = SiteAt::ours; };
constexpr auto vanished = [](StopFacts& f) { f.site = SiteAt::vanished; };
constexpr auto client = [](StopFacts& f) { f.site_for_client = true; };
constexpr auto passed = [](StopFacts& f) { f.already_passed = true; };
constexpr auto slot_end = [](StopFacts& f) { f.slot_finished = true; };
constexpr auto slot_lost = [](StopFacts& f) { f.slot_lost = true; };
constexpr auto in_place = [](StopFacts& f) { f.in_place_step = true; };
constexpr auto hardware = [](StopFacts& f) { f.hardware = true; };
constexpr auto step = [](StopFacts& f) { f.want = Want::step; };
constexpr auto range = [](StopFacts& f) { f.want = Want::range; };
constexpr auto inside = [](StopFacts& f) { f.inside_range = true; };
constexpr auto left = [](StopFacts& f) { f.left_range = true; };
constexpr auto stepped = [](StopFacts& f) { f.stepped = true; };
constexpr auto own_flag = [](StopFacts& f) { f.traps_itself = true; };
constexpr auto requested = [](StopFacts& f) { f.stop_requested = true; };
constexpr auto pass_signal = [](StopFacts& f) { f.passed_signal = true; };
constexpr auto fetching = [](StopFacts& f) { f.breakpoint_fault = true; };
constexpr auto handler = [](StopFacts& f) { f.entered_handler = true; };
constexpr auto own_signal = [](StopFacts& f) { f.own_signal = true; };
constexpr auto hidden = [](StopFacts& f) { f.hidden = true; };
constexpr auto unattended = [](StopFacts& f) { f.hidden = f.unattended = true; };
constexpr auto catching = [](StopFacts& f) { f.catching_syscalls = true; };
constexpr auto held = [](StopFacts& f) { f.want = Want::hold; };

void check(std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(static_cast<int>(decide(row.facts)) == static_cast<int>(row.action));
  }
}

TEST_CASE("stop_policy: int3") {
  const StopFacts int3 = sigtrap(si_kernel);
  check({
      {"a site of the client", with(int3, ours, client), Action::hit_site},
      {"the same while it steps", with(int3, ours, client, step), Action::hit_site},
      {"the same while it steps a range", with(int3, ours, client, range, inside),
       Action::hit_site},
      {"the same with a stop asked for", with(int3, ours, client, requested), Action::hit_site},
      {"the same in a thread that is held", with(int3, ours, client, held), Action::hit_site},
      {"a site of our own", with(int3, ours), Action::pass_site},
      {"back from a handler", with(int3, ours, client, passed), Action::pass_site},
      {"a vfork child on its parent's site", with(int3, ours, client, hidden), Action::pass_site},
      {"commands left behind", with(int3, ours, client, unattended), Action::hit_site},
      {"a site of our own, unattended", with(int3, ours, unattended), Action::pass_site},
      {"a site that is gone", with(int3, vanished, client), Action::back_up},
      {"a site that is gone, hidden", with(int3, vanished, hidden), Action::back_up},
      {"the program's own int3", int3, Action::report_signal},
      {"the program's own int3 while stepping", with(int3, step), Action::report_signal},
      {"the program's own int3, hidden", with(int3, hidden), Action::deliver},
      {"the end of a slot", with(int3, slot_end), Action::finish_slot},
      {"the end of a slot, a site at PC-1", with(int3, slot_end, ours, client),
       Action::finish_slot},
      {"the end of a slot, hidden", with(int3, slot_end, hidden), Action::finish_slot},
      // QPassSignals is about signals, not about our own traps.
      {"pass SIGTRAP, a site", with(int3, ours, client, pass_signal), Action::hit_site},
  });
}

TEST_CASE("stop_policy: the other debug traps") {
  check({
      {"a step", with(sigtrap(trap_trace), step), Action::report_step},
      {"a range step that has left", with(sigtrap(trap_trace), range), Action::report_step},
      {"a range step still inside", with(sigtrap(trap_trace), range, inside), Action::go_on},
      {"the program's own trap flag", sigtrap(trap_trace), Action::report_signal},
      {"the program's own trap flag, hidden", with(sigtrap(trap_trace), hidden), Action::deliver},
      // A slot without an end is stepped; that is nobody's business.
      {"a step of our own", with(sigtrap(trap_trace), stepped), Action::go_on},
      {"a step of our own, hidden", with(sigtrap(trap_trace), stepped, hidden), Action::go_on},
      {"a step of the client", with(sigtrap(trap_trace), stepped, step), Action::report_step},
      // The program has set the flag itself and waits for its own trap, whoever else has set it
      // too.
      {"its own flag, in place", with(sigtrap(trap_trace), own_flag, in_place),
       Action::report_signal},
      {"its own flag, in a step of our own", with(sigtrap(trap_trace), own_flag, stepped),
       Action::report_signal},
      {"its own flag, in place, hidden", with(sigtrap(trap_trace), own_flag, in_place, hidden),
       Action::deliver},
      {"its own flag, in place, stepping", with(sigtrap(trap_trace), own_flag, in_place, step),
       Action::finish_in_place},
      {"its own flag, a step of the client", with(sigtrap(trap_trace), own_flag, stepped, step),
       Action::report_step},
      {"its own flag and a watchpoint", with(sigtrap(trap_hwbkpt), own_flag, hardware),
       Action::hit_hardware},
      {"its own flag and a point that is gone", with(sigtrap(trap_hwbkpt), own_flag),
       Action::go_on},
      {"int1 in a step of our own", with(sigtrap(trap_brkpt), stepped), Action::report_signal},
      {"in place, running", with(sigtrap(trap_trace), in_place), Action::finish_in_place},
      {"in place, stepping", with(sigtrap(trap_trace), in_place, step), Action::finish_in_place},
      {"in place, hidden", with(sigtrap(trap_trace), in_place, hidden), Action::finish_in_place},
      {"into a handler, for the stub", with(sigtrap(SIGTRAP), handler, stepped), Action::go_on},
      {"into a handler, for the client", with(sigtrap(SIGTRAP), handler, stepped, step),
       Action::report_step},
      {"into a handler, hidden", with(sigtrap(SIGTRAP), handler, stepped, hidden), Action::go_on},
      {"a watchpoint", with(sigtrap(trap_hwbkpt), hardware), Action::hit_hardware},
      {"a watchpoint at a step", with(sigtrap(trap_hwbkpt), hardware, step), Action::hit_hardware},
      {"the same, told as a step", with(sigtrap(trap_trace), hardware, step), Action::hit_hardware},
      {"a watchpoint in place", with(sigtrap(trap_hwbkpt), hardware, in_place),
       Action::hit_hardware},
      {"a watchpoint of a hidden process", with(sigtrap(trap_hwbkpt), hardware, hidden),
       Action::go_on},
      {"a point that is gone", sigtrap(trap_hwbkpt), Action::go_on},
      // int1 and perf's sigtrap events are the program's own.
      {"int1", sigtrap(trap_brkpt), Action::report_signal},
      {"int1, hidden", with(sigtrap(trap_brkpt), hidden), Action::deliver},
      {"a perf event", sigtrap(trap_perf), Action::report_signal},
  });
}

TEST_CASE("stop_policy: signals") {
  check({
      {"any", signal(SIGUSR1), Action::report_signal},
      {"while stepping", with(signal(SIGUSR1), step), Action::report_signal},
      {"with a stop asked for", with(signal(SIGUSR1), requested), Action::report_signal},
      {"QPassSignals", with(signal(SIGUSR1), pass_signal), Action::deliver},
      {"QPassSignals while stepping", with(signal(SIGUSR1), pass_signal, step),
       Action::report_signal},
      {"a fault in place", with(signal(SIGSEGV, 1), in_place), Action::report_signal},
      {"of a hidden process", with(signal(SIGSEGV, 1), hidden), Action::deliver},
      // The client's breakpoint stands where nothing can be executed.
      {"a fault at the client's int3", with(signal(SIGSEGV, 2), fetching), Action::report_signal},
      {"the same, passed", with(signal(SIGSEGV, 2), fetching, pass_signal), Action::report_signal},
      {"the same, hidden", with(signal(SIGSEGV, 2), fetching, hidden), Action::deliver},
      {"the fetch fault of a slot that is gone", with(signal(SIGSEGV, 1), slot_lost),
       Action::go_on},
      {"the same behind the instruction", with(signal(SIGSEGV, 1), slot_lost, slot_end),
       Action::finish_slot},
      {"SIGTRAP from kill()", sigtrap(si_user), Action::report_signal},
      {"SIGTRAP from tgkill()", with(sigtrap(si_tkill), ours, client), Action::report_signal},
      {"SIGTRAP from kill(), hidden", with(sigtrap(si_user), hidden), Action::deliver},
      {"a code of int3 with another signal", with(signal(SIGSEGV, si_kernel), ours, client),
       Action::report_signal},
      {"SIGSTOP before it stops the process", signal(SIGSTOP), Action::report_signal},
  });
}

TEST_CASE("stop_policy: stops without a signal") {
  const StopFacts interrupt{.status = InterruptStop{}}, group{.status = GroupStop{SIGTSTP}},
      syscall{.status = SyscallStop{}}, clone{.status = EventStop{PtraceEvent::clone}};
  check({
      {"an interrupt the client asked for", with(interrupt, requested), Action::report_requested},
      {"the same in mid-step", with(interrupt, requested, step), Action::report_requested},
      {"one of our own", interrupt, Action::go_on},
      {"one of our own in mid-step", with(interrupt, step), Action::go_on},
      {"one of our own in place", with(interrupt, in_place), Action::go_on},
      {"one of our own in front of a slot's int3", with(interrupt, slot_end, step),
       Action::finish_slot},
      {"the client's in front of a slot's int3", with(interrupt, slot_end, step, requested),
       Action::report_requested},
      {"job control", group, Action::stay_stopped},
      {"job control, hidden", with(group, hidden), Action::stay_stopped},
      {"job control and a stop asked for", with(group, requested), Action::report_requested},
      {"a caught call", with(syscall, catching), Action::report_syscall},
      {"a call nobody catches", syscall, Action::go_on},
      {"a caught call, hidden", with(syscall, catching, hidden), Action::go_on},
      {"clone", clone, Action::handle_event},
      {"clone, hidden", with(clone, hidden), Action::handle_event},
      {"clone with a stop asked for", with(clone, requested), Action::handle_event},
      {"exit", {.status = Exited{0}}, Action::handle_exit},
      {"death", {.status = Killed{SIGKILL}}, Action::handle_exit},
  });
}

TEST_CASE("stop_policy: when a step is complete") {
  CHECK(step_is_complete(Want::step, false));
  CHECK(step_is_complete(Want::step, true));
  CHECK(step_is_complete(Want::range, false));
  CHECK_FALSE(step_is_complete(Want::range, true));
  CHECK_FALSE(step_is_complete(Want::run, false));
  CHECK_FALSE(step_is_complete(Want::hold, false));
}

TEST_CASE("stop_policy: the end of a range that ran natively") {
  const StopFacts int3 = with(sigtrap(si_kernel), ours, range);
  check({
      {"a site of ours outside", with(int3, left), Action::leave_range},
      {"the client has one there too", with(int3, left, client), Action::leave_range},
      {"passed before", with(int3, left, client, passed), Action::leave_range},
      {"a site of ours inside", with(int3, inside), Action::pass_site},
      {"a site of the client inside", with(int3, inside, client), Action::hit_site},
      {"interrupted in front of the site", with({.status = InterruptStop{}}, range, left),
       Action::report_step},
      {"the client's interrupt comes first",
       with({.status = InterruptStop{}}, range, left, requested), Action::report_requested},
      {"interrupted inside", with({.status = InterruptStop{}}, range, inside), Action::go_on},
      {"a signal comes first", with(signal(SIGUSR1), range, left), Action::report_signal},
      {"one that passes silently", with(signal(SIGUSR1), range, left, pass_signal),
       Action::report_signal},
      {"one that the client has sent itself", with(signal(SIGUSR1), range, inside, own_signal),
       Action::deliver},
      {"one that passes, while it steps", with(signal(SIGUSR1), step, pass_signal),
       Action::report_signal},
  });
}

}  // namespace
}  // namespace stub
