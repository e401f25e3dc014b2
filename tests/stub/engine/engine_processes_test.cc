// Threads and processes come and go, in every order of their events.
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stub/engine/engine_fixture.h"
#include "tests/stub/kernel/real_process.h"

namespace stub {
namespace {

int resumes(World& w, int n) { return w.tracee.count("resume", w.t(n)); }

TEST_CASE("processes: a new thread stops before its parent tells of it") {
  World w;
  w.run();
  w.tracee.add(w.pid, w.t(2));
  w.place(w.t(2), plain_code);
  w.tracee.interrupt_stop(w.t(2));
  w.engine.on_child_event();
  CHECK(w.engine.threads(w.pid).size() == 1);
  w.tracee.event(w.leader, PtraceEvent::clone, static_cast<std::uint64_t>(raw(w.t(2))));
  CHECK(w.report() == "nothing");
  CHECK(w.engine.threads(w.pid).size() == 2);
  CHECK(w.is_running(1));
  CHECK(w.is_running(2));
  CHECK(resumes(w, 2) == 1);
}

TEST_CASE("processes: a thread made from a slot starts behind the call") {
  World w;
  const Slot* slot = enter_slot(w, 1, trap_site);
  w.at(1).regs.rip = (slot->address + slot->code.executed).value();
  w.tracee.add(w.pid, w.t(2));
  w.at(2).regs = w.at(1).regs;
  w.at(2).regs.rcx = w.at(2).regs.rip;
  w.tracee.event(w.leader, PtraceEvent::clone, static_cast<std::uint64_t>(raw(w.t(2))));
  w.tracee.interrupt_stop(w.t(2));
  CHECK(w.report() == "nothing");
  REQUIRE(w.is_running(2));
  CHECK(w.kernel_pc(2) == trap_site.value() + 2);
  CHECK(w.at(2).regs.rcx == trap_site.value() + 2);
  CHECK_FALSE(in_area(w.kernel_pc(1)));
}

struct Fork {
  World& w;
  Pid child = fake_pid(50);
  Tid leader = leader_of(fake_pid(50));

