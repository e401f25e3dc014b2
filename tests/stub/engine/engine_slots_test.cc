// What can reach a thread inside a slot.
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

TEST_CASE("slots: a signal at the first byte of a slot") {
  World w;
  const Slot* slot = enter_slot(w, 1, boost_site);
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  CHECK(w.pc(1) == boost_site.value());
  SECTION("the signal is dropped: into the slot again") {
    w.run();
    CHECK(w.kernel_pc(1) == slot->address.value());
    CHECK(w.report() == "nothing");
  }
  SECTION("the breakpoint is removed: the instruction runs in place") {
    w.remove(boost_site);
    w.run();
    CHECK(w.kernel_pc(1) == boost_site.value());
  }
}

TEST_CASE("slots: a system call that a seccomp filter knows by its address goes in place") {
  World w;
  w.tracee.filters = {false};
  (void)enter_slot(w, 1, trap_site);
  w.at(1).regs.rip = trap_site.value() + 2;
  w.tracee.filters = {false, true};
  w.tracee.signal(w.leader, SIGUSR1);
  REQUIRE(w.report() == "1 signal 10");
  w.run();
  w.tracee.execute_int3(w.leader, trap_site);
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
  CHECK(w.kernel_pc(1) == trap_site.value());
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::step);
  CHECK(w.memory().byte(trap_site) == 0x0f);
}

TEST_CASE("slots: a signal behind the instruction in a slot") {
  World w;
  const Slot* slot = enter_slot(w, 1, boost_site);
  w.at(1).regs.rip = (slot->address + slot->code.executed).value();
  w.tracee.signal(w.leader, SIGUSR1);
  CHECK(w.report() == "1 signal 10");
  CHECK(w.pc(1) == boost_site.value() + 3);
  w.run({}, SIGUSR1);
  CHECK(w.kernel_pc(1) == boost_site.value() + 3);
}

TEST_CASE("slots: a fault in a slot is shown where the instruction is") {
  World w;
  const Slot* slot = enter_slot(w, 1, boost_site);
  w.tracee.signal(w.leader, SIGILL, 2, slot->address);
  CHECK(w.report() == "1 signal 4");
  CHECK(w.pc(1) == boost_site.value());
  const auto info = w.engine.siginfo(w.leader);
  REQUIRE(info.has_value());
  CHECK(reinterpret_cast<std::uintptr_t>(info->si_addr) == boost_site.value());
}

TEST_CASE("slots: a system call in a slot is interrupted and starts again") {
  World w(2);
  enter_slot(w, 1, trap_site);
  const Slot* slot = w.space().areas.at(Address(w.kernel_pc(1)));
  auto& regs = w.at(1).regs;
  regs.rip = slot->address.value() + 2;
  regs.rcx = regs.rip;
  regs.orig_rax = 0;
  regs.rax = static_cast<std::uint64_t>(-512);
  w.tracee.interrupt_stop(w.t(1));
  w.tracee.signal(w.t(2), SIGUSR1);
  CHECK(w.report() == "2 signal 10");
  CHECK(w.pc(1) == trap_site.value() + 2);
  CHECK(w.engine.read_registers(w.t(1), {})->general.rcx == trap_site.value() + 2);
  CHECK(w.engine.read_registers(w.t(1), {})->general.orig_rax == 0);
  w.run();
  // The kernel goes back by the length of the instruction.
  regs.rip -= 2;
  regs.rax = 0;
  regs.orig_rax = ~std::uint64_t{0};
  w.tracee.execute_int3(w.t(1), trap_site);
  CHECK(w.report() == "nothing");
  CHECK(in_area(w.kernel_pc(1)));
  // The next call is a hit.
  slot = w.space().areas.at(Address(w.kernel_pc(1)));
  w.tracee.execute_int3(w.t(1), slot->address + slot->code.executed);
  w.tracee.execute_int3(w.t(1), trap_site);
  CHECK(w.report() == "nothing");  // the stop at the slot's end came first
  w.tracee.execute_int3(w.t(1), trap_site);
  CHECK(w.report() == "1 breakpoint");
}

TEST_CASE("slots: job control stops a thread at the first byte of its slot") {
  World w;
  enter_slot(w, 1, trap_site);
  w.tracee.group_stop(w.leader);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::listen);
  CHECK(w.kernel_pc(1) == trap_site.value());
  w.tracee.interrupt_stop(w.leader);
  CHECK(w.report() == "nothing");
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
  CHECK(in_area(w.kernel_pc(1)));
}

