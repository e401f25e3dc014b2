// A signal is delivered at a site that was passed, and its handler returns, or does not.
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

constexpr Address handler(0x401100);
constexpr std::uint64_t frame = stack.value() + 0x100;

// The state at the site, with SIGUSR1 about to be delivered there.
struct Delivery {
  World w;
  const Slot* slot = enter_slot(w, 1, boost_site);
  x86::GeneralRegisters state{};

  Delivery() {
    w.tracee.signal(w.leader, SIGUSR1);
    REQUIRE(w.report() == "1 signal 10");
    w.run({}, SIGUSR1);
    const auto* resumed = w.tracee.last("resume", w.leader);
    REQUIRE(resumed->signal == SIGUSR1);
    REQUIRE(resumed->how == ResumeHow::step);
    state = w.at(1).regs;
    REQUIRE(state.pc() == boost_site);
  }
  void put_word(Address place, std::uint64_t value) {
    w.memory().write(place, std::as_bytes(std::span(&value, 1)), FakeMemory::Rights::debugger);
  }
  void enter_handler(std::uint64_t its_frame = frame) {
    put_word(Address(its_frame) + 176, state.rip);
    w.at(1).regs.rip = handler.value();
    w.at(1).regs.rsp = its_frame;
    w.tracee.trap(w.leader, SIGTRAP);
    CHECK(w.report() == "nothing");
    CHECK(how() == ResumeHow::syscall);
    CHECK(w.kernel_pc(1) == handler.value());
  }
  void sigreturn(const x86::GeneralRegisters& restored, std::uint64_t its_frame = frame) {
    w.at(1).regs.rsp = its_frame + 8;
    w.tracee.syscall_stop(w.leader, 15, true);
    CHECK(w.report() == "nothing");
    w.at(1).regs = restored;
    w.tracee.syscall_stop(w.leader, ~std::uint64_t{0}, false);
  }
  void call(std::uint64_t stack_pointer) {
    w.at(1).regs.rsp = stack_pointer;
    w.tracee.syscall_stop(w.leader, 14, true);
    CHECK(w.report() == "nothing");
    w.tracee.syscall_stop(w.leader, 14, false);
    CHECK(w.report() == "nothing");
  }
  void hit(const x86::GeneralRegisters& at) {
    w.at(1).regs = at;
    w.tracee.execute_int3(w.leader, boost_site);
  }
  ResumeHow how() { return w.tracee.last("resume", w.leader)->how; }
};

TEST_CASE("handlers: one that returns puts the hit off") {
  Delivery d;
  d.enter_handler();
  d.call(frame - 0x100);
  d.sigreturn(d.state);
  CHECK(d.w.report() == "nothing");
  CHECK(in_area(d.w.kernel_pc(1)));
  CHECK(d.how() == ResumeHow::run);
  // The next time round is a hit, in the same registers too.
  d.hit(d.state);
  CHECK(d.w.report() == "1 breakpoint");
}

TEST_CASE("handlers: one that jumps away leaves nothing behind") {
  Delivery d;
  d.enter_handler();
  d.hit(d.state);
  CHECK(d.w.report() == "1 breakpoint");
  d.w.run();
  CHECK(in_area(d.w.kernel_pc(1)));
  CHECK(d.how() == ResumeHow::run);
}

TEST_CASE("handlers: one that jumps away does not slow the thread down for ever") {
  Delivery d;
  d.enter_handler();
  for (unsigned i = 0; i <= PassedContexts::patience; ++i) d.call(d.state.rsp);
  CHECK(d.how() == ResumeHow::run);
}

TEST_CASE("handlers: one that goes on elsewhere") {
  Delivery d;
  d.enter_handler();
  auto elsewhere = d.state;
  elsewhere.rip = plain_code.value();
  d.sigreturn(elsewhere);
  CHECK(d.w.report() == "nothing");
  CHECK(d.w.kernel_pc(1) == plain_code.value());
  CHECK(d.how() == ResumeHow::run);
  d.hit(d.state);
  CHECK(d.w.report() == "1 breakpoint");
}