  // The parent forks at `pc`; `early`: the child's stop is seen first.
  void happen(Address pc, bool early, bool shares_memory) {
    w.at(1).regs.rip = pc.value();
    w.tracee.add(child, leader);
    if (shares_memory)
      w.tracee.share_memory(child, w.pid);
    else
      w.tracee.copy_memory(child, w.pid);
    w.tracee.at(leader).regs = w.at(1).regs;
    if (early) {
      w.tracee.interrupt_stop(leader);
      w.engine.on_child_event();
    }
    w.tracee.event(w.leader, shares_memory ? PtraceEvent::vfork : PtraceEvent::fork,
                   static_cast<std::uint64_t>(raw(child)));
    if (!early) {
      w.engine.on_child_event();
      w.tracee.interrupt_stop(leader);
    }
  }
};

TEST_CASE("processes: a fork child the client does not follow leaves clean") {
  for (const bool early : {false, true}) {
    INFO(early);
    World w;
    const Slot* slot = enter_slot(w, 1, trap_site);
    Fork fork{w};
    fork.happen(slot->address + slot->code.executed, early, false);
    CHECK(w.report() == "nothing");
    REQUIRE(w.tracee.count("detach", fork.leader) == 1);
    CHECK(w.tracee.last("detach", fork.leader)->rip == trap_site.value() + 2);
    CHECK(w.tracee.memory(fork.child).byte(trap_site) == 0x0f);
    CHECK(w.memory().byte(trap_site) == 0xcc);
    CHECK(w.is_running(1));
    CHECK(w.kernel_pc(1) == trap_site.value() + 2);
    CHECK(w.engine.processes().size() == 1);
  }
}

TEST_CASE("processes: a fork child the client follows is told with both at rest") {
  for (const bool early : {false, true}) {
    INFO(early);
    World w;
    w.engine.interest().events = {.fork = true};
    const Slot* slot = enter_slot(w, 1, trap_site);
    Fork fork{w};
    fork.happen(slot->address + slot->code.executed, early, false);
    CHECK(w.report() == "1 fork");
    CHECK(w.engine.processes().size() == 2);
    const auto file = w.engine.read_registers(fork.leader, {});
    REQUIRE(file.has_value());
    CHECK(file->general.rip == trap_site.value() + 2);
    CHECK(w.tracee.memory(fork.child).byte(trap_site) == 0xcc);
    CHECK(w.engine.find(fork.child)->space->areas.ranges().empty());
    SECTION("the child is detached") {
      REQUIRE(w.engine.detach(fork.child).has_value());
      CHECK(w.tracee.memory(fork.child).byte(trap_site) == 0x0f);
      CHECK(w.memory().byte(trap_site) == 0xcc);
      w.run();
      CHECK(w.is_running(1));
    }
    SECTION("the parent is detached: its fork call goes on undisturbed") {
      w.memory().put(text, {0x0f, 0x05});
      w.space().syscall_instruction = text;
      REQUIRE(w.engine.detach(w.pid).has_value());
      CHECK(w.memory().byte(trap_site) == 0x0f);
      CHECK(w.tracee.memory(fork.child).byte(trap_site) == 0xcc);
      REQUIRE(w.tracee.count("detach", w.leader) == 1);
      CHECK(w.tracee.last("detach", w.leader)->rip == trap_site.value() + 2);
      for (const auto& call : w.tracee.calls)
        CHECK_FALSE((call.name == "resume" && call.tid == w.leader && call.how == ResumeHow::step));
      w.run();
      CHECK(w.tracee.at(fork.leader).state == FakeThread::State::running);
    }
  }
}

TEST_CASE("processes: a fork child is on no list before its fork is told") {
  World w(2);
  w.engine.interest().events = {.fork = true};
  REQUIRE(w.resume(ResumeAction::Kind::run, {w.leader}).has_value());
  w.step(w.t(2));
  Fork fork{w};
  fork.happen(plain_code, true, false);
  w.at(2).regs.rip += 1;
  w.tracee.trap(w.t(2), 2);
  CHECK(w.report() == "2 step");
  CHECK(w.engine.threads(fork.child).empty());
  CHECK(w.engine.threads(w.pid).size() == 2);
  w.run();
  CHECK(w.report() == "1 fork");
  CHECK(w.engine.threads(fork.child) == std::vector<Tid>{fork.leader});
}

TEST_CASE("processes: non-stop, a fork child waits until the client knows of it") {
  World w(1, true);
  w.engine.interest().events = {.fork = true};
  w.run();
  Fork fork{w};
  fork.happen(plain_code, true, false);
  w.engine.on_child_event();
  w.run();
  CHECK(w.tracee.at(fork.leader).state == FakeThread::State::stopped);
  CHECK(w.report() == "1 fork");
  const ResumeAction all;
  const std::deque<StopReport> told{
      {w.pid, w.leader, {.kind = StopKind::fork, .value = std::uint64_t(raw(fork.child))}}};
  REQUIRE(w.engine.resume(std::span(&all, 1), told).has_value());
  CHECK(w.tracee.at(fork.leader).state == FakeThread::State::stopped);
  CHECK_FALSE(w.is_running(1));
  w.run();
  CHECK(w.tracee.at(fork.leader).state == FakeThread::State::running);
  CHECK(w.is_running(1));
}

TEST_CASE("processes: a fork child dies before its parent tells of it") {
  for (const bool followed : {false, true}) {
    INFO(followed);
    World w(2);
    w.engine.interest().events = {.fork = followed};
    w.insert(boost_site);
    w.run();
    const Pid child = fake_pid(50);
    w.tracee.add(child, leader_of(child));
    w.tracee.copy_memory(child, w.pid);
    w.tracee.die(leader_of(child));
    w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(child)));
    w.engine.on_child_event();
    if (followed) {
      const std::string first = w.report();
      CHECK(first != "nothing");
      w.run();
      CHECK(first + ", " + w.report() == "1 fork, 50 process_killed 9");
      w.run();
    }
    CHECK(w.engine.processes().size() == 1);
    w.tracee.execute_int3(w.t(2), boost_site);
    CHECK(w.report() == "2 breakpoint");
  }
}

