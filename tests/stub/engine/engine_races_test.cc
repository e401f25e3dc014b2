// Races of stops and requests, each as the order of events it consists of.
#include <map>
#include <set>

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

using Kind = ResumeAction::Kind;

int resumes(World& w, int n) { return w.tracee.count("resume", w.t(n)); }

// ---- all-stop ----------------------------------------------------------------------------------

TEST_CASE("races: simultaneous hits are told one by one, in order, none lost, none twice") {
  World w(4);
  w.insert(boost_site);
  w.insert(emulate_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.execute_int3(w.t(4), emulate_site);
  w.tracee.signal(w.t(3), SIGUSR1);
  w.tracee.execute_int3(w.t(1), boost_site);
  CHECK(w.report() == "2 breakpoint");
  for (int n = 1; n <= 4; ++n) CHECK_FALSE(w.is_running(n));
  CHECK(w.report() == "nothing");
  w.run();
  CHECK(w.report() == "4 breakpoint");
  CHECK(resumes(w, 2) == 1);  // nobody moved in between
  w.run();
  CHECK(w.report() == "3 signal 10");
  w.run({}, 0);
  CHECK(w.report() == "1 breakpoint");
  w.run();
  CHECK(w.reports() == "nothing");
  for (int n = 1; n <= 4; ++n) CHECK(w.is_running(n));
}

TEST_CASE("races: a held report waits for its own thread to be resumed") {
  World w(3);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.execute_int3(w.t(3), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.run({w.t(1)});
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(1));
  CHECK_FALSE(w.is_running(3));
  w.tracee.signal(w.t(1), SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  w.run({w.t(3)});
  CHECK(w.report() == "3 breakpoint");
}

TEST_CASE("races: no report before every thread is at rest") {
  World w(2);
  w.insert(boost_site);
  w.run();
  w.at(1).deaf = true;
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "nothing");
  CHECK(w.engine.poll_after().has_value());
  w.tracee.interrupt_stop(w.t(1));
  CHECK(w.report() == "2 breakpoint");
}

TEST_CASE("races: a breakpoint is removed before its hit was told") {
  for (const bool again : {false, true}) {
    INFO(again);
    World w(3);
    w.insert(boost_site);
    w.run();
    w.tracee.execute_int3(w.t(2), boost_site);
    w.tracee.execute_int3(w.t(3), boost_site);
    CHECK(w.report() == "2 breakpoint");
    w.remove(boost_site);
    if (again) w.insert(boost_site);
    w.run();
    CHECK(w.report() == (again ? "3 breakpoint" : "nothing"));
    if (!again) {
      CHECK(w.is_running(3));
      CHECK(w.kernel_pc(3) == boost_site.value());
      CHECK(w.kernel_pc(2) == boost_site.value());
    }
  }
}

TEST_CASE("races: the program's signals survive the gate") {
  World w(2);
  std::bitset<65> pass;
  pass.set(SIGCHLD);
  w.engine.interest().set_pass_signals(pass);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.signal(w.t(1), SIGCHLD);
  CHECK(w.report() == "2 breakpoint");
  CHECK_FALSE(w.is_running(1));
  w.run();
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(1));
  bool delivered = false;
  for (const auto& call : w.tracee.calls)
    delivered =
        delivered || (call.name == "resume" && call.tid == w.t(1) && call.signal == SIGCHLD);
  CHECK(delivered);
}

TEST_CASE("races: a thread dies while its report waits") {
  World w(3);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.execute_int3(w.t(3), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.tracee.die(w.t(3));
  w.run();
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(2));
}

