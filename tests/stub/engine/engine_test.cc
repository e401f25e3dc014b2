// What the engine does about one thing at a time. The other engine_*_test.cc are about what goes
// wrong.
#include <chrono>
#include <thread>

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

TEST_CASE("engine: a breakpoint is told with the PC at its address, and all threads are held") {
  World w(3);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  CHECK(w.pc(2) == boost_site.value());
  for (int n = 1; n <= 3; ++n) CHECK_FALSE(w.is_running(n));
  CHECK(w.report() == "nothing");
  CHECK_FALSE(w.engine.any_resumed());
}

TEST_CASE("engine: in non-stop nobody else is stopped") {
  World w(3, true);
  w.insert(boost_site);
  w.run();
  w.tracee.calls.clear();
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  CHECK(w.is_running(1));
  CHECK(w.is_running(3));
  CHECK(w.tracee.count("interrupt", w.t(1)) + w.tracee.count("interrupt", w.t(3)) == 0);
}

TEST_CASE("engine: continuing from a hit steps over the site, by its lane") {
  const struct {
    const char* lane;
    Address site;
    bool slot;
    std::uint64_t pc;  // where the kernel resumes the thread, when not in a slot
  } rows[] = {{"boost", boost_site, true, 0},
              {"trap", trap_site, true, 0},
              {"emulate", emulate_site, false, jump_target.value()},
              {"emulate, on the stack", push_site, false, push_site.value() + 1}};
  for (const auto& row : rows) {
    INFO(row.lane);
    World w;
    w.insert(row.site);
    w.run();
    w.tracee.execute_int3(w.leader, row.site);
    REQUIRE(w.report() == "1 breakpoint");
    w.run();
    REQUIRE(w.is_running(1));
    CHECK(in_area(w.kernel_pc(1)) == row.slot);
    if (!row.slot) CHECK(w.kernel_pc(1) == row.pc);
    CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
    CHECK(w.memory().byte(row.site) == 0xcc);
    CHECK(w.report() == "nothing");
  }
}

TEST_CASE("engine: stepping from a hit is one instruction") {
  const struct {
    const char* lane;
    Address site;
    std::uint64_t length;  // behind the site when done
    bool slot;
  } rows[] = {{"boost", boost_site, 3, true},
              {"trap", trap_site, 2, true},
              {"emulate", emulate_site, 0x20, false}};
  for (const auto& row : rows) {
    INFO(row.lane);
    World w;
    w.insert(row.site);
    w.run();
    w.tracee.execute_int3(w.leader, row.site);
    REQUIRE(w.report() == "1 breakpoint");
    w.step(w.leader);
    if (row.slot) {
      REQUIRE(w.is_running(1));
      REQUIRE(in_area(w.kernel_pc(1)));
      const Slot* slot = w.space().areas.at(Address(w.kernel_pc(1)));
      REQUIRE(slot != nullptr);
      w.tracee.execute_int3(w.leader, slot->address + slot->code.executed);
    }
    CHECK(w.report() == "1 step");
    CHECK(w.pc(1) == row.site.value() + row.length);
  }
}

TEST_CASE("engine: a slot's end is not told, and the thread goes on behind the site") {
  World w;
  w.insert(trap_site);
  w.run();
  w.tracee.execute_int3(w.leader, trap_site);
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
  const Slot* slot = w.space().areas.at(Address(w.kernel_pc(1)));
  REQUIRE(slot != nullptr);
  w.tracee.execute_int3(w.leader, slot->address + slot->code.executed);
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(1));
  CHECK(w.kernel_pc(1) == trap_site.value() + 2);
}

TEST_CASE("engine: a site inserted by nobody's client, a program's own int3, one that is gone") {
  World w;
  w.memory().put(text, {0xcc});
  w.run();
  w.tracee.execute_int3(w.leader, text);
  CHECK(w.report() == "1 signal 5");
  CHECK(w.pc(1) == text.value() + 1);

  w.memory().put(text, {0xcd, 0x03});  // the same in two bytes
  w.run();
  w.at(1).regs.rip = text.value() + 2;
  w.tracee.trap(w.leader, si_kernel);
  CHECK(w.report() == "1 signal 5");
  CHECK(w.pc(1) == text.value() + 2);

  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.leader, boost_site);
  w.remove(boost_site);
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(1));
  CHECK(w.kernel_pc(1) == boost_site.value());
}

