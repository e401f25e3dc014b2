#include "stub/stepping/step_over.h"

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

// StepOver without the engine's events: the thread stands at a site.
struct Stepping {
  World w;
  EventInbox inbox{w.tracee};
  StepOver step_over{w.tracee, inbox};
  Thread& thread;

  explicit Stepping(Address site) : thread(*w.engine.find(w.pid)->threads.at(w.leader)) {
    w.insert(site);
    thread.general = w.at(1).regs;
    thread.general->rip = site.value();
  }
  Site& site(Address at) { return *w.space().sites.find(at); }
  StepOutcome prepare(Address at, bool must_stop = false) {
    return step_over.prepare(thread, site(at), must_stop);
  }
  x86::GeneralRegisters& regs() { return *thread.general; }
};

TEST_CASE("step_over: outcomes by plan") {
  const struct {
    const char* what;
    Address site;
    bool must_stop;
    StepOutcome outcome;
    x86::Ending ending;
  } rows[] = {
      {"emulated", emulate_site, false, StepOutcome::emulated, {}},
      {"emulated, one step", emulate_site, true, StepOutcome::emulated, {}},
      {"boosted", boost_site, false, StepOutcome::boosted, x86::Ending::jump_back},
      {"one step of a boosted one", boost_site, true, StepOutcome::in_slot, x86::Ending::trap},
      {"trap", trap_site, false, StepOutcome::in_slot, x86::Ending::trap},
      {"in place", in_place_site, false, StepOutcome::in_place, {}},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Stepping s(row.site);
    CHECK(s.prepare(row.site, row.must_stop) == row.outcome);
    const Slot* slot = s.w.space().areas.at(s.regs().pc());
    const bool slotted = row.outcome == StepOutcome::boosted || row.outcome == StepOutcome::in_slot;
    CHECK((slot != nullptr) == slotted);
    if (slot == nullptr) continue;
    CHECK(slot->ending == row.ending);
    CHECK(slot->address == s.regs().pc());
    CHECK(s.thread.slot_run.has_value() == (row.outcome == StepOutcome::in_slot));
    CHECK(s.w.memory().byte(slot->address) == slot->code.bytes[0]);
    // No restart of a system call applies to the slot's address.
    CHECK(static_cast<std::int64_t>(s.regs().orig_rax) == -1);
  }
}

TEST_CASE("step_over: the program's own trap flag keeps the processor at it") {
  Stepping s(emulate_site);
  s.regs().eflags |= x86::trap_flag;
  CHECK(s.prepare(emulate_site) != StepOutcome::emulated);
  Stepping b(boost_site);
  b.regs().eflags |= x86::trap_flag;
  CHECK(b.prepare(boost_site) == StepOutcome::in_slot);
}

TEST_CASE("step_over: a system call that goes by its address stays at it") {
  Stepping s(trap_site);
  s.w.at(1).dispatch.mode = 1;
  const auto before = s.regs();
  CHECK(s.prepare(trap_site) == StepOutcome::in_place);
  CHECK(s.regs() == before);
  Stepping b(boost_site);
  b.w.at(1).dispatch.mode = 1;
  CHECK(b.prepare(boost_site) == StepOutcome::boosted);
}

TEST_CASE("step_over: with a shadow stack, calls and returns are the processor's") {
  Stepping s(push_site);
  s.w.tracee.shadow_stacks = true;
  CHECK(s.prepare(push_site) == StepOutcome::emulated);
  const auto goes_in_place = [&](std::initializer_list<int> code) {
    s.w.memory().put(text, code);
    s.w.insert(text);
    s.regs().rip = text.value();
    const auto before = s.regs();
    CHECK(s.prepare(text) == StepOutcome::in_place);
    CHECK(s.regs() == before);
    s.w.remove(text);
  };
  goes_in_place({0xc3});              // ret
  goes_in_place({0xe8, 0, 1, 0, 0});  // call
  goes_in_place({0xff, 0xd0});        // call *%rax
  goes_in_place({0xff, 0x13});        // call *(%rbx)
}

