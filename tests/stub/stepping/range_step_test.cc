// Range steps that run natively: what ends them, who passes by, and that nothing stays behind.
#include "stub/stepping/range_step.h"

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

// The loop of all tests:    100: inc %rax; 103: call *%rdx; 105: dec %rcx; 108: jnz 100; 10a: nop
constexpr Address loop(0x401100), call_in_loop(0x401103), loop_end(0x40110a);

struct Range : World {
  explicit Range(int threads = 1, bool non_stop = false) : World(threads, non_stop) {
    memory().put(loop, {0x48, 0xff, 0xc0, 0xff, 0xd2, 0x48, 0xff, 0xc9, 0x75, 0xf6});
  }
  // Without the call.
  void plain_loop() { memory().put(call_in_loop, {0x66, 0x90}); }

  void range_step(int n, Address start = loop, Address end = loop_end) {
    ResumeAction step;
    step.kind = ResumeAction::Kind::range;
    step.range_start = start;
    step.range_end = end;
    step.tid = t(n);
    std::vector<ResumeAction> actions{step};
    if (!engine.non_stop()) actions.emplace_back();
    REQUIRE(engine.resume(actions).has_value());
  }
  ResumeHow how(int n) { return tracee.last("resume", t(n))->how; }
  // Kernel steps that stay at the loop's start, until the thread is let run.
  int steps_until_native(int n) {
    int steps = 0;
    for (; how(n) == ResumeHow::step && steps < 1000; ++steps) {
      at(n).regs.rip = loop.value();
      tracee.trap(t(n), trap_trace);
      CHECK(report() == "nothing");
    }
    return steps;
  }
  void go_native(int n) {
    place(t(n), loop);
    range_step(n);
    steps_until_native(n);
    REQUIRE(how(n) == ResumeHow::run);
  }
  bool has_site(Address at) { return memory().byte(at) == 0xcc; }
  bool has_sites() { return has_site(loop_end) || has_site(call_in_loop); }
};

TEST_CASE("range step: a loop runs natively up to its end") {
  Range w;
  w.plain_loop();
  w.go_native(1);
  CHECK(w.has_site(loop_end));
  w.tracee.execute_int3(w.leader, loop_end);
  CHECK(w.report() == "1 step");
  CHECK(w.pc(1) == loop_end.value());
  CHECK(w.space().sites.empty());
  CHECK_FALSE(w.has_sites());
}

TEST_CASE("range step: a short one inserts nothing") {
  Range w;
  w.place(w.leader, loop);
  w.range_step(1);
  for (int i = 0; i < 8; ++i) {
    w.tracee.trap(w.leader, trap_trace);
    CHECK(w.report() == "nothing");
    CHECK(w.how(1) == ResumeHow::step);
  }
  CHECK(w.space().sites.empty());
  w.at(1).regs.rip = loop_end.value();
  w.tracee.trap(w.leader, trap_trace);
  CHECK(w.report() == "1 step");
}

TEST_CASE("range step: text that may change, or that nobody can follow, is stepped") {
  Range w;
  w.tracee.text_is_fixed = false;
  w.place(w.leader, loop);
  w.range_step(1);
  CHECK(w.steps_until_native(1) == 1000);
  Range far;
  far.memory().put(call_in_loop, {0x48, 0xcf});  // iretq
  far.place(far.leader, loop);
  far.range_step(1);
  CHECK(far.steps_until_native(1) == 1000);
  CHECK(far.space().sites.empty());
}

TEST_CASE("range step: an indirect call inside is stepped, and the range left by it") {
  Range w;
  w.go_native(1);
  w.at(1).regs.rdx = plain_code.value();
  w.tracee.execute_int3(w.leader, call_in_loop);
  CHECK(w.report() == "1 step");
  CHECK(w.pc(1) == plain_code.value());
  CHECK_FALSE(w.has_sites());
}

TEST_CASE("range step: an indirect call into the range goes on from there") {
  Range w;
  w.go_native(1);
  w.at(1).regs.rdx = loop.value();
  w.tracee.execute_int3(w.leader, call_in_loop);
  CHECK(w.report() == "nothing");
  CHECK(w.how(1) == ResumeHow::run);
  CHECK(w.kernel_pc(1) == loop.value());
  // To a place that no flow has shown: stepped.
  w.at(1).regs.rdx = (loop + 5).value();
  w.tracee.execute_int3(w.leader, call_in_loop);
  CHECK(w.report() == "nothing");
  CHECK(w.how(1) == ResumeHow::step);
  CHECK(w.kernel_pc(1) == loop.value() + 5);
}