TEST_CASE("engine: a PC that the client sets onto a site hits it; one it leaves there does not") {
  World w;
  w.insert(boost_site);
  auto file = w.engine.read_registers(w.leader, {});
  REQUIRE(file.has_value());
  file->general.rip = boost_site.value();
  REQUIRE(w.engine.write_registers(w.leader, *file, {}).has_value());
  w.run();
  CHECK(w.kernel_pc(1) == boost_site.value());
  w.tracee.execute_int3(w.leader, boost_site);
  CHECK(w.report() == "1 breakpoint");
  file = w.engine.read_registers(w.leader, {});
  file->general.rbx = 77;
  REQUIRE(w.engine.write_registers(w.leader, *file, {}).has_value());
  w.run();
  CHECK(in_area(w.kernel_pc(1)));
  CHECK(w.at(1).regs.rbx == 77);
}

TEST_CASE("engine: the client decides about signals") {
  World w;
  w.run();
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  w.run();
  CHECK(w.tracee.last("resume", w.leader)->signal == 0);
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  w.run({}, SIGUSR2);
  CHECK(w.tracee.last("resume", w.leader)->signal == SIGUSR2);
  std::bitset<65> pass;
  pass.set(SIGUSR1);
  w.engine.interest().set_pass_signals(pass);
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->signal == SIGUSR1);
}

TEST_CASE("engine: interrupt stops one thread and tells SIGINT; no signal is sent") {
  World w(2);
  CHECK_FALSE(w.engine.interrupt(std::nullopt).has_value());  // nobody runs: it is owed
  w.run();
  CHECK(w.report() == "1 signal 2");
  w.run();
  REQUIRE(w.engine.interrupt(w.t(2)).has_value());
  CHECK(w.report() == "2 signal 2");
  CHECK(w.report() == "nothing");
  w.run();
  CHECK(w.is_running(1));
  CHECK(w.is_running(2));
  CHECK(w.tracee.last("resume", w.t(2))->signal == 0);
  w.tracee.exit(w.t(2));
  CHECK(w.report() == "nothing");
  REQUIRE(w.engine.interrupt(w.t(2)).has_value());  // its preference is gone
  CHECK(w.report() == "1 signal 2");
}

TEST_CASE("engine: job control is listened to") {
  World w;
  w.run();
  w.tracee.signal(w.leader, SIGTSTP);
  CHECK(w.report() == "1 signal 20");
  w.run({}, SIGTSTP);
  w.tracee.group_stop(w.leader, SIGTSTP);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::listen);
  w.tracee.interrupt_stop(w.leader);  // SIGCONT
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
}

TEST_CASE("engine: range steps end outside, at a breakpoint, or on request") {
  World w;
  w.insert(boost_site);
  const auto range_step = [&] {
    ResumeAction action;
    action.kind = ResumeAction::Kind::range;
    action.range_start = plain_code;
    action.range_end = plain_code + 4;
    action.tid = w.leader;
    REQUIRE(w.engine.resume({&action, 1}).has_value());
  };
  const auto at = [&](Address pc) {
    w.at(1).regs.rip = pc.value();
    w.tracee.trap(w.leader, trap_trace);
  };
  range_step();
  for (std::uint64_t i = 1; i < 4; ++i) {
    at(plain_code + i);
    CHECK(w.report() == "nothing");
    CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::step);
  }
  at(plain_code + 4);
  CHECK(w.report() == "1 step");
  w.at(1).regs.rip = plain_code.value();
  range_step();
  w.tracee.execute_int3(w.leader, boost_site);
  CHECK(w.report() == "1 breakpoint");
}