TEST_CASE("step_over: a push that would fault is left to the processor") {
  Stepping s(push_site);
  s.w.memory().map(stack, 0x1000, true, false);
  const auto before = s.regs();
  CHECK(s.prepare(push_site) == StepOutcome::boosted);
  CHECK(in_area(s.regs().rip));
  CHECK(s.regs().rsp == before.rsp);
}

TEST_CASE("step_over: an instruction that leaves for good is stepped for who wants control back") {
  Stepping s(boost_site);
  s.w.memory().put(text, {0xc3});
  s.w.memory().map(stack, 0x1000, false, false);
  s.w.insert(text);
  s.regs().rip = text.value();
  CHECK(s.prepare(text) == StepOutcome::boosted);
  s.regs().rip = text.value();
  CHECK(s.prepare(text, true) == StepOutcome::single_step);
  CHECK(in_area(s.regs().rip));
}

TEST_CASE("step_over: what the client watches is accessed by the processor") {
  constexpr Address at = plain_code + 0x10;
  const struct {
    const char* what;
    std::initializer_list<int> code;
    std::int64_t word;  // what it accesses, from the stack pointer
  } rows[] = {
      {"push", {0x55}, -8},
      {"call", {0xe8, 0, 1, 0, 0}, -8},
      {"call *%rax", {0xff, 0xd0}, -8},
      {"call *(%rsp)", {0xff, 0x14, 0x24}, -8},
      {"ret", {0xc3}, 0},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Stepping s(boost_site);
    s.w.memory().put(at, row.code);
    s.w.insert(at);
    s.regs().rip = at.value();
    s.regs().rax = plain_code.value();
    const auto before = s.regs();
    const Address word = Address(before.rsp) + static_cast<std::uint64_t>(row.word);
    HardwarePoints& points = s.w.space().hardware;
    const auto watch = rsp::PointType::access_watchpoint;
    REQUIRE(points.insert(watch, word + 7, 1, {}).has_value());
    CHECK(s.prepare(at) == StepOutcome::in_place);
    CHECK(s.site(at).statistics.in_place_because == "a watchpoint may be on what it accesses");
    CHECK(s.regs() == before);
    REQUIRE(points.remove(watch, word + 7, 1).has_value());
    REQUIRE(points.insert(watch, word + 8, 8, {}).has_value());
    CHECK(s.prepare(at) != StepOutcome::in_place);
  }
}

// As Wine does for 32-bit programs.
TEST_CASE("step_over: code of another size than the process's is executed in place") {
  for (const Address at : {emulate_site, boost_site, trap_site}) {
    Stepping s(at);
    s.regs().cs = 0x23;
    const auto before = s.regs();
    CHECK(s.prepare(at) == StepOutcome::in_place);
    CHECK(s.site(at).statistics.in_place_because == "another code segment");
    CHECK(s.regs() == before);
  }
}

TEST_CASE("step_over: one slot per site and ending, used again") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  const Address first = s.regs().pc();
  s.regs().rip = boost_site.value();
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  CHECK(s.regs().pc() == first);
  s.regs().rip = boost_site.value();
  REQUIRE(s.prepare(boost_site, true) == StepOutcome::in_slot);
  CHECK(s.regs().pc() != first);
  // Taken out and put in again: the same code at the same place.
  s.w.remove(boost_site);
  s.w.insert(boost_site);
  s.regs().rip = boost_site.value();
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  CHECK(s.regs().pc() == first);
}