TEST_CASE("processes: a vfork child the client does not follow runs on its parent's sites") {
  World w(2);
  w.insert(boost_site);
  w.run();
  Fork fork{w};
  fork.happen(plain_code, false, true);
  w.at(1).deaf = true;
  CHECK(w.report() == "nothing");
  FakeThread& child = w.tracee.at(fork.leader);
  REQUIRE(child.state == FakeThread::State::running);
  w.tracee.execute_int3(fork.leader, boost_site);
  CHECK(w.report() == "nothing");
  CHECK(in_area(child.regs.rip));
  CHECK(w.memory().byte(boost_site) == 0xcc);
  // Another thread of the parent is told meanwhile; parent and child do not hold that up.
  w.tracee.execute_int3(w.t(2), boost_site);
  CHECK(w.report() == "2 breakpoint");
  w.run();
  SECTION("exec: it is let go") {
    w.tracee.copy_memory(fork.child, w.pid);
    child.regs.rip = 0x10000;
    w.tracee.event(fork.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(fork.leader)));
    w.engine.on_child_event();
    CHECK(w.tracee.count("detach", fork.leader) == 1);
    CHECK(w.memory().byte(boost_site) == 0xcc);
  }
  SECTION("exit") {
    w.tracee.exit(fork.leader, 127);
    w.engine.on_child_event();
  }
  w.at(1).deaf = false;
  w.tracee.event(w.leader, PtraceEvent::vfork_done, 0);
  CHECK(w.report() == "nothing");
  CHECK(w.is_running(1));
  CHECK(w.engine.processes().size() == 1);
}

TEST_CASE("processes: detaching the parent of a vfork that is not over") {
  World w(2);
  w.insert(boost_site);
  w.run();
  Fork fork{w};
  fork.happen(plain_code, false, true);
  w.at(1).deaf = true;
  w.tracee.execute_int3(fork.leader, boost_site);
  CHECK(w.report() == "nothing");
  REQUIRE(w.engine.interrupt(w.t(2)).has_value());
  CHECK(w.report() == "2 signal 2");
  w.memory().put(text, {0x0f, 0x05});
  w.space().syscall_instruction = text;
  REQUIRE(w.engine.detach(w.pid).has_value());
  CHECK(w.memory().byte(boost_site) == 0x48);
  CHECK(w.engine.processes().empty());
  w.tracee.exit(fork.leader);
  w.at(1).deaf = false;
  w.tracee.event(w.leader, PtraceEvent::vfork_done, 0);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.count("detach", w.leader) == 1);  // at last
  for (const auto& call : w.tracee.calls)          // nothing was unmapped under the child
    CHECK_FALSE((call.name == "resume" && call.how == ResumeHow::step));
}

TEST_CASE("processes: the parent dies with a fork untold") {
  World w(2);
  w.engine.interest().events = {.fork = true};
  w.insert(boost_site);
  w.run();
  w.tracee.signal(w.t(2), SIGUSR1);
  w.engine.on_child_event();
  Fork fork{w};
  w.at(1).state = FakeThread::State::running;
  fork.happen(plain_code, false, false);
  CHECK(w.report() == "2 signal 10");
  w.tracee.die_all(w.pid);
  CHECK(w.report() == "1 process_killed 9");
  // The client never heard of the child: it goes on without a trace.
  CHECK(w.engine.processes().empty());
  CHECK(w.tracee.count("detach", fork.leader) == 1);
  CHECK(w.tracee.memory(fork.child).byte(boost_site) == 0x48);
}

TEST_CASE("processes: detaching the parent with a fork untold") {
  World w(2);
  w.engine.interest().events = {.fork = true};
  w.insert(boost_site);
  w.run();
  w.tracee.signal(w.t(2), SIGUSR1);
  Fork fork{w};
  fork.happen(plain_code, false, false);
  CHECK(w.report() == "2 signal 10");
  REQUIRE(w.engine.detach(w.pid).has_value());
  if (w.engine.poll_after()) w.engine.on_child_event();
  CHECK(w.engine.processes().empty());
  CHECK(w.tracee.count("detach", fork.leader) == 1);
  CHECK(w.tracee.memory(fork.child).byte(boost_site) == 0x48);
}