TEST_CASE("range step: other threads pass its sites unreported") {
  Range w(2);
  w.plain_loop();
  w.go_native(1);
  w.tracee.execute_int3(w.t(2), loop_end);
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(2));
  CHECK(w.kernel_pc(2) == loop_end.value() + 1);  // a nop is emulated
  CHECK(w.is_running(1));
  // One that executes the byte just before it goes.
  w.tracee.execute_int3(w.leader, loop_end);
  w.at(2).regs.rip = loop.value();
  w.tracee.execute_int3(w.t(2), loop_end);
  CHECK(w.report() == "1 step");
  w.run();
  CHECK(w.report() == "nothing");
  CHECK(w.kernel_pc(2) == loop_end.value());
}

TEST_CASE("range step: the client's breakpoints") {
  SECTION("inside: a hit") {
    Range w;
    w.plain_loop();
    w.insert(loop + 5);
    w.go_native(1);
    w.tracee.execute_int3(w.leader, loop + 5);
    CHECK(w.report() == "1 breakpoint");
    CHECK_FALSE(w.has_site(loop_end));
    CHECK(w.has_site(loop + 5));
  }
  SECTION("where the range is left: a step, and the breakpoint is still to be hit") {
    Range w;
    w.plain_loop();
    w.insert(loop_end);
    w.go_native(1);
    w.tracee.execute_int3(w.leader, loop_end);
    CHECK(w.report() == "1 step");
    CHECK(w.has_site(loop_end));
    w.run();
    w.tracee.execute_int3(w.leader, loop_end);
    CHECK(w.report() == "1 breakpoint");
  }
  SECTION("inserted and removed on top of ours while it runs") {
    Range w(1, true);
    w.plain_loop();
    w.go_native(1);
    w.insert(loop_end);
    w.remove(loop_end);
    CHECK(w.has_site(loop_end));
    w.tracee.execute_int3(w.leader, loop_end);
    CHECK(w.report() == "1 step");
    CHECK_FALSE(w.has_site(loop_end));
  }
}

TEST_CASE("range step: no signal passes unseen, since its handler is outside") {
  Range w;
  w.plain_loop();
  std::bitset<65> pass;
  pass.set(SIGUSR1);
  w.engine.interest().set_pass_signals(pass);
  w.go_native(1);
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  CHECK_FALSE(w.has_sites());
  w.run();
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "nothing");
}

TEST_CASE("range step: one that the client has sent is delivered with a step") {
  Range w;
  w.plain_loop();
  w.go_native(1);
  REQUIRE(w.engine.interrupt(w.leader).has_value());
  CHECK(w.report() == "1 signal 2");
  ResumeAction step{.kind = ResumeAction::Kind::range, .signal = SIGUSR2};
  step.range_start = loop;
  step.range_end = loop_end;
  REQUIRE(w.engine.resume(std::array{step}).has_value());
  CHECK(w.report() == "nothing");
  CHECK(w.how(1) == ResumeHow::step);
  CHECK(w.tracee.last("resume", w.leader)->signal == SIGUSR2);
  w.at(1).regs.rip = plain_code.value();  // the handler
  w.tracee.trap(w.leader, trap_trace);
  CHECK(w.report() == "1 step");
}