TEST_CASE("engine: memory is shown without our bytes and written under them") {
  World w;
  w.insert(boost_site);
  std::byte byte{};
  REQUIRE(w.engine.read_memory(w.pid, boost_site, {&byte, 1}) == 1);
  CHECK(byte == std::byte{0x48});
  byte = std::byte{0x90};
  REQUIRE(w.engine.write_memory(w.pid, boost_site, {&byte, 1}) == 1);
  CHECK(w.memory().byte(boost_site) == 0xcc);
  w.remove(boost_site);
  CHECK(w.memory().byte(boost_site) == 0x90);
  CHECK(w.engine.read_memory(fake_pid(99), boost_site, {&byte, 1}) == 0);
}

TEST_CASE("engine: errors about what is not there") {
  World w;
  const Tid nobody = fake_tid(99);
  CHECK(w.engine.read_registers(nobody, {}).error().code == Errc::thread_gone);
  CHECK(w.engine.siginfo(nobody).error().code == Errc::thread_gone);
  CHECK(w.engine.insert_breakpoint(fake_pid(99), text, {}).error().code == Errc::no_process);
  CHECK(w.engine.detach(fake_pid(99)).error().code == Errc::no_process);
  CHECK(w.engine.kill(fake_pid(99)).error().code == Errc::no_process);
  CHECK_FALSE(w.resume(ResumeAction::Kind::run, {nobody}).has_value());
  w.run();
  CHECK(w.engine.read_registers(w.leader, {}).error().code == Errc::refused);
}

TEST_CASE("engine: exits") {
  World w(2);
  w.run();
  w.tracee.exit(w.t(2), 3);
  CHECK(w.report() == "nothing");
  CHECK(w.engine.threads(w.pid).size() == 1);
  w.tracee.exit(w.leader, 7);
  w.engine.on_child_event();
  const auto told = w.engine.take_report();
  REQUIRE(told.has_value());
  CHECK(told->stop.kind == StopKind::process_exited);
  CHECK(told->stop.value == 7);
  CHECK(w.engine.processes().empty());
  CHECK(w.report() == "nothing");
}

TEST_CASE("engine: thread events are told to whoever wants them") {
  World w(1);
  w.engine.interest().events = {.threads = true};
  w.run();
  w.announce_clone(w.leader, 2);
  CHECK(w.report() == "2 thread_created");
  w.run();
  w.tracee.exit(w.t(2), 5);
  CHECK(w.report() == "2 thread_exited");
  w.run();
  w.engine.interest().events = {};
  w.engine.set_thread_options(thread_option_clone | thread_option_exit, w.pid, std::nullopt);
  w.announce_clone(w.leader, 3);
  CHECK(w.report() == "1 cloned");
  w.run();
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(3));
  w.engine.set_thread_options(thread_option_exit, w.pid, w.t(3));  // a new thread has none
  w.tracee.exit(w.t(3));
  CHECK(w.report() == "3 thread_exited");
}

TEST_CASE("engine: nobody left to wait for") {
  World w(2);
  w.engine.interest().events = {.no_resumed = true};
  w.run({w.t(2)});
  w.tracee.exit(w.t(2));
  CHECK(w.report() == "-5000000 no_resumed");
}