TEST_CASE("slots: a new thread in a slot that was retired before it was told of") {
  World w(2, true);
  const Slot* slot = enter_slot(w, 1, trap_site);
  w.at(1).regs.rip = (slot->address + slot->code.executed).value();
  w.tracee.add(w.pid, w.t(3));
  w.at(3).regs = w.at(1).regs;
  w.space().areas.retire(trap_site);
  w.tracee.event(w.leader, PtraceEvent::clone, static_cast<std::uint64_t>(raw(w.t(3))));
  CHECK(w.report() == "nothing");
  REQUIRE(w.engine.find(w.t(3)) != nullptr);
  const Address sites = text + 0x400;
  for (std::uint64_t i = 0; i < 0x1000 / x86::slot_size; ++i) {  // one more than there are left
    const Address at = sites + 4 * i;
    w.memory().put(at, {0x48, 0xff, 0xc0});
    w.insert(at);
    w.tracee.execute_int3(w.t(2), at);
    REQUIRE(w.report() == "2 breakpoint");
    w.run({w.t(2)});
  }
  w.tracee.interrupt_stop(w.t(3));
  CHECK(w.report() == "nothing");
  CHECK(w.kernel_pc(3) == trap_site.value() + 2);
}

// `ret` through a stack that the program cannot read as yet (it grows): emulation leaves it to the
// processor, and the slot of a `ret` has no end to stop at.
TEST_CASE("slots: an instruction that leaves its slot for good") {
  World w;
  w.memory().put(text, {0xc3});
  w.insert(text);
  w.run();
  w.memory().map(stack, 0x1000, false, false);
  w.tracee.execute_int3(w.leader, text);
  REQUIRE(w.report() == "1 breakpoint");
  const auto lands = [&](ResumeHow how) {
    CHECK(in_area(w.kernel_pc(1)));
    REQUIRE(w.tracee.last("resume", w.leader)->how == how);
    w.at(1).regs.rip = plain_code.value();
  };
  SECTION("and runs on") {
    w.run();
    lands(ResumeHow::run);
    CHECK(w.report() == "nothing");
    CHECK(w.is_running(1));
  }
  SECTION("a step of the client ends where it has gone") {
    w.step(w.leader);
    lands(ResumeHow::step);
    w.tracee.trap(w.leader, trap_trace);
    CHECK(w.report() == "1 step");
    CHECK(w.pc(1) == plain_code.value());
  }
  SECTION("the program has set its trap flag: the trap is its own") {
    w.at(1).regs.eflags |= x86::trap_flag;
    auto file = w.engine.read_registers(w.leader, {});
    REQUIRE(file.has_value());
    file->general.eflags |= x86::trap_flag;
    REQUIRE(w.engine.write_registers(w.leader, *file, {}).has_value());
    w.run();
    lands(ResumeHow::step);
    w.tracee.trap(w.leader, trap_trace);
    CHECK(w.report() == "1 signal 5");
    CHECK(w.pc(1) == plain_code.value());
  }
}

// In front of the int3: the instruction has been executed.
TEST_CASE("slots: a step is interrupted behind its instruction") {
  World w(2);
  w.insert(boost_site);
  w.insert(trap_site);
  w.run();
  const auto step_into_slot = [&](Address site) {
    w.tracee.execute_int3(w.t(1), site);
    REQUIRE(w.report() == "1 breakpoint");
    w.step(w.t(1));
    const Slot* slot = w.space().areas.at(Address(w.kernel_pc(1)));
    REQUIRE(slot != nullptr);
    w.at(1).regs.rip = (slot->address + slot->code.executed).value();
  };
  SECTION("that is its end") {
    step_into_slot(boost_site);
    w.tracee.interrupt_stop(w.t(1));
    CHECK(w.report() == "1 step");
    CHECK(w.pc(1) == boost_site.value() + 3);
  }
  SECTION("but not of a system call that starts again") {
    step_into_slot(trap_site);
    w.at(1).regs.orig_rax = 0;
    w.at(1).regs.rax = static_cast<std::uint64_t>(-512);
    w.tracee.interrupt_stop(w.t(1));
    CHECK(w.report() == "nothing");
    CHECK(w.is_running(1));
  }
}

}  // namespace
}  // namespace stub
