// The lane that stops the others: whatever happens in it, the byte comes back and so do they.
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

// Thread 1 has hit the site that must be stepped in place and is resumed with all others.
void begin_in_place(World& w) {
  w.insert(in_place_site);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(1), in_place_site);
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
}

TEST_CASE("in place: with the others at rest, and then everybody runs") {
  World w(3);
  w.tracee.answers_interrupts = false;
  w.insert(in_place_site);
  w.run();
  w.tracee.execute_int3(w.t(1), in_place_site);
  w.engine.on_child_event();
  w.tracee.interrupt_stop(w.t(2));
  w.tracee.interrupt_stop(w.t(3));
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
  // Whoever was started before the lane was taken has to come to rest first.
  CHECK(w.memory().byte(in_place_site) == (w.is_running(2) || w.is_running(3) ? 0xcc : 0x48));
  w.tracee.interrupt_stop(w.t(2));
  w.engine.on_child_event();
  w.tracee.interrupt_stop(w.t(3));
  w.engine.on_child_event();
  REQUIRE(w.is_running(1));
  CHECK_FALSE(w.is_running(2));
  CHECK_FALSE(w.is_running(3));
  CHECK(w.tracee.last("resume", w.t(1))->how == ResumeHow::step);
  CHECK(w.memory().byte(in_place_site) == 0x48);
  w.at(1).regs.rip = plain_code.value();
  w.tracee.trap(w.t(1), trap_trace);
  CHECK(w.report() == "nothing");
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  for (int n = 1; n <= 3; ++n) CHECK(w.is_running(n));
  CHECK(w.tracee.last("resume", w.t(1))->how == ResumeHow::run);
  CHECK(w.kernel_pc(1) == plain_code.value());
}

TEST_CASE("in place: what may come instead of the step's end") {
  World w(3);
  begin_in_place(w);
  REQUIRE(w.memory().byte(in_place_site) == 0x48);
  const auto stop_others_resumed = [&] {
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    CHECK(w.is_running(2));
    CHECK(w.is_running(3));
  };
  SECTION("its end, for a client that steps") {
    // As begun: the thread runs. Nothing else to do.
    w.at(1).regs.rip = plain_code.value();
    w.tracee.trap(w.t(1), trap_trace);
    CHECK(w.reports() == "nothing");
    stop_others_resumed();
  }
  SECTION("a signal before the instruction") {
    w.tracee.signal(w.t(1), SIGUSR1);
    CHECK(w.report() == "1 signal 10");
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    CHECK(w.pc(1) == in_place_site.value());
    w.run();  // again
    w.engine.on_child_event();
    CHECK(w.memory().byte(in_place_site) == 0x48);
  }
  SECTION("a fault of the instruction") {
    w.tracee.signal(w.t(1), SIGSEGV, 128);
    CHECK(w.report() == "1 signal 11");
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    CHECK(w.pc(1) == in_place_site.value());
  }
  SECTION("an int3 of the program's own, which was under ours") {
    w.at(1).regs.rip = in_place_site.value() + 1;
    w.tracee.trap(w.t(1), si_kernel);
    CHECK(w.report() == "1 signal 5");
    CHECK(w.pc(1) == in_place_site.value() + 1);
    CHECK(w.memory().byte(in_place_site) == 0xcc);
  }
  SECTION("an interrupt before the instruction: once more") {
    w.tracee.interrupt_stop(w.t(1));
    CHECK(w.reports() == "nothing");
    CHECK(w.memory().byte(in_place_site) == 0x48);
    CHECK(w.is_running(1));
  }
  SECTION("the thread's death") {
    w.tracee.die(w.t(1));
    w.tracee.die_all(w.pid);
    CHECK(w.reports() == "1 process_killed 9");
  }
  SECTION("the death of a thread that waits") {
    w.tracee.die(w.t(2));
    w.engine.on_child_event();
    w.at(1).regs.rip = plain_code.value();
    w.tracee.trap(w.t(1), trap_trace);
    CHECK(w.reports() == "nothing");
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    CHECK(w.is_running(3));
  }
  SECTION("the breakpoint's removal") {
    w.remove(in_place_site);
    w.at(1).regs.rip = plain_code.value();
    w.tracee.trap(w.t(1), trap_trace);
    CHECK(w.reports() == "nothing");
    CHECK(w.memory().byte(in_place_site) == 0x48);
    CHECK(w.is_running(2));
  }
  SECTION("detach") {
    REQUIRE(w.engine.detach(w.pid).has_value());
    CHECK(w.memory().byte(in_place_site) == 0x48);
    CHECK(w.memory().byte(boost_site) == 0x48);
    for (int n = 1; n <= 3; ++n) CHECK(w.tracee.count("detach", w.t(n)) == 1);
  }
  SECTION("kill") {
    REQUIRE(w.engine.kill(w.pid).has_value());
    CHECK(w.reports() == "nothing");
  }
  SECTION("Ctrl-C") {
    REQUIRE(w.engine.interrupt(w.t(2)).has_value());
    CHECK(w.report() == "2 signal 2");
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    for (int n = 1; n <= 3; ++n) CHECK_FALSE(w.is_running(n));
  }
}

// Between popf and the handler, the program steps itself.
TEST_CASE("in place: the program has set its trap flag") {
  World w(2);
  w.insert(in_place_site);
  w.run();
  w.at(1).regs.eflags |= x86::trap_flag;
  w.tracee.execute_int3(w.t(1), in_place_site);
  REQUIRE(w.report() == "1 breakpoint");
  const auto lands = [&] {
    w.engine.on_child_event();
    REQUIRE(w.memory().byte(in_place_site) == 0x48);
    w.at(1).regs.rip = plain_code.value();
    w.tracee.trap(w.t(1), trap_trace);
  };
  SECTION("its trap is told") {
    w.run();
    lands();
    CHECK(w.report() == "1 signal 5");
    CHECK(w.pc(1) == plain_code.value());
  }
  SECTION("a client that steps is told of one stop") {
    w.step(w.t(1));
    lands();
    CHECK(w.reports() == "1 step");
  }
  CHECK(w.memory().byte(in_place_site) == 0xcc);
}