TEST_CASE("step_over: the text was rewritten behind the int3") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  const Address old_slot = s.regs().pc();
  s.regs().rip = boost_site.value();
  s.w.memory().put(boost_site + 1, {0xff, 0xc8});  // dec %rax
  const auto before = s.regs();
  CHECK(s.prepare(boost_site) == StepOutcome::site_changed);
  CHECK(s.regs() == before);
  CHECK(s.site(boost_site).original[2] == 0xc8);
  CHECK(s.prepare(boost_site) == StepOutcome::boosted);
  CHECK(s.regs().pc() != old_slot);
  CHECK(s.w.memory().byte(s.regs().pc() + 2) == 0xc8);
  // Somebody may still be in the old one.
  REQUIRE(s.w.space().areas.at(old_slot) != nullptr);
  CHECK(s.w.memory().byte(old_slot + 2) == 0xc0);
}

// As a JIT does that lets a call or jump go elsewhere: the opcode, and with it the int3, stays.
TEST_CASE("step_over: the text of an emulated instruction was rewritten behind the int3") {
  constexpr Address at = plain_code + 0x10;
  const struct {
    const char* what;
    std::initializer_list<int> before, after;
    std::uint64_t next;  // from the site
  } rows[] = {
      {"jmp", {0xe9, 0, 1, 0, 0}, {0xe9, 0, 2, 0, 0}, 0x205},
      {"jmp short", {0xeb, 0x10}, {0xeb, 0x20}, 0x22},
      {"jcc", {0x0f, 0x85, 0, 1, 0, 0}, {0x0f, 0x85, 0, 2, 0, 0}, 0x206},
      {"loop", {0xe2, 0x10}, {0xe2, 0x20}, 0x22},
      {"call", {0xe8, 0, 1, 0, 0}, {0xe8, 0, 2, 0, 0}, 0x205},
      {"call *%rax", {0xff, 0xd0}, {0xff, 0xd1}, 0x400},
      {"jmp *%rax", {0xff, 0xe0}, {0xff, 0xe1}, 0x400},
      {"ret $imm", {0xc2, 0x10, 0}, {0xc2, 0x20, 0}, 0x400},
      {"push %r8", {0x41, 0x50}, {0x41, 0x51}, 2},
      {"nop", {0x66, 0x90}, {0xeb, 0x20}, 0x22},
      {"lea", {0x48, 0x8d, 0x05, 0, 0, 0, 0}, {0x48, 0x8d, 0x0d, 0, 0, 0, 0}, 7},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Stepping s(boost_site);
    s.w.memory().put(at, row.before);
    s.w.insert(at);
    s.regs().rip = at.value();
    s.regs().rcx = (at + 0x400).value();
    s.w.memory().put(stack + 0x800, {0x90, 0x14, 0x40, 0, 0, 0, 0, 0});  // at + 0x400
    const bool same_opcode = *row.after.begin() == *row.before.begin();
    s.w.memory().put(at, row.after);
    if (same_opcode) s.w.memory().put(at, {0xcc});
    const auto before = s.regs();
    CHECK(s.prepare(at) == StepOutcome::site_changed);
    CHECK(s.regs() == before);
    REQUIRE(s.prepare(at) == StepOutcome::emulated);
    CHECK(s.regs().rip == (at + row.next).value());
  }
}

TEST_CASE("step_over: the text of an emulated instruction cannot be read any more") {
  Stepping s(emulate_site);
  s.w.memory().unmap(text, 0x1000);
  CHECK(s.prepare(emulate_site) == StepOutcome::in_place);
  CHECK(s.regs().rip == emulate_site.value());
}

TEST_CASE("step_over: the int3 itself was overwritten") {
  Stepping s(boost_site);
  s.w.memory().put(boost_site, {0x90});  // nop
  CHECK(s.prepare(boost_site) == StepOutcome::site_changed);
  CHECK(s.site(boost_site).length == 1);
}

TEST_CASE("step_over: a slot was scribbled over") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  const Address slot = s.regs().pc();
  s.regs().rip = boost_site.value();
  s.w.memory().put(slot, {0xf4, 0xf4});
  CHECK(s.prepare(boost_site) == StepOutcome::boosted);
  CHECK(s.regs().pc() == slot);
  CHECK(s.w.memory().byte(slot) == 0x48);
}