TEST_CASE("engine: nobody left to wait for, while a hit of a held thread waits") {
  World w(3);
  w.engine.interest().events = {.no_resumed = true};
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.tracee.execute_int3(w.t(3), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.run({w.t(2)});
  w.tracee.exit(w.t(2));
  CHECK(w.report() == "-5000000 no_resumed");
  w.run();
  CHECK(w.report() == "3 breakpoint");
}

TEST_CASE("engine: nobody left to wait for in non-stop") {
  World w(3, true);
  w.engine.interest().events = {.no_resumed = true};
  w.run({w.t(2)});
  SECTION("after an exit that nobody asked for") {
    w.tracee.exit(w.t(2));
    CHECK(w.reports() == "-5000000 no_resumed");
  }
  SECTION("after an exit that is told") {
    w.engine.set_thread_options(thread_option_exit, w.pid, w.t(2));
    w.tracee.exit(w.t(2));
    CHECK(w.reports() == "2 thread_exited, -5000000 no_resumed");
  }
  SECTION("not while another thread runs") {
    w.run({w.t(3)});
    w.tracee.exit(w.t(2));
    CHECK(w.reports() == "nothing");
    w.tracee.exit(w.t(3));
    CHECK(w.reports() == "-5000000 no_resumed");
  }
  SECTION("both exits at once are one such report") {
    w.run({w.t(3)});
    w.tracee.exit(w.t(2));
    w.tracee.exit(w.t(3));
    CHECK(w.reports() == "-5000000 no_resumed");
  }
  SECTION("not when the client has resumed another before it was told") {
    w.tracee.exit(w.t(2));
    w.engine.on_child_event();
    w.run({w.t(3)});
    CHECK(w.reports() == "nothing");
  }
  SECTION("behind the stop of a thread that the client believes to run") {
    w.insert(boost_site);
    w.run({w.t(3)});
    w.tracee.execute_int3(w.t(3), boost_site);
    w.tracee.exit(w.t(2));
    CHECK(w.reports() == "3 breakpoint, -5000000 no_resumed");
  }
  SECTION("not when others that ran have been stopped since") {
    w.run({w.t(3)});
    w.tracee.exit(w.t(2));
    w.engine.on_child_event();
    REQUIRE(w.resume(ResumeAction::Kind::stop, {w.t(3)}).has_value());
    CHECK(w.reports() == "3 signal 0");
  }
  SECTION("not when the process is about to end") {
    w.tracee.exit(w.t(2));
    w.at(1).state = w.at(3).state = FakeThread::State::dead;
    CHECK(w.reports() == "nothing");
    w.at(1).state = w.at(3).state = FakeThread::State::stopped;
  }
  SECTION("the client does not know the packet") {
    w.engine.interest().events = {};
    w.tracee.exit(w.t(2));
    CHECK(w.reports() == "nothing");
  }
}

TEST_CASE("engine: the last thread that runs takes the process with it") {
  World w(2);
  w.engine.interest().events = {.no_resumed = true};
  w.run({w.t(2)});
  w.tracee.exit(w.t(2));
  w.at(1).state = FakeThread::State::dead;  // killed in its stop; its end is still to come
  CHECK(w.report() == "nothing");
  w.at(1).state = FakeThread::State::stopped;
  w.tracee.exit(w.leader, 4);
  CHECK(w.report() == "1 process_exited");
}

TEST_CASE("engine: the client's step is done before another thread's stop is told") {
  World w(2);
  w.insert(boost_site);
  REQUIRE(w.resume(ResumeAction::Kind::run, {w.t(2)}).has_value());
  w.step(w.leader);
  w.tracee.calls.clear();
  w.tracee.execute_int3(w.t(2), boost_site);
  w.engine.on_child_event();
  CHECK_FALSE(w.engine.take_report().has_value());
  CHECK(w.tracee.count("interrupt", w.leader) == 0);
  SECTION("a step that is done at once") {
    w.at(1).regs.rip += 1;
    w.tracee.trap(w.leader, 2);
    CHECK(w.report() == "1 step");
    w.run();
    CHECK(w.report() == "2 breakpoint");
  }
  SECTION("a step into a call that sleeps") {
    REQUIRE(w.engine.poll_after().has_value());
    std::this_thread::sleep_for(std::chrono::milliseconds(11));
    CHECK(w.report() == "2 breakpoint");
    CHECK(w.tracee.count("interrupt", w.leader) == 1);
  }
}

TEST_CASE("engine: a process that is detached from or killed after its end") {
  for (const bool killed : {false, true}) {
    INFO(killed);
    World w(1);
    w.tracee.die(w.leader);
    w.engine.on_child_event();
    CHECK((killed ? w.engine.kill(w.pid) : w.engine.detach(w.pid)).has_value());
    CHECK(w.report() == "nothing");
    CHECK_FALSE(w.engine.detach(w.pid).has_value());
  }
}

TEST_CASE("engine: a stop the client cannot know of yet is not resumed with the others") {
  World w(2, true);
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  const ResumeAction all;
  const std::deque<StopReport> told{{w.pid, w.t(2), {.kind = StopKind::breakpoint}}};
  REQUIRE(w.engine.resume(std::span(&all, 1), told).has_value());
  CHECK_FALSE(w.is_running(2));
  w.run();
  CHECK(w.is_running(2));
}

TEST_CASE("engine: system calls") {
  World w;
  REQUIRE(w.engine.catch_syscalls(w.pid, std::set<std::uint64_t>{39}).has_value());
  w.run();
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::syscall);
  w.tracee.syscall_stop(w.leader, 1, true);
  CHECK(w.report() == "nothing");
  w.tracee.syscall_stop(w.leader, 1, false);
  CHECK(w.report() == "nothing");
  w.tracee.syscall_stop(w.leader, 39, true);
  CHECK(w.report() == "1 entry");
  w.run();
  w.tracee.syscall_stop(w.leader, 39, false);
  CHECK(w.report() == "1 return");
  // Not caught any more in the middle of a call, caught again later: still in step.
  w.run();
  w.tracee.syscall_stop(w.leader, 39, true);
  CHECK(w.report() == "1 entry");
  REQUIRE(w.engine.catch_syscalls(w.pid, std::nullopt).has_value());
  w.run();
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
  REQUIRE(w.engine.interrupt(std::nullopt).has_value());
  CHECK(w.report() == "1 signal 2");
  REQUIRE(w.engine.catch_syscalls(w.pid, std::set<std::uint64_t>{}).has_value());
  w.run();
  w.tracee.syscall_stop(w.leader, 1, true);
  CHECK(w.report() == "1 entry");
}