TEST_CASE("races: the process dies while reports wait") {
  World w(3);
  w.engine.interest().events = {.no_resumed = true};
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.execute_int3(w.t(3), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.tracee.die_all(w.pid);
  CHECK(w.reports() == "1 process_killed 9");
  CHECK(w.engine.processes().empty());
}

// ---- interrupts --------------------------------------------------------------------------------

TEST_CASE("races: Ctrl-C and a real stop of the same thread") {
  World w(1);
  w.tracee.answers_interrupts = false;
  w.insert(boost_site);
  w.run();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  w.tracee.execute_int3(w.leader, boost_site);  // the interrupt comes too late
  CHECK(w.report() == "1 breakpoint");
  w.run();
  CHECK(w.report() == "1 signal 2");  // owed, and paid before anything runs
  CHECK_FALSE(w.is_running(1));
  w.run();
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(1));
}

// Any other stop takes PTRACE_INTERRUPT away; nobody is to wait for ever.
TEST_CASE("races: Ctrl-C meets a stop that is not told") {
  World w(1);
  w.tracee.answers_interrupts = false;
  w.run();
  w.tracee.calls.clear();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  w.announce_clone(w.leader, 2);
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(1));
  CHECK(w.at(1).interrupt_waiting);
  w.tracee.interrupt_stop(w.leader);
  w.tracee.interrupt_stop(w.t(2));
  CHECK(w.report() == "1 signal 2");
}

// gdb goes on by itself after the stop of a step or of a condition that it evaluates.
TEST_CASE("races: only its own stop answers Ctrl-C") {
  World w(3);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  REQUIRE(w.engine.interrupt(w.t(3)).has_value());
  CHECK(w.report() == "2 breakpoint");
  w.run();
  CHECK(w.report() == "1 signal 2");
  for (int n = 1; n <= 3; ++n) CHECK_FALSE(w.is_running(n));
  w.run();
  CHECK(w.report() == "nothing");
  for (int n = 1; n <= 3; ++n) CHECK(w.is_running(n));
}

TEST_CASE("races: a step is done while another stop is told, and then the client continues") {
  for (const bool steps_again : {false, true}) {
    INFO(steps_again);
    World w(2);
    REQUIRE(w.resume(Kind::step, {w.t(1), w.t(2)}).has_value());
    for (const int n : {1, 2}) {
      w.at(n).regs.rip += 1;
      w.tracee.trap(w.t(n), trap_trace);
    }
    CHECK(w.report() == "1 step");
    if (steps_again)
      w.step(w.t(2));
    else
      w.run({w.t(2)});
    CHECK(w.report() == (steps_again ? "2 step" : "nothing"));
    CHECK(w.is_running(2) == !steps_again);
  }
}

TEST_CASE("races: a step that is done is told before what other threads ran into") {
  World w(2);
  w.run({w.t(1)});
  w.step(w.t(2));
  w.tracee.signal(w.t(1), SIGUSR1);
  w.at(2).regs.rip += 1;
  w.tracee.trap(w.t(2), trap_trace);
  CHECK(w.report() == "2 step");
  w.run();
  CHECK(w.report() == "1 signal 10");
}

// PTRACE_CONT delivers a signal only from a stop of a signal or a system call.
TEST_CASE("races: continuing with a signal after Ctrl-C") {
  World w;
  w.run();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  CHECK(w.report() == "1 signal 2");
  w.run({}, SIGUSR1);
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(1));
  CHECK(w.tracee.count("send_signal", w.leader) == 1);
  CHECK(w.tracee.last("resume", w.leader)->signal == SIGUSR1);
  // Once.
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
}

// It was sent to the thread, since the stop carried none, and there was no stop for it.
TEST_CASE("races: the program takes the signal it is continued with by sigwaitinfo") {
  World w;
  w.run();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  CHECK(w.report() == "1 signal 2");
  w.at(1).in_sigwait = true;
  w.run({}, SIGUSR1);
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(1));
  w.tracee.signal(w.leader, SIGUSR1);  // somebody else's
  CHECK(w.report() == "1 signal 10");
}