TEST_CASE("handlers: one that hits the site itself, and returns") {
  Delivery d;
  d.enter_handler();
  auto inner = d.state;
  inner.rsp = frame - 0x200;
  d.hit(inner);
  CHECK(d.w.report() == "1 breakpoint");
  d.w.run();
  CHECK(in_area(d.w.kernel_pc(1)));
  d.w.at(1).regs.rip = handler.value();
  d.sigreturn(d.state);
  CHECK(d.w.report() == "nothing");
  CHECK(in_area(d.w.kernel_pc(1)));
}

TEST_CASE("handlers: a signal that has none is no second hit") {
  Delivery d;
  d.hit(d.state);
  CHECK(d.w.report() == "nothing");
  CHECK(in_area(d.w.kernel_pc(1)));
  CHECK(d.how() == ResumeHow::run);
}

TEST_CASE("handlers: another stop comes before the signal is delivered") {
  Delivery d;
  d.w.tracee.group_stop(d.w.leader, SIGTSTP);
  CHECK(d.w.report() == "nothing");
  d.w.tracee.interrupt_stop(d.w.leader);
  CHECK(d.w.report() == "nothing");
  CHECK(in_area(d.w.kernel_pc(1)));
}

TEST_CASE("handlers: a thread that is watched is not held where it enters a system call") {
  Delivery d;
  d.enter_handler();
  d.w.tracee.answers_interrupts = false;
  REQUIRE(d.w.engine.interrupt(d.w.leader).has_value());
  d.w.at(1).regs.rsp = frame - 0x100;
  d.w.tracee.syscall_stop(d.w.leader, 14, true);
  CHECK(d.w.report() == "nothing");
  CHECK(d.w.is_running(1));
  d.w.tracee.syscall_stop(d.w.leader, 14, false);
  d.w.engine.on_child_event();
  d.w.tracee.interrupt_stop(d.w.leader);
  CHECK(d.w.report() == "1 signal 2");
}

TEST_CASE("handlers: a client that steps into one is told when it is back") {
  World w;
  enter_slot(w, 1, boost_site);
  w.tracee.signal(w.leader, SIGUSR1);
  REQUIRE(w.report() == "1 signal 10");
  REQUIRE(w.resume(ResumeAction::Kind::step, {w.leader}, SIGUSR1).has_value());
  const auto state = w.at(1).regs;
  w.at(1).regs.rip = handler.value();
  w.tracee.trap(w.leader, SIGTRAP);
  CHECK(w.report() == "1 step");
  w.run();
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
  w.at(1).regs = state;
  w.tracee.execute_int3(w.leader, boost_site);
  CHECK(w.report() == "1 breakpoint");
}

TEST_CASE("handlers: a restart survives what the client does with the thread meanwhile") {
  World w;
  const Slot* slot = enter_slot(w, 1, trap_site);
  auto& regs = w.at(1).regs;
  regs.rip = slot->address.value() + 2;
  regs.orig_rax = 57;
  regs.rax = static_cast<std::uint64_t>(-513);
  REQUIRE(w.engine.interrupt(w.leader).has_value());
  REQUIRE(w.report() == "1 signal 2");
  auto file = *w.engine.read_registers(w.leader, {});
  const auto saved = file;
  file.general.rsp -= 0x100;
  REQUIRE(w.engine.write_registers(w.leader, file, {}).has_value());
  file.general.rip = plain_code.value();  // orig_rax is left alone, as LLDB does
  REQUIRE(w.engine.write_registers(w.leader, file, {}).has_value());
  w.run();
  CHECK(regs.orig_rax == ~std::uint64_t{0});
  CHECK(w.kernel_pc(1) == plain_code.value());
  w.insert(plain_code + 8);
  w.tracee.execute_int3(w.leader, plain_code + 8);
  REQUIRE(w.report() == "1 breakpoint");
  auto without_call = saved;
  without_call.general.orig_rax = regs.orig_rax;
  REQUIRE(w.engine.write_registers(w.leader, without_call, {}).has_value());
  w.run();
  CHECK(regs == saved.general);
  regs.rip -= 2;
  regs.rax = 57;
  w.tracee.execute_int3(w.leader, trap_site);
  CHECK(w.report() == "nothing");
  CHECK(in_area(w.kernel_pc(1)));
}