TEST_CASE("processes: a clone that shares memory is announced as a fork") {
  World w;
  w.insert(boost_site);
  w.run();
  const Pid child = fake_pid(50);
  w.tracee.add(child, leader_of(child));
  w.tracee.share_memory(child, w.pid);
  w.place(leader_of(child), plain_code);
  w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(child)));
  w.tracee.interrupt_stop(leader_of(child));
  CHECK(w.report() == "nothing");
  CHECK(w.memory().byte(boost_site) == 0xcc);
  REQUIRE(w.tracee.at(leader_of(child)).state == FakeThread::State::running);
  w.tracee.execute_int3(leader_of(child), boost_site);
  CHECK(w.report() == "nothing");
  CHECK(in_area(w.tracee.at(leader_of(child)).regs.rip));
  w.tracee.execute_int3(w.leader, boost_site);
  CHECK(w.report() == "1 breakpoint");
}

TEST_CASE("processes: Ctrl-C during exec") {
  World w(2);
  w.tracee.answers_interrupts = false;
  w.run();
  REQUIRE(w.engine.interrupt(w.t(2)).has_value());
  w.tracee.vanish(w.t(2));
  w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.t(2))));
  w.tracee.answers_interrupts = true;
  CHECK(w.report() == "1 signal 2");
}

TEST_CASE("processes: exec") {
  for (const bool told : {false, true})
    for (const int caller : {1, 2}) {
      INFO("thread " << caller << (told ? ", told" : ""));
      World w(3);
      w.engine.interest().events = {.exec = told};
      w.insert(boost_site);
      w.run();
      w.tracee.execute_int3(w.t(3), boost_site);
      w.engine.on_child_event();
      REQUIRE(w.engine.take_report().has_value());
      w.run();
      w.tracee.calls.clear();
      // The other threads are gone without a word; the caller has the leader's id now.
      w.tracee.vanish(w.t(2));
      w.tracee.vanish(w.t(3));
      w.at(1).regs.rip = 0x10000;
      w.memory().put(boost_site, {0x48});
      w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.t(caller))));
      CHECK(w.report() == (told ? "1 exec" : "nothing"));
      CHECK(w.engine.threads(w.pid) == std::vector<Tid>{w.leader});
      CHECK(resumes(w, 1) == (told ? 0 : 1));
      CHECK(w.space().sites.empty());
      CHECK(w.space().areas.ranges().empty());
      CHECK(w.memory().byte(boost_site) == 0x48);
      if (told) {
        CHECK(w.pc(1) == 0x10000);
        w.run();
      }
      CHECK(w.is_running(1));
    }
}

TEST_CASE("processes: the exit of a caught execve is no entry") {
  World w;
  REQUIRE(w.engine.catch_syscalls(w.pid, std::set<std::uint64_t>{}).has_value());
  w.run();
  w.tracee.syscall_stop(w.leader, 59, true);
  CHECK(w.report() == "1 entry");
  w.run();
  w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.leader)));
  CHECK(w.report() == "nothing");
  w.tracee.syscall_stop(w.leader, 59, false);
  CHECK(w.report() == "1 return");
}

// A real child lends its id: the engine looks into /proc for it. Everything else is paper.
TEST_CASE("processes: a child that nobody lives to announce is let go clean, and forgotten") {
  const pid_t real = ::fork();
  if (real == 0)
    for (;;) ::pause();
  {
    World w;
    const Pid child{real};
    w.insert(boost_site);
    w.run();
    w.tracee.add(child, leader_of(child));
    w.tracee.copy_memory(child, w.pid);
    REQUIRE(w.tracee.memory(child).byte(boost_site) == 0xcc);
    w.tracee.interrupt_stop(leader_of(child));
    w.engine.on_child_event();
    w.tracee.die(w.leader);
    w.engine.on_child_event();
    CHECK(w.tracee.memory(child).byte(boost_site) == 0x48);
    CHECK(w.tracee.count("detach", leader_of(child)) == 1);
    CHECK(w.tracee.handles.empty());
  }
  ::kill(real, SIGKILL);
  ::waitpid(real, nullptr, 0);
}

