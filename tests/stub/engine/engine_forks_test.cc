// The memory of a fork child is a copy from a moment that nobody sees: breakpoints that come and go
// before the fork is told are in the copy or are not.
#include "tests/stub/engine/engine_fixture.h"
#include "tests/stub/kernel/real_process.h"

namespace stub {
namespace {

// Thread 1 is inside fork(): the memory is copied, the event not yet seen.
struct Flight {
  World& w;
  Pid child = fake_pid(50);
  Tid leader = leader_of(child);

  explicit Flight(World& world, Pid id = fake_pid(50)) : w(world), child(id) {
    w.tracee.add(child, leader);
    w.tracee.copy_memory(child, w.pid);
    w.place(leader, plain_code);
  }
  void lands(PtraceEvent event = PtraceEvent::fork) {
    w.tracee.event(w.leader, event, static_cast<std::uint64_t>(raw(child)));
    w.tracee.interrupt_stop(leader);
  }
  int byte(Address at) { return w.tracee.memory(child).byte(at); }
};

TEST_CASE("forks: a breakpoint is taken out while a fork is in flight") {
  for (const bool followed : {false, true}) {
    INFO(followed);
    World w(2, true);
    w.engine.interest().events = {.fork = followed};
    w.insert(boost_site);
    w.insert(push_site);
    w.run();
    Flight fork(w);
    w.remove(boost_site);
    fork.lands();
    CHECK(w.report() == (followed ? "1 fork" : "nothing"));
    CHECK(fork.byte(boost_site) == 0x48);
    CHECK(fork.byte(push_site) == (followed ? 0xcc : 0x55));
    CHECK(w.tracee.count("detach", fork.leader) == (followed ? 0 : 1));
  }
}

TEST_CASE("forks: a breakpoint is taken out and put back while a fork is in flight") {
  World w(1, true);
  w.engine.interest().events = {.fork = true};
  w.insert(boost_site);
  w.run();
  Flight fork(w);
  w.remove(boost_site);
  w.insert(boost_site);
  fork.lands();
  CHECK(w.report() == "1 fork");
  CHECK(fork.byte(boost_site) == 0xcc);
  CHECK(w.engine.find(fork.child)->space->sites.find(boost_site) != nullptr);
}

// What the program itself has put there since is its own.
TEST_CASE("forks: a breakpoint was taken out before the thread was let go last") {
  World w(2, true);
  w.insert(boost_site);
  w.run();
  w.remove(boost_site);
  w.stop({w.leader});
  w.run();
  w.memory().put(boost_site, {0xcc});
  Flight fork(w);
  fork.lands();
  CHECK(w.report() == "nothing");
  CHECK(fork.byte(boost_site) == 0xcc);
}

TEST_CASE("forks: a breakpoint is taken out while a clone with a copy of the memory is in flight") {
  const RealProcess real;
  World w(1, true);
  w.insert(boost_site);
  w.run();
  Flight clone(w, real.pid());
  w.remove(boost_site);
  clone.lands(PtraceEvent::clone);
  CHECK(w.report() == "nothing");
  CHECK(clone.byte(boost_site) == 0x48);
  CHECK(w.tracee.at(clone.leader).state == FakeThread::State::running);
}

TEST_CASE("forks: a breakpoint is taken out, and the program dies before its fork is told") {
  const RealProcess real;
  World w(2, true);
  w.insert(boost_site);
  w.run();
  Flight fork(w, real.pid());
  w.remove(boost_site);
  w.tracee.interrupt_stop(fork.leader);
  w.tracee.die_all(w.pid);
  CHECK(w.report() == "1 process_killed 9");
  CHECK(fork.byte(boost_site) == 0x48);
  CHECK(w.tracee.count("detach", fork.leader) == 1);
}

TEST_CASE("forks: a breakpoint is put in while a fork is in flight") {
  World w(1, true);
  w.engine.interest().events = {.fork = true};
  w.run();
  Flight fork(w);
  w.insert(boost_site);
  fork.lands();
  CHECK(w.report() == "1 fork");
  CHECK(fork.byte(boost_site) == 0xcc);
}

TEST_CASE("forks: the memory is copied while a breakpoint's byte is out for a step") {
  World w;
  w.engine.interest().events = {.fork = true};
  w.insert(in_place_site);
  w.run();
  w.tracee.execute_int3(w.leader, in_place_site);
  CHECK(w.report() == "1 breakpoint");
  w.run();
  REQUIRE(w.memory().byte(in_place_site) == 0x48);
  Flight fork(w);
  fork.lands();
  CHECK(w.report() == "1 fork");
  CHECK(fork.byte(in_place_site) == 0xcc);
  CHECK(w.memory().byte(in_place_site) == 0xcc);
}

// clone(2): the parent sleeps, and the memory is a copy all the same.
TEST_CASE("forks: CLONE_VFORK without CLONE_VM") {
  World w(2);
  w.insert(boost_site);
  w.run();
  Flight fork(w);
  fork.lands(PtraceEvent::vfork);
  CHECK(w.report() == "nothing");
  CHECK(fork.byte(boost_site) == 0x48);
  CHECK(w.tracee.count("detach", fork.leader) == 1);
  CHECK(w.memory().byte(boost_site) == 0xcc);
}

// Its memory is not left to it, and it is not let go with the sites in it.
TEST_CASE("forks: a child that shares the memory, and that the client never hears of") {
  World w(2);
  w.engine.interest().events = {.fork = true};
  w.insert(boost_site);
  w.run();
  w.tracee.signal(w.t(2), SIGUSR1);
  const Pid child = fake_pid(50);
  w.tracee.add(child, leader_of(child));
  w.tracee.share_memory(child, w.pid);
  w.place(leader_of(child), plain_code);
  w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(child)));
  w.tracee.interrupt_stop(leader_of(child));
  CHECK(w.report() == "2 signal 10");
  w.tracee.exit(w.leader);
  CHECK(w.report() == "1 process_exited");
  w.engine.on_child_event();
  CHECK(w.tracee.count("detach", leader_of(child)) == 0);
  CHECK(w.tracee.at(leader_of(child)).state == FakeThread::State::running);
}

