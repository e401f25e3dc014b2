// A thread that has called vfork sleeps until its child execs or ends, for as long as that takes.
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

// Thread 1 has called vfork; process 50 is the child, with the same memory.
struct Vfork {
  World& w;
  Pid child = fake_pid(50);
  Tid leader = leader_of(fake_pid(50));

  void happens() {
    w.tracee.add(child, leader);
    w.tracee.share_memory(child, w.pid);
    w.place(leader, plain_code);
    w.tracee.event(w.leader, PtraceEvent::vfork, static_cast<std::uint64_t>(raw(child)));
    w.tracee.interrupt_stop(leader);
  }
  void sleeps() { w.at(1).deaf = true; }
  void wakes() {
    w.at(1).deaf = false;
    w.tracee.event(w.leader, PtraceEvent::vfork_done, static_cast<std::uint64_t>(raw(child)));
  }
};

ResumeHow last_resume(World& w, int n) { return w.tracee.last("resume", w.t(n))->how; }

// The kernel takes it out of a thread when it is detached from, not when its tracer ends.
TEST_CASE("vfork: nobody sleeps with our trap flag") {
  for (const bool followed : {false, true}) {
    INFO(followed);
    World w;
    w.engine.interest().events = {.vfork = followed};
    w.step(w.leader);
    Vfork vfork{w};
    vfork.happens();
    CHECK(w.report() == (followed ? "1 vfork" : "nothing"));
    if (followed) w.step(w.leader);
    vfork.sleeps();
    REQUIRE(w.is_running(1));
    CHECK(last_resume(w, 1) == ResumeHow::run);
    if (followed) w.run({vfork.leader});
    w.tracee.exit(vfork.leader);
    vfork.wakes();
    if (followed) {
      CHECK(w.report() == "1 vfork_done");  // of the thread that is stepped
      w.step(w.leader);
      CHECK_FALSE(w.is_running(1));
      CHECK(w.report() == "50 process_exited");
      w.step(w.leader);
    }
    CHECK(w.report() == "nothing");
    REQUIRE(w.is_running(1));
    CHECK(last_resume(w, 1) == ResumeHow::step);  // now, in front of the next instruction
    w.tracee.trap(w.leader, trap_trace);
    CHECK(w.report() == "1 step");
  }
}

TEST_CASE("vfork: Ctrl-C, when all that runs is asleep") {
  for (const bool followed : {false, true}) {
    INFO(followed);
    World w;
    w.engine.interest().events = {.vfork = followed};
    w.run();
    w.at(1).regs.rbx = 0x1234;
    w.at(1).xstate[0] = std::byte{0x7f};
    Vfork vfork{w};
    vfork.happens();
    CHECK(w.report() == (followed ? "1 vfork" : "nothing"));
    if (followed) w.run({w.leader});
    vfork.sleeps();
    REQUIRE(w.engine.interrupt(std::nullopt).has_value());
    CHECK(w.report() == "1 signal 2");
    const auto file = w.engine.read_registers(w.leader, {.xstate = true});
    REQUIRE(file.has_value());
    CHECK(file->general.rbx == 0x1234);
    REQUIRE(file->xstate.size() == w.at(1).xstate.size());
    CHECK(file->xstate[0] == std::byte{0x7f});
    CHECK_FALSE(w.engine.write_registers(w.leader, *file, {}).has_value());
    w.run();
    CHECK(w.report() == "nothing");
    w.tracee.exit(vfork.leader);
    CHECK(w.report() == "nothing");
    vfork.wakes();
    if (followed) {
      CHECK(w.report() == "50 process_exited");
      w.run();
      CHECK(w.report() == "1 vfork_done");
      w.run();
    }
    CHECK(w.report() == "nothing");
    CHECK(w.is_running(1));
  }
}

TEST_CASE("vfork: Ctrl-C is answered by a thread that can be stopped") {
  World w(2);
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "nothing");
  vfork.sleeps();
  REQUIRE(w.engine.interrupt(w.leader).has_value());
  CHECK(w.report() == "2 signal 2");
}

// The interrupt and the event pass each other.
TEST_CASE("vfork: Ctrl-C as the thread is about to sleep") {
  World w;
  w.tracee.answers_interrupts = false;
  w.run();
  Vfork vfork{w};
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  vfork.happens();
  CHECK(w.report() == "1 signal 2");
  CHECK_FALSE(w.is_running(1));
  w.tracee.answers_interrupts = true;
  w.run();
  CHECK(w.is_running(1));
}

TEST_CASE("vfork: non-stop, a sleeper is stopped and wakes up") {
  World w(1, true);
  w.engine.interest().events = {.vfork = true};
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "1 vfork");
  w.run({w.leader});
  vfork.sleeps();
  REQUIRE(w.resume(ResumeAction::Kind::stop, {w.leader}).has_value());
  CHECK(w.report() == "1 signal 0");
  w.run({vfork.leader});
  w.tracee.exit(vfork.leader);
  vfork.wakes();
  CHECK(w.reports() == "50 process_exited");  // for the client the other one is stopped
  w.run();
  CHECK(w.report() == "1 vfork_done");
  w.run();
  CHECK(w.is_running(1));
}