TEST_CASE("step_over: the area was unmapped") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  s.regs().rip = boost_site.value();
  s.w.memory().unmap(area, 0x1000);
  SECTION("and there is no other: in place") {
    CHECK(s.prepare(boost_site) == StepOutcome::in_place);
    CHECK(s.regs().rip == boost_site.value());
  }
  SECTION("and there is another") {
    constexpr Address other(0x600000);
    s.w.memory().map(other, 0x1000, true, false);
    s.w.memory().write(other, blank_slots(0x1000), FakeMemory::Rights::debugger);
    s.w.space().areas.add({other, 0x1000});
    CHECK(s.prepare(boost_site) == StepOutcome::boosted);
    CHECK(s.regs().rip == other.value());
  }
  for (const auto& range : s.w.space().areas.ranges()) CHECK(range.start != area);
}

// Threads may be in its slots, and nobody would know their PCs any more.
TEST_CASE("step_over: the text was unmapped, the area was not") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  const Address slot = s.regs().pc();
  s.regs().rip = boost_site.value();
  s.w.memory().unmap(text, 0x1000);
  s.prepare(boost_site);
  CHECK(s.w.space().areas.contains(area));
  CHECK(s.w.space().areas.at(slot) != nullptr);
}

TEST_CASE("step_over: when slots run out, those of removed sites are used again") {
  Stepping s(boost_site);
  s.w.space().areas.clear();
  s.w.space().areas.add({area, 2 * x86::slot_size});
  REQUIRE(s.prepare(boost_site) == StepOutcome::boosted);
  s.regs().rip = boost_site.value();
  REQUIRE(s.prepare(boost_site, true) == StepOutcome::in_slot);
  s.w.insert(trap_site);
  s.regs().rip = trap_site.value();
  CHECK(s.prepare(trap_site) == StepOutcome::in_place);  // both are in use
  s.w.remove(boost_site);
  s.thread.running = true;  // it may be in one of them, for all we know
  CHECK(s.prepare(trap_site) == StepOutcome::in_place);
  s.thread.running = false;
  CHECK(s.prepare(trap_site) == StepOutcome::in_slot);
}

TEST_CASE("step_over: what a stop in a slot means") {
  Stepping s(boost_site);
  REQUIRE(s.prepare(boost_site, true) == StepOutcome::in_slot);
  const Slot slot = *s.w.space().areas.at(s.regs().pc());
  const auto leave_at = [&](std::uint64_t offset) {
    s.regs().rip = slot.address.value() + offset;
    return s.step_over.leave_slot(s.thread, s.w.space());
  };
  auto left = leave_at(0);
  REQUIRE(left.has_value());
  CHECK(left->progress == x86::Progress::not_started);
  CHECK(left->site == boost_site);
  CHECK_FALSE(left->at_end);
  CHECK(s.regs().rip == boost_site.value());
  left = leave_at(slot.code.executed);
  REQUIRE(left.has_value());
  CHECK(left->progress == x86::Progress::done);
  CHECK_FALSE(left->at_end);
  CHECK(s.regs().rip == boost_site.value() + 3);
  left = leave_at(slot.code.executed + 1u);
  REQUIRE(left.has_value());
  CHECK(left->at_end);
  CHECK(s.regs().rip == boost_site.value() + 3);
  left = leave_at(1);
  REQUIRE(left.has_value());
  CHECK(left->progress == x86::Progress::lost);
  s.regs().rip = plain_code.value();
  CHECK_FALSE(s.step_over.leave_slot(s.thread, s.w.space()).has_value());
  s.regs().rip = area_size_end.value();
  CHECK_FALSE(s.step_over.leave_slot(s.thread, s.w.space()).has_value());
}

}  // namespace
}  // namespace stub