TEST_CASE("engine: detach leaves the program's own bytes, PCs and signals") {
  World w(3);
  w.insert(boost_site);
  w.insert(trap_site);
  w.run();
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.run({w.t(2), w.leader});
  CHECK(in_area(w.kernel_pc(2)));  // in its slot, running
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  w.space().syscall_instruction.reset();  // no system call to unmap with
  REQUIRE(w.engine.detach(w.pid).has_value());
  CHECK(w.memory().byte(boost_site) == 0x48);
  CHECK(w.memory().byte(trap_site) == 0x0f);
  for (int n = 1; n <= 3; ++n) {
    INFO(n);
    REQUIRE(w.tracee.last("detach", w.t(n)) != nullptr);
    CHECK_FALSE(in_area(w.tracee.last("detach", w.t(n))->rip));
  }
  CHECK(w.tracee.last("detach", w.leader)->signal == SIGUSR1);
  CHECK(w.tracee.last("detach", w.t(2))->signal == 0);
  CHECK(w.engine.processes().empty());
}

TEST_CASE("engine: kill") {
  World w(2);
  w.run();
  REQUIRE(w.engine.kill(w.pid).has_value());
  CHECK(w.engine.processes().empty());
  CHECK(w.report() == "nothing");
}

TEST_CASE("engine: a launched program dies with the engine, an attached one does not") {
  FakeTracee tracee;
  const Pid pid = fake_pid(1);
  tracee.add(pid, leader_of(pid), FakeThread::State::stopped);
  {
    Engine engine(tracee);
    engine.adopt_launched(pid);
  }
  CHECK(tracee.count("kill", leader_of(pid)) == 1);
  CHECK(tracee.blunders.empty());
}

}  // namespace
TEST_CASE("engine: the last registers of a running thread are those it was let go with") {
  World w(2, true);
  w.at(2).regs.fs_base = 0x7f0000001000;
  w.run({w.t(2)});
  w.stop({w.t(2)});
  w.run({w.t(2)});
  w.at(2).regs.fs_base = 0;  // what it does with them now is not known
  w.tracee.calls.clear();
  const auto last = w.engine.last_registers(w.t(2));
  REQUIRE(last.has_value());
  CHECK(last->fs_base == 0x7f0000001000);
  CHECK(w.tracee.count("interrupt", w.t(2)) == 0);
  CHECK_FALSE(w.engine.read_registers(w.t(2), {}).has_value());
  CHECK(w.engine.last_registers(w.t(9)).error().code == Errc::thread_gone);
}

}  // namespace stub