TEST_CASE("races: a signal of the same number comes before the one it is continued with") {
  World w;
  w.run();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  CHECK(w.report() == "1 signal 2");
  w.tracee.answers_interrupts = false;
  const int signal = SIGRTMIN + 1;
  w.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    w.tracee.on_resume = nullptr;
    w.tracee.signal(tid, signal);
  };
  w.at(1).in_sigwait = true;  // it is still on its way
  w.run({}, signal);
  CHECK(w.report() == "1 signal " + std::to_string(signal));
  w.run();
  REQUIRE(w.is_running(1));
  REQUIRE(w.tracee.send_signal(w.leader, signal).has_value());
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->signal == signal);
}

TEST_CASE("races: Ctrl-C to a thread that exits") {
  World w(2);
  w.tracee.answers_interrupts = false;
  w.run();
  REQUIRE(w.engine.interrupt(w.t(2)).has_value());
  w.tracee.exit(w.t(2));
  w.tracee.answers_interrupts = true;
  CHECK(w.report() == "1 signal 2");
}

TEST_CASE("races: vCont;t on a thread that runs, steps, is in a slot, or has stopped already") {
  World w(4, true);
  w.insert(trap_site);
  w.run({w.t(1), w.t(3), w.t(4)});
  w.tracee.execute_int3(w.t(3), trap_site);
  CHECK(w.report() == "3 breakpoint");
  w.run({w.t(3)});
  CHECK(in_area(w.kernel_pc(3)));
  w.step(w.t(2));
  w.tracee.execute_int3(w.t(4), trap_site);  // not seen yet
  REQUIRE(w.resume(Kind::stop, {}).has_value());
  w.engine.on_child_event();
  std::map<int, std::string> told;
  while (const auto report = w.engine.take_report()) {
    const int n = raw(report->tid) - first_fake_id;
    CHECK_FALSE(told.contains(n));
    told[n] = World::describe(*report);
  }
  CHECK(told[1] == "1 signal 0");
  CHECK(told[2] == "2 signal 0");
  CHECK(told[3] == "3 signal 0");
  CHECK(told[4] == "4 breakpoint");
  CHECK(w.pc(3) == trap_site.value());
  REQUIRE(w.resume(Kind::stop, {}).has_value());  // all are stopped: nothing to tell
  CHECK(w.reports() == "nothing");
  w.run();
  CHECK(w.reports() == "nothing");
  for (int n = 1; n <= 4; ++n) CHECK(w.is_running(n));
  CHECK(in_area(w.kernel_pc(3)));  // and was not told a second time
  CHECK(in_area(w.kernel_pc(4)));
}

TEST_CASE("races: vCont;t on a thread whose hit is not told, because the breakpoint is removed") {
  for (const bool hit_first : {false, true}) {
    INFO(hit_first);
    World w(2, true);
    w.insert(boost_site);
    w.run();
    w.tracee.answers_interrupts = hit_first;
    if (!hit_first) REQUIRE(w.resume(Kind::stop, {}).has_value());
    w.tracee.execute_int3(w.t(2), boost_site);
    w.engine.on_child_event();
    if (hit_first) REQUIRE(w.resume(Kind::stop, {}).has_value());
    w.remove(boost_site);
    w.tracee.answers_interrupts = true;
    if (!hit_first) w.tracee.interrupt_stop(w.leader);
    std::set<std::string> told;
    for (std::string one = w.report(); one != "nothing"; one = w.report()) told.insert(one);
    CHECK(told == std::set<std::string>{"1 signal 0", "2 signal 0"});
    CHECK(w.pc(2) == boost_site.value());
    CHECK(w.reports() == "nothing");
    w.run();
    CHECK(w.reports() == "nothing");  // the request has been answered
    CHECK(w.is_running(2));
  }
}