TEST_CASE("range step: whatever else ends it, the sites go") {
  SECTION("a signal that is told") {
    Range w;
    w.go_native(1);
    w.tracee.signal(w.leader, SIGUSR1);
    CHECK(w.report() == "1 signal 10");
    CHECK(w.space().sites.empty());
  }
  SECTION("Ctrl-C") {
    Range w;
    w.go_native(1);
    REQUIRE(w.engine.interrupt(w.leader).has_value());
    CHECK(w.report() == "1 signal 2");
    CHECK(w.space().sites.empty());
  }
  SECTION("vCont;t") {
    Range w(1, true);
    w.go_native(1);
    w.stop({w.leader});
    CHECK(w.space().sites.empty());
  }
  SECTION("another thread's stop") {
    Range w(2);
    w.go_native(1);
    w.tracee.signal(w.t(2), SIGUSR1);
    CHECK(w.report() == "2 signal 10");
    CHECK(w.space().sites.empty());
    CHECK(w.pc(1) == loop.value());
  }
  SECTION("another thread's stop, just as it leaves") {
    Range w(2);
    w.plain_loop();
    w.go_native(1);
    w.at(1).regs.rip = loop_end.value();
    w.tracee.signal(w.t(2), SIGUSR1);
    CHECK(w.report() == "1 step");
    CHECK(w.space().sites.empty());
    w.run();
    CHECK(w.report() == "2 signal 10");
  }
  SECTION("detach") {
    Range w;
    w.go_native(1);
    REQUIRE(w.engine.detach(w.pid).has_value());
    CHECK_FALSE(w.has_sites());
  }
  SECTION("death") {
    Range w(2);
    w.go_native(2);
    w.tracee.exit(w.t(2));
    CHECK(w.report() == "nothing");
    CHECK(w.space().sites.empty());
    CHECK_FALSE(w.has_sites());
  }
  SECTION("exec by another thread") {
    Range w(2);
    w.go_native(2);
    w.memory().put(loop_end, {0xcc});  // in the new program
    w.tracee.vanish(w.t(2));
    w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.leader)));
    CHECK(w.report() == "nothing");
    CHECK(w.space().sites.empty());
    CHECK(w.memory().byte(loop_end) == 0xcc);
  }
}

TEST_CASE("range step: a fork child has none of its sites") {
  Range w;
  w.plain_loop();
  w.engine.interest().events = {.fork = true};
  w.insert(boost_site);
  w.go_native(1);
  const Pid child = fake_pid(50);
  w.tracee.add(child, leader_of(child));
  w.tracee.copy_memory(child, w.pid);
  w.tracee.at(leader_of(child)).regs = w.at(1).regs;
  w.tracee.interrupt_stop(leader_of(child));
  w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(child)));
  CHECK(w.report() == "1 fork");
  CHECK(w.tracee.memory(child).byte(loop_end) != 0xcc);
  CHECK(w.tracee.memory(child).byte(boost_site) == 0xcc);
  CHECK(w.engine.find(child)->space->sites.size() == 1);
}

TEST_CASE("range step: the client writes into the range while it runs") {
  Range w(1, true);
  w.plain_loop();
  w.go_native(1);
  const std::array leave{std::byte{0xeb}, std::byte{0x10}};  // 103: jmp 115
  CHECK(w.engine.write_memory(w.pid, call_in_loop, leave) == 2);
  CHECK(w.report() == "nothing");
  CHECK(w.how(1) == ResumeHow::step);
  CHECK_FALSE(w.has_sites());
  w.steps_until_native(1);
  CHECK(w.has_site(loop + 0x15));
  CHECK_FALSE(w.has_site(loop_end));
}

TEST_CASE("range step: what the client reads is the program's own") {
  Range w(1, true);
  w.plain_loop();
  w.go_native(1);
  std::array<std::byte, 1> byte{};
  CHECK(w.engine.read_memory(w.pid, loop_end, byte) == 1);
  CHECK(byte[0] == std::byte{0x90});
}

TEST_CASE("range step: two threads in the same loop") {
  Range w(2, true);
  w.plain_loop();
  w.go_native(1);
  w.go_native(2);
  w.tracee.execute_int3(w.leader, loop_end);
  CHECK(w.report() == "1 step");
  CHECK(w.has_site(loop_end));
  w.tracee.execute_int3(w.t(2), loop_end);
  CHECK(w.report() == "2 step");
  CHECK_FALSE(w.has_site(loop_end));
}

TEST_CASE("range step: a watchpoint inside") {
  Range w;
  w.plain_loop();
  REQUIRE(
      w.engine.insert_hardware(w.pid, rsp::PointType::write_watchpoint, stack, 8, {}).has_value());
  w.go_native(1);
  w.at(1).user[debug_status_offset()] = 1;
  w.tracee.trap(w.leader, 4);
  CHECK(w.report() == "1 write_watch");
  CHECK(w.space().sites.empty());
}

}  // namespace
}  // namespace stub