// A real zombie lends its id: the engine looks into /proc for it. Everything else is paper.
TEST_CASE("processes: a leader that has exited does not hold up the others") {
  const pid_t zombie = ::fork();
  if (zombie == 0) _exit(0);
  siginfo_t exited{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(zombie), &exited, WEXITED | WNOWAIT) == 0);
  {
    FakeTracee tracee;
    const Pid pid{zombie};
    const Tid leader = leader_of(pid), second = fake_tid(2);
    tracee.add(pid, leader, FakeThread::State::stopped);
    World::fill(tracee.memory(pid));
    Engine engine(tracee);
    engine.adopt_launched(pid);
    const ResumeAction run;
    REQUIRE(engine.resume({&run, 1}).has_value());
    tracee.add(pid, second);
    tracee.event(leader, PtraceEvent::clone, static_cast<std::uint64_t>(raw(second)));
    tracee.interrupt_stop(second);
    engine.on_child_event();
    // A clone whose /proc entry is missing counts as a thread; the zombie does not.
    REQUIRE(engine.threads(pid) == std::vector<Tid>{second});
    tracee.at(leader).deaf = true;  // pthread_exit()
    SECTION("a breakpoint") {
      REQUIRE(engine.insert_breakpoint(pid, boost_site, {}).has_value());
      tracee.execute_int3(second, boost_site);
      engine.on_child_event();
      const auto told = engine.take_report();
      REQUIRE(told.has_value());
      CHECK(told->stop.kind == StopKind::breakpoint);
      CHECK(engine.threads(pid) == std::vector<Tid>{second});
    }
    SECTION("Ctrl-C, with the leader selected") {
      REQUIRE(engine.interrupt(leader).has_value());
      engine.on_child_event();
      const auto told = engine.take_report();
      REQUIRE(told.has_value());
      CHECK(told->tid == second);
    }
    SECTION("a step in place, in non-stop") {
      engine.set_non_stop(true);
      REQUIRE(engine.insert_breakpoint(pid, in_place_site, {}).has_value());
      tracee.execute_int3(second, in_place_site);
      engine.on_child_event();
      REQUIRE(engine.take_report().has_value());
      REQUIRE(engine.resume({&run, 1}).has_value());
      engine.on_child_event();
      CHECK(tracee.memory(pid).byte(in_place_site) == 0x48);
    }
    tracee.exit(second);
    tracee.exit(leader, 9);
    engine.on_child_event();
    CHECK(engine.processes().empty());
  }
  waitpid(zombie, nullptr, 0);
}

// A program whose ids have wrapped around: of its three threads the leader has not the lowest. The
// leader is about to receive a signal and another tells of a new thread when they are attached to.
class Wrapped : public FakeTracee {
 public:
  const RealProcess real{1};
  const Tid leader = real.leader(), lowest{-2};  // below every id
  Tid second{};

  Result<void> seize(Tid tid, Lifetime lifetime) override {
    add(real.pid(), tid);
    if (tid != leader) second = tid;
    return FakeTracee::seize(tid, lifetime);
  }
  Result<void> interrupt(Tid tid) override {
    if (tid == leader && running(tid)) signal(tid, SIGUSR1);
    if (tid == second && running(tid) && !knows(lowest)) {
      add(real.pid(), lowest);
      event(second, PtraceEvent::clone, static_cast<std::uint64_t>(raw(lowest)));
      interrupt_stop(lowest);
    }
    return FakeTracee::interrupt(tid);
  }
  bool running(Tid tid) { return alive(tid) && at(tid).state == FakeThread::State::running; }
};

TEST_CASE("processes: the leader's id is not the lowest") {
  Wrapped tracee;
  const NoBlunders no_blunders{tracee};
  Engine engine(tracee);
  REQUIRE(engine.attach(tracee.real.pid()).has_value());
  REQUIRE(engine.threads(tracee.real.pid()).front() == tracee.lowest);
  CHECK(engine.find(tracee.leader)->last_stop->signal == SIGUSR1);
  engine.set_non_stop(true);
  engine.on_child_event();
  CHECK_FALSE(engine.take_report().has_value());
  CHECK_FALSE(tracee.running(tracee.leader));
  CHECK(tracee.running(tracee.second));
  CHECK(tracee.running(tracee.lowest));
}

}  // namespace
}  // namespace stub