TEST_CASE("races: vCont;t for all while a thread is being born") {
  struct Row {
    bool all, stops;
  };
  for (const Row& row : {Row{true, true}, Row{false, false}}) {
    INFO(row.all);
    World w(1, true);
    w.run();
    w.tracee.answers_interrupts = false;
    REQUIRE(w.resume(Kind::stop,
                     row.all ? std::initializer_list<Tid>{} : std::initializer_list<Tid>{w.leader})
                .has_value());
    w.announce_clone(w.leader, 2);
    w.engine.on_child_event();
    w.tracee.answers_interrupts = true;
    w.tracee.interrupt_stop(w.leader);
    const std::string told = w.reports();
    CHECK((told.find("2 signal 0") != std::string::npos) == row.stops);
    CHECK(told.find("1 signal 0") != std::string::npos);
    CHECK(w.is_running(2) != row.stops);
  }
}

TEST_CASE("races: vCont;t on a thread that dies") {
  World w(2, true);
  w.tracee.answers_interrupts = false;
  w.run();
  REQUIRE(w.resume(Kind::stop, {w.t(2)}).has_value());
  w.tracee.exit(w.t(2));
  CHECK(w.report() == "nothing");
  REQUIRE(w.resume(Kind::stop, {w.t(1)}).has_value());
  w.tracee.die_all(w.pid);
  CHECK(w.reports() == "1 process_killed 9");
}

// get_signal() (kernel/signal.c) looks at PTRACE_INTERRUPT before it takes the SIGTRAP of an int3
// that has just executed.
TEST_CASE("races: an interrupt overtakes the trap of a slot's end") {
  World w(2);
  const Slot* slot = enter_slot(w, 1, trap_site);
  const Address end = slot->address + slot->code.executed;
  w.at(1).regs.rip = end.value() + 1;
  w.at(1).trap_waiting = true;
  w.tracee.interrupt_stop(w.t(1));
  w.tracee.signal(w.t(2), SIGUSR1);  // closes the gate, or nothing would hold the thread
  CHECK(w.report() == "2 signal 10");
  CHECK(w.pc(1) == trap_site.value() + 2);
  w.run();
  CHECK(w.reports() == "nothing");
  REQUIRE(w.is_running(1));
  CHECK(w.kernel_pc(1) == trap_site.value() + 2);
}

// The thread is let out of the group-stop to collect the trap, and has to go back into it: the
// kernel tells of the group's signal again, as long as the group is stopped.
TEST_CASE("races: a group-stop overtakes the trap of a site") {
  World w(2);
  w.tracee.answers_interrupts = false;
  REQUIRE(w.space().sites.insert_internal(w.pid, boost_site).has_value());
  w.run();
  w.tracee.calls.clear();
  w.at(1).regs.rip = boost_site.value() + 1;
  w.at(1).trap_waiting = true;
  w.tracee.group_stop(w.leader);
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(1));
  CHECK(in_area(w.kernel_pc(1)));
  REQUIRE(w.at(1).interrupt_waiting);
  w.tracee.group_stop(w.leader);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::listen);
  CHECK(w.kernel_pc(1) == boost_site.value());
  w.tracee.interrupt_stop(w.leader);  // SIGCONT
  CHECK(w.report() == "nothing");
  CHECK(in_area(w.kernel_pc(1)));
  CHECK(w.tracee.count("interrupt", w.leader) == 1);
}

TEST_CASE("races: an interrupt overtakes the trap of a site") {
  World w(2);
  w.insert(boost_site);
  w.run();
  w.at(1).regs.rip = boost_site.value() + 1;
  w.at(1).trap_waiting = true;
  w.tracee.interrupt_stop(w.t(1));
  w.tracee.signal(w.t(2), SIGUSR1);
  CHECK(w.report() == "2 signal 10");
  CHECK(w.pc(1) == boost_site.value());
  w.run();
  CHECK(w.report() == "1 breakpoint");
  w.run();
  CHECK(w.reports() == "nothing");
  CHECK(in_area(w.kernel_pc(1)));
}

}  // namespace
}  // namespace stub