TEST_CASE("handlers: the result of fork survives an inferior call in it") {
  World w;
  w.engine.interest().events = {.fork = true};
  w.run();
  const pid_t child = first_fake_id + 50;
  w.tracee.add(fake_pid(50), fake_tid(50));
  w.tracee.copy_memory(fake_pid(50), w.pid);
  auto& regs = w.at(1).regs;
  regs.rip = plain_code.value() + 2;
  regs.rax = static_cast<std::uint64_t>(-38);
  regs.orig_rax = 57;
  w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(child));
  w.tracee.interrupt_stop(fake_tid(50));
  REQUIRE(w.report() == "1 fork");
  const auto saved = *w.engine.read_registers(w.leader, {});
  auto moved = saved;
  moved.general.rip = plain_code.value() + 16;
  REQUIRE(w.engine.write_registers(w.leader, moved, {}).has_value());
  w.run({w.leader});
  regs.rax = static_cast<std::uint64_t>(child);
  w.insert(plain_code + 20);
  w.tracee.execute_int3(w.leader, plain_code + 20);
  REQUIRE(w.report() == "1 breakpoint");
  REQUIRE(w.engine.write_registers(w.leader, saved, {}).has_value());
  w.run({w.leader});
  CHECK(regs.rax == static_cast<std::uint64_t>(child));
  CHECK(w.kernel_pc(1) == plain_code.value() + 2);
}

TEST_CASE("handlers: a fault at a breakpoint that cannot be executed is told") {
  World w;
  std::bitset<65> passed;
  passed.set(SIGSEGV);
  w.engine.interest().set_pass_signals(passed);
  SECTION("in a call dummy on a stack") {
    w.insert(plain_code + 8);
    w.run();
    w.at(1).regs.rip = plain_code.value() + 8;
    w.tracee.signal(w.leader, SIGSEGV, 2, plain_code + 8);
    CHECK(w.report() == "1 signal 11");
  }
  SECTION("not one of the instruction under a site") {
    const Slot* slot = enter_slot(w, 1, boost_site);
    w.tracee.signal(w.leader, SIGSEGV, 1, Address(16));
    CHECK(slot != nullptr);
    CHECK(w.report() == "nothing");
    CHECK(w.tracee.last("resume", w.leader)->signal == SIGSEGV);
  }
}

TEST_CASE("handlers: siginfo is that of the stop the client was told") {
  World w;
  w.run();
  REQUIRE(w.engine.interrupt(w.leader).has_value());
  REQUIRE(w.report() == "1 signal 2");
  auto info = w.engine.siginfo(w.leader);
  REQUIRE(info.has_value());
  CHECK(info->si_signo == SIGINT);
  const auto kernel_has = w.at(1).info.si_code;
  SECTION("what the client writes, it reads, and the kernel gets nothing made up") {
    CHECK(w.engine.set_siginfo(w.leader, *info).has_value());
    CHECK(w.at(1).info.si_code == kernel_has);
    info->si_code = SI_QUEUE;
    CHECK(w.engine.set_siginfo(w.leader, *info).has_value());
    CHECK(w.engine.siginfo(w.leader)->si_code == SI_QUEUE);
    CHECK(w.at(1).info.si_code == kernel_has);  // nothing can be delivered from this stop
  }
  SECTION("after an inferior call the client writes it back at another stop") {
    w.run();
    w.tracee.signal(w.leader, SIGUSR1, SI_QUEUE);
    REQUIRE(w.report() == "1 signal 10");
    CHECK(w.engine.siginfo(w.leader)->si_signo == SIGUSR1);
    CHECK(w.engine.set_siginfo(w.leader, *info).has_value());
    CHECK(w.engine.siginfo(w.leader)->si_signo == SIGINT);
    CHECK(w.at(1).info.si_signo == SIGUSR1);
  }
  SECTION("a signal that can be delivered is changed in the kernel") {
    w.run();
    w.tracee.signal(w.leader, SIGUSR1, SI_QUEUE);
    REQUIRE(w.report() == "1 signal 10");
    auto changed = *w.engine.siginfo(w.leader);
    changed.si_value.sival_int = 4711;
    CHECK(w.engine.set_siginfo(w.leader, changed).has_value());
    CHECK(w.at(1).info.si_value.sival_int == 4711);
  }
}

}  // namespace
}  // namespace stub