// The end of a thread that was forgotten already is nobody's business when its id comes back.
TEST_CASE("forks: a new process has the id of a thread whose end was seen late") {
  const RealProcess real;
  World w;
  w.run();
  w.tracee.add(w.pid, real.leader());
  w.tracee.exit(real.leader());
  CHECK(w.report() == "nothing");
  w.engine.interest().events = {.fork = true};
  w.tracee.vanish(real.leader());
  Flight fork(w, real.pid());
  w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(fork.child)));
  CHECK(w.report() == "1 fork");
  CHECK(w.engine.find(fork.child) != nullptr);
  w.tracee.interrupt_stop(fork.leader);
  CHECK(w.report() == "nothing");
}

// The areas are of no use in a memory without sites; who may still be in one is held meanwhile.
TEST_CASE("forks: detaching the parent of a vfork that is not over unmaps the areas") {
  const RealProcess real;
  World w;
  w.insert(boost_site);
  w.run();
  w.tracee.add(real.pid(), real.leader());
  w.tracee.share_memory(real.pid(), w.pid);
  w.place(real.leader(), plain_code);
  w.tracee.event(w.leader, PtraceEvent::vfork, static_cast<std::uint64_t>(raw(real.pid())));
  w.tracee.interrupt_stop(real.leader());
  w.at(1).deaf = true;
  CHECK(w.report() == "nothing");
  FakeThread& child = w.tracee.at(real.leader());
  w.tracee.execute_int3(real.leader(), boost_site);
  CHECK(w.report() == "nothing");
  REQUIRE(in_area(child.regs.rip));
  w.memory().put(text, {0x0f, 0x05});
  w.space().syscall_instruction = text;
  int unmapped = 0;
  w.tracee.on_resume = [&](Tid tid, ResumeHow how, int) {
    FakeThread& lent = w.tracee.at(tid);
    if (how != ResumeHow::step || lent.regs.pc() != text) return;
    CHECK(lent.regs.rax == 11);  // munmap
    CHECK(lent.regs.rdi == area.value());
    ++unmapped;
    lent.regs.rax = 0;
    lent.regs.rip += 2;
    w.tracee.trap(tid, trap_trace);
  };
  REQUIRE(w.engine.detach(w.pid).has_value());
  CHECK(unmapped == 1);
  CHECK(w.memory().byte(boost_site) == 0x48);
  REQUIRE(w.tracee.count("detach", real.leader()) == 1);  // nothing is left that it could need
  CHECK(w.tracee.last("detach", real.leader())->rip == boost_site.value());
  w.at(1).deaf = false;
  w.tracee.event(w.leader, PtraceEvent::vfork_done, 0);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.count("detach", w.leader) == 1);
  w.tracee.on_resume = nullptr;
}

TEST_CASE("forks: the sites of a program that calls exec are told") {
  World w(2);
  std::vector<Address> told;
  w.engine.set_departure_observer([&](const Inferior& left) {
    left.space->sites.for_each([&](const Site& site) { told.push_back(site.address); });
  });
  w.insert(boost_site);
  w.run();
  w.tracee.vanish(w.t(2));
  w.tracee.event(w.leader, PtraceEvent::exec, static_cast<std::uint64_t>(raw(w.leader)));
  CHECK(w.report() == "nothing");
  CHECK(told == std::vector<Address>{boost_site});
  w.engine.set_departure_observer({});
}

}  // namespace
}  // namespace stub