TEST_CASE("vfork: non-stop, a sleeper is told to stop and wakes up before that is told") {
  World w(1, true);
  w.engine.interest().events = {.vfork = true};
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "1 vfork");
  w.run({w.leader});
  vfork.sleeps();
  REQUIRE(w.resume(ResumeAction::Kind::stop, {w.leader}).has_value());
  w.run({vfork.leader});
  w.tracee.exit(vfork.leader);
  vfork.wakes();
  CHECK(w.reports() == "1 signal 0, 50 process_exited");
  w.run();
  CHECK_FALSE(w.is_running(1));
  CHECK(w.report() == "1 vfork_done");
}

// Between the end of the child and VFORK_DONE the parent could answer no request.
TEST_CASE("vfork: the child's end is told when the parent has stopped") {
  for (const bool execs : {false, true}) {
    INFO(execs);
    World w;
    w.engine.interest().events = {.vfork = true, .exec = true};
    w.run();
    Vfork vfork{w};
    vfork.happens();
    CHECK(w.report() == "1 vfork");
    w.run();
    vfork.sleeps();
    if (execs)
      w.tracee.event(vfork.leader, PtraceEvent::exec,
                     static_cast<std::uint64_t>(raw(vfork.leader)));
    else
      w.tracee.exit(vfork.leader);
    CHECK(w.report() == "nothing");
    vfork.wakes();
    CHECK(w.report() == (execs ? "50 exec" : "50 process_exited"));
    CHECK_FALSE(w.is_running(1));
    CHECK(w.engine.read_registers(w.leader, {.xstate = true}).has_value());
    w.run();
    CHECK(w.report() == "1 vfork_done");
  }
}

// A child that the client detaches from stays, as long as there are sites for the parent.
TEST_CASE("vfork: the client holds the child, and lets both go") {
  for (const bool child_first : {false, true}) {
    INFO(child_first);
    World w;
    w.engine.interest().events = {.vfork = true};
    w.insert(boost_site);
    w.run();
    Vfork vfork{w};
    vfork.happens();
    CHECK(w.report() == "1 vfork");
    w.run({w.leader});
    vfork.sleeps();
    if (child_first) {
      REQUIRE(w.engine.detach(vfork.child).has_value());
      CHECK(w.tracee.count("detach", vfork.leader) == 0);
      CHECK(w.tracee.at(vfork.leader).state == FakeThread::State::running);
      CHECK(w.memory().byte(boost_site) == 0xcc);
    }
    REQUIRE(w.engine.detach(w.pid).has_value());
    CHECK(w.memory().byte(boost_site) == 0x48);
    if (!child_first) REQUIRE(w.engine.detach(vfork.child).has_value());
    CHECK(w.tracee.count("detach", vfork.leader) == 1);
    CHECK(w.engine.processes().empty());
    vfork.wakes();
    CHECK(w.report() == "nothing");
  }
}

TEST_CASE("vfork: the client steps the child, and lets both go") {
  World w;
  w.engine.interest().events = {.vfork = true};
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "1 vfork");
  REQUIRE(w.resume(ResumeAction::Kind::run, {w.leader}).has_value());
  vfork.sleeps();
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  CHECK(w.report() == "1 signal 2");
  w.step(vfork.leader);
  REQUIRE(w.tracee.last("resume", vfork.leader)->how == ResumeHow::step);
  REQUIRE(w.engine.detach(w.pid).has_value());
  REQUIRE(w.engine.detach(vfork.child).has_value());
  CHECK(w.tracee.count("detach", vfork.leader) == 1);  // which takes the flag out
}

// The parent is killed, and the child goes on in a memory with sites.
TEST_CASE("vfork: a child that nobody knows is let go at the end") {
  World w(2);
  w.insert(boost_site);
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "nothing");
  vfork.sleeps();
  w.tracee.die_all(w.pid);
  CHECK(w.report() == "1 process_killed 9");
  CHECK(w.memory().byte(boost_site) == 0xcc);
  w.engine.wait_for_sleepers();
  CHECK(w.tracee.memory(vfork.child).byte(boost_site) == 0x48);
  CHECK(w.tracee.count("detach", vfork.leader) == 1);
}

TEST_CASE("vfork: a signal that was told goes with a child that stays for its parent") {
  World w;
  w.engine.interest().events = {.vfork = true};
  w.run();
  Vfork vfork{w};
  vfork.happens();
  CHECK(w.report() == "1 vfork");
  w.run();
  vfork.sleeps();
  w.tracee.signal(vfork.leader, SIGUSR1);
  CHECK(w.report() == "50 signal 10");
  REQUIRE(w.engine.detach(vfork.child).has_value());
  CHECK(w.tracee.last("resume", vfork.leader)->signal == SIGUSR1);
}

TEST_CASE("vfork: who has to be waited for at the end") {
  FakeTracee tracee;
  const auto space = std::make_shared<AddressSpace>(tracee, x86::Mode::amd64);
  Inferior process;
  process.space = space;
  Thread thread;
  thread.process = &process;
  CHECK_FALSE(has_something_of_ours(thread));
  SECTION("our trap flag") { thread.stepped = true; }
  SECTION("debug registers") { thread.debug_loaded.control = 1; }
  SECTION("an area it may be in") { space->areas.add({area, 0x1000}); }
  SECTION("it dies with us") { process.lifetime = Lifetime::exit_kill; }
  SECTION("nothing") { return; }
  CHECK(has_something_of_ours(thread));
}

}  // namespace
}  // namespace stub