TEST_CASE("in place: a thread that dies instead of coming to rest") {
  World w(3, true);
  w.insert(in_place_site);
  w.run();
  w.tracee.answers_interrupts = false;
  w.tracee.execute_int3(w.t(1), in_place_site);
  CHECK(w.report() == "1 breakpoint");
  w.run({w.t(1)});
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  w.tracee.interrupt_stop(w.t(2));
  w.engine.on_child_event();
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  w.tracee.exit(w.t(3));
  w.engine.on_child_event();
  CHECK(w.memory().byte(in_place_site) == 0x48);
  CHECK(w.is_running(1));
}

TEST_CASE("in place: the last thread comes to rest") {
  World w(3, true);
  w.insert(in_place_site);
  w.run();
  w.tracee.answers_interrupts = false;
  w.tracee.execute_int3(w.t(1), in_place_site);
  CHECK(w.report() == "1 breakpoint");
  w.run({w.t(1)});
  for (const int n : {2, 3}) {
    CHECK(w.memory().byte(in_place_site) == 0xcc);
    CHECK(w.at(n).interrupt_waiting);
    w.tracee.interrupt_stop(w.t(n));
    CHECK(w.report() == "nothing");
  }
  CHECK(w.memory().byte(in_place_site) == 0x48);
  CHECK(w.is_running(1));
  CHECK_FALSE(w.is_running(2));
  CHECK_FALSE(w.is_running(3));
  w.at(1).regs.rip = plain_code.value();
  w.tracee.trap(w.t(1), trap_trace);
  CHECK(w.report() == "nothing");
  for (int n = 1; n <= 3; ++n) CHECK(w.is_running(n));
  CHECK(w.memory().byte(in_place_site) == 0xcc);
}

TEST_CASE("in place: a thread that hits another site instead of coming to rest") {
  World w(2, true);
  w.insert(in_place_site);
  w.insert(boost_site);
  w.run();
  w.tracee.answers_interrupts = false;
  w.tracee.execute_int3(w.t(1), in_place_site);
  CHECK(w.report() == "1 breakpoint");
  w.run({w.t(1)});
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  CHECK(w.memory().byte(in_place_site) == 0x48);
  w.at(1).regs.rip = plain_code.value();
  w.tracee.trap(w.t(1), trap_trace);
  CHECK(w.report() == "nothing");
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  CHECK(w.is_running(1));
  CHECK_FALSE(w.is_running(2));
}

TEST_CASE("in place: two threads at the same site take turns") {
  World w(2);
  w.insert(in_place_site);
  w.run();
  w.tracee.execute_int3(w.t(1), in_place_site);
  w.tracee.execute_int3(w.t(2), in_place_site);
  CHECK(w.report() == "1 breakpoint");
  w.run();
  CHECK(w.report() == "2 breakpoint");
  w.run();
  for (int turn = 0; turn < 2; ++turn) {
    w.engine.on_child_event();
    const int n =
        w.is_running(1) && w.tracee.last("resume", w.t(1))->how == ResumeHow::step ? 1 : 2;
    CHECK(w.memory().byte(in_place_site) == 0x48);
    w.at(n).regs.rip = plain_code.value();
    w.tracee.trap(w.t(n), trap_trace);
    w.engine.on_child_event();
  }
  CHECK(w.reports() == "nothing");
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  for (int n = 1; n <= 2; ++n) {
    CHECK(w.is_running(n));
    CHECK(w.kernel_pc(n) == plain_code.value());
    CHECK(w.tracee.last("resume", w.t(n))->how == ResumeHow::run);
  }
}

TEST_CASE("in place: the instruction ends the thread") {
  World w(3, true);
  w.insert(in_place_site);
  w.run();
  w.tracee.execute_int3(w.t(2), in_place_site);
  CHECK(w.report() == "2 breakpoint");
  w.run({w.t(2)});
  CHECK(w.report() == "nothing");
  REQUIRE(w.memory().byte(in_place_site) == 0x48);
  w.tracee.exit(w.t(2));
  CHECK(w.report() == "nothing");
  CHECK(w.memory().byte(in_place_site) == 0xcc);
  CHECK(w.is_running(1));
  CHECK(w.is_running(3));
}

// The leader that is held is killed by the exec, whose caller stands behind its id from then on.
TEST_CASE("in place: another thread execs while the leader is held") {
  World w(3, true);
  w.engine.interest().events = {.exec = true};
  w.insert(in_place_site);
  w.run();
  w.tracee.execute_int3(w.t(2), in_place_site);
  CHECK(w.report() == "2 breakpoint");
  w.at(3).deaf = true;  // in execve(2)
  w.run({w.t(2)});
  CHECK(w.report() == "nothing");
  REQUIRE_FALSE(w.is_running(1));
  REQUIRE_FALSE(w.is_running(2));
  w.tracee.exit(w.t(2));
  w.tracee.vanish(w.t(3));
  w.at(1).state = FakeThread::State::running;
  w.at(1).regs.rip = 0x10000;
  w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.t(3))));
  CHECK(w.report() == "1 exec");
  CHECK(w.pc(1) == 0x10000);
  CHECK(w.tracee.blunders.empty());
}

}  // namespace
}  // namespace stub
