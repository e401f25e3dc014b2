#include <cpuid.h>

#include <cstring>

#include "tests/arch/code.h"

namespace x86 {
namespace {

constexpr Address site(0x5555'5555'5000);
constexpr Address near_slot(0x5555'4555'4000);
constexpr Address far_slot(0x7fff'f000'0000);
constexpr std::uint64_t stack = 0x7fff'0000'1000;

struct Slot {
  Instruction instruction;
  Address at;
  SlotCode code;
  GeneralRegisters regs{};
  FakeMemory memory;
  std::optional<std::uint64_t> saved_scratch;

  Slot(std::string_view bytes, Ending ending, Address slot = near_slot, Mode mode = Mode::amd64)
      : instruction(decoded(bytes, mode)),
        at(slot),
        code(relocate(instruction, site, slot, ending).value()) {
    memory.map(stack - 0x40, 0x80);
    regs.rsp = stack;
    regs.rip = slot.value();
  }
  Canonical stopped(std::uint64_t offset) {
    regs.rip = at.value() + offset;
    return canonical(instruction, code, site, at, regs, saved_scratch, memory);
  }
};

void check(const Canonical& result, Progress progress, Address pc) {
  CHECK(static_cast<int>(result.progress) == static_cast<int>(progress));
  CHECK(result.registers.rip == pc.value());
}

TEST_CASE("canonical: boost") {
  Slot slot("48 01 c3", Ending::jump_back);
  check(slot.stopped(0), Progress::not_started, site);
  check(slot.stopped(3), Progress::done, site + 3);
  for (const int inside : {1, 2, 4, 5, 6, 7, 60}) {
    INFO(inside);
    check(slot.stopped(inside), Progress::lost, near_slot + inside);
  }
  Slot far("48 01 c3", Ending::jump_back, far_slot);
  check(far.stopped(3), Progress::done, site + 3);
  check(far.stopped(9), Progress::lost, far_slot + 9);
}

TEST_CASE("canonical: trap") {
  Slot slot("48 01 c3", Ending::trap);
  check(slot.stopped(0), Progress::not_started, site);
  check(slot.stopped(3), Progress::done, site + 3);
  CHECK_FALSE(slot.stopped(3).at_ending);
  check(slot.stopped(4), Progress::done, site + 3);
  CHECK(slot.stopped(4).at_ending);
  check(slot.stopped(5), Progress::lost, near_slot + 5);
}

TEST_CASE("canonical: the scratch register") {
  Slot slot("48 8b 05 78 56 34 12", Ending::trap, far_slot);  // mov 0(%rcx), %rax
  slot.saved_scratch = 0x1111;
  slot.regs.rcx = slot.code.scratch_value;
  slot.regs.rax = 0x2222;
  for (const auto offset : {0, 8}) {
    const auto result = slot.stopped(offset);
    CHECK(result.registers.rcx == 0x1111);
    CHECK(result.registers.rax == 0x2222);
  }
}

TEST_CASE("canonical: syscall") {
  Slot slot("0f 05", Ending::trap);
  slot.regs.rcx = near_slot.value() + 2;
  slot.regs.r11 = 0x246;
  auto result = slot.stopped(3);
  check(result, Progress::done, site + 2);
  CHECK(result.registers.rcx == site.value() + 2);
  CHECK(result.registers.r11 == 0x246);
  // about to be restarted: the kernel has gone back to the instruction
  result = slot.stopped(0);
  check(result, Progress::not_started, site);
  CHECK(result.registers.rcx == site.value() + 2);
  // not executed yet
  slot.regs.rcx = 0x77;
  CHECK(slot.stopped(0).registers.rcx == 0x77);

  Slot narrow("cd 80", Ending::trap);  // int $0x80 leaves rcx alone
  narrow.regs.rcx = near_slot.value() + 2;
  CHECK(narrow.stopped(3).registers.rcx == near_slot.value() + 2);
}

TEST_CASE("canonical: popf") {
  Slot slot("9d", Ending::trap);
  slot.regs.eflags = trap_flag;
  const auto result = slot.stopped(2);
  check(result, Progress::done, site + 1);
  CHECK(result.registers.eflags == trap_flag);
}

TEST_CASE("canonical: call *mem") {
  Slot slot("ff 54 24 08", Ending::trap);  // mov 8(%rsp), %rax; int3; ...
  slot.saved_scratch = 0x1111;
  slot.regs.rax = 0x40'2000;
  const auto result = slot.stopped(6);
  check(result, Progress::done, Address(0x40'2000));
  CHECK(result.at_ending);
  CHECK(result.registers.rsp == stack - 8);
  CHECK(result.registers.rax == 0x1111);
  CHECK(slot.memory.word(stack - 8) == site.value() + 4);
  // the operand has faulted
  slot.regs.rax = 0;
  const auto faulted = slot.stopped(0);
  check(faulted, Progress::not_started, site);
  CHECK(faulted.registers.rax == 0x1111);
  CHECK_FALSE(faulted.at_ending);
}

TEST_CASE("canonical: a call whose push is left to the processor") {
  Slot slot("ff 10", Ending::trap);  // mov (%rax), %rcx
  slot.saved_scratch = 0x1111;
  slot.regs.rcx = 0x40'2000;
  slot.memory.bytes.clear();
  const auto unfinished = slot.stopped(4);
  check(unfinished, Progress::unfinished, near_slot + slot.code.push);
  CHECK(unfinished.registers.rcx == 0x40'2000);
  // it faults
  const auto faulted = slot.stopped(slot.code.push);
  check(faulted, Progress::not_started, site);
  CHECK(faulted.registers.rcx == 0x1111);
  // or the stack has grown: stopped half way, and at the end
  slot.regs.rsp = stack - 8;
  const auto half = slot.stopped(slot.code.half_pushed);
  check(half, Progress::not_started, site);
  CHECK(half.registers.rsp == stack);
  const auto result = slot.stopped(slot.code.pushed + 1);
  check(result, Progress::done, Address(0x40'2000));
  CHECK(result.at_ending);
  CHECK(result.registers.rcx == 0x1111);
  CHECK(result.registers.rsp == stack - 8);
}

// Intel's processors store the return address before they find the target bad, AMD's do not.
bool is_intel() {
  unsigned highest = 0, vendor = 0, rest = 0, middle = 0;
  return __get_cpuid(0, &highest, &vendor, &rest, &middle) != 0 && vendor == signature_INTEL_ebx;
}

TEST_CASE("canonical: an indirect branch to an address that is not canonical") {
  for (const auto* bytes : {"ff d0", "ff 10", "ff 20"}) {  // call *%rax, call *(%rax), jmp *(%rax)
    INFO(bytes);
    Slot slot(bytes, Ending::trap);
    slot.saved_scratch = 0x1111;
    slot.regs.rcx = 0x8000'0000'0000;
    const auto result = slot.stopped(slot.code.executed + 1);
    check(result, Progress::unfinished, near_slot + slot.code.jump);
    CHECK(result.registers.rsp == stack);
    CHECK(result.registers.rcx == 0x8000'0000'0000);
    const bool stores = is_intel() && slot.code.push != 0;
    CHECK(slot.memory.word(stack - 8) == (stores ? (site + 2).value() : 0));
    const auto faulted = slot.stopped(slot.code.jump);
    check(faulted, Progress::not_started, site);
    CHECK(faulted.registers.rcx == 0x1111);
  }
}

TEST_CASE("canonical: a bad target and a bad stack") {
  Slot slot("ff d0", Ending::trap);  // mov %rax, %rcx
  slot.regs.rcx = 0x8000'0000'0000;
  slot.memory.bytes.clear();
  check(slot.stopped(4), Progress::unfinished, near_slot + slot.code.push);
  // the push was possible after all
  slot.regs.rsp = stack - 8;
  const auto result = slot.stopped(slot.code.pushed + 1);
  check(result, Progress::unfinished, near_slot + slot.code.jump);
  CHECK(result.registers.rsp == stack);
}

TEST_CASE("canonical: direct call") {
  Slot slot("e8 00 01 00 00", Ending::trap);  // push $low; movl $high, 4(%rsp)
  slot.regs.rsp = stack - 8;
  check(slot.stopped(5), Progress::not_started, site);
  CHECK(slot.stopped(5).registers.rsp == stack);
  check(slot.stopped(14), Progress::done, site + 0x105);
  CHECK(slot.stopped(14).registers.rsp == stack - 8);
}

TEST_CASE("canonical: i386 call *mem") {
  const Address slot32(0xf7ff'0000), low_site(0x0804'9000);
  Slot slot("ff 50 04", Ending::trap, slot32, Mode::i386);  // mov 4(%eax), %ecx
  slot.memory.map(0xffff'd000, 16);
  slot.regs.rsp = 0xffff'd004;
  slot.regs.ss = 0x2b;
  slot.regs.rcx = 0x0804'a000;
  slot.saved_scratch = 0x1111;
  slot.memory.set_word(0xffff'd004, 0x5555'5555, 4);
  slot.regs.rip = slot32.value() + 4;
  const auto result = canonical(slot.instruction, slot.code, low_site, slot32, slot.regs,
                                slot.saved_scratch, slot.memory);
  check(result, Progress::done, Address(0x0804'a000));
  CHECK(result.registers.rsp == 0xffff'd000);
  CHECK(result.registers.rcx == 0x1111);
  CHECK(slot.memory.word(0xffff'd000, 4) == 0x0804'9003);
  CHECK(slot.memory.word(0xffff'd004, 4) == 0x5555'5555);
}

TEST_CASE("canonical: jmp *mem that stops at its target") {
  Slot slot("ff 25 00 01 00 00", Ending::trap);  // mov x(%rip), %rax
  slot.saved_scratch = 0x1111;
  slot.regs.rax = 0x40'2000;
  const auto result = slot.stopped(8);
  check(result, Progress::done, Address(0x40'2000));
  CHECK(result.registers.rax == 0x1111);
  CHECK(result.registers.rsp == stack);
}

TEST_CASE("canonical: xbegin") {
  Slot slot("c7 f8 00 10 00 00", Ending::trap);
  check(slot.stopped(7), Progress::done, site + 6);
  check(slot.stopped(8), Progress::done, site + 0x1006);
  check(slot.stopped(9), Progress::done, site + 0x1006);
  Slot far("c7 f8 00 10 00 00", Ending::jump_back, far_slot);
  check(far.stopped(6), Progress::done, site + 6);
  check(far.stopped(24), Progress::done, site + 0x1006);
}

TEST_CASE("canonical: two-way") {
  Slot slot("f3 e0 10", Ending::trap);
  check(slot.stopped(4), Progress::done, site + 3);
  check(slot.stopped(6), Progress::done, site + 0x13);
  CHECK(slot.stopped(6).at_ending);
}

TEST_CASE("canonical: own int3") {
  Slot slot("cd 03", Ending::trap);
  check(slot.stopped(2), Progress::done, site + 2);
  CHECK_FALSE(slot.stopped(2).at_ending);
  Slot one_byte("cc", Ending::trap);
  check(one_byte.stopped(1), Progress::done, site + 1);
  CHECK_FALSE(one_byte.stopped(1).at_ending);
  CHECK(raises_trap(slot.instruction));
  CHECK_FALSE(raises_trap(decoded("90")));
}

TEST_CASE("canonical: x87 pointer") {
  Slot slot("d9 e8", Ending::trap);
  CHECK(records_x87_pointer(slot.instruction));
  CHECK_FALSE(records_x87_pointer(decoded("0f 58 c1")));
  std::vector<std::byte> xstate(832);
  const auto put = [&](std::uint64_t pointer) { std::memcpy(&xstate[8], &pointer, 8); };
  const auto get = [&] {
    std::uint64_t pointer;
    std::memcpy(&pointer, &xstate[8], 8);
    return pointer;
  };
  put(near_slot.value());
  CHECK(restore_x87_pointer(xstate, slot.instruction, slot.code, site, near_slot));
  CHECK(get() == site.value());
  CHECK_FALSE(restore_x87_pointer(xstate, slot.instruction, slot.code, site, near_slot));
  put(near_slot.value() + slot.code.size);
  CHECK_FALSE(restore_x87_pointer(xstate, slot.instruction, slot.code, site, near_slot));
  CHECK_FALSE(restore_x87_pointer({}, slot.instruction, slot.code, site, near_slot));

  // fadds x(%rip) as fadds 0(%rax): opcode register 080h, and 005h in place.
  Slot far("d8 05 10 00 00 00", Ending::trap, far_slot);
  put(far_slot.value());
  xstate[6] = std::byte{0x80};
  xstate[7] = std::byte{0x00};
  CHECK(restore_x87_pointer(xstate, far.instruction, far.code, site, far_slot));
  CHECK(xstate[6] == std::byte{0x05});
  put(far_slot.value());
  xstate[6] = std::byte{0x00};  // of a processor that does not keep it
  CHECK(restore_x87_pointer(xstate, far.instruction, far.code, site, far_slot));
  CHECK(xstate[6] == std::byte{0x00});
}

}  // namespace
}  // namespace x86

namespace {

// One word of stack; everything else is not mapped.
class OneWord final : public x86::Memory {
 public:
  explicit OneWord(std::uint64_t value) : value_(value) {}
  bool read(x86::Address from, std::span<std::uint8_t> to) override {
    if (from.value() < base || from.value() + to.size() > base + 8) return false;
    std::memcpy(to.data(), reinterpret_cast<const char*>(&value_) + (from.value() - base),
                to.size());
    return true;
  }
  bool write(x86::Address to, std::span<const std::uint8_t> from) override {
    if (to.value() < base || to.value() + from.size() > base + 8) return false;
    std::memcpy(reinterpret_cast<char*>(&value_) + (to.value() - base), from.data(), from.size());
    return true;
  }
  std::uint64_t value() const { return value_; }
  static constexpr std::uint64_t base = 0x7000;

 private:
  std::uint64_t value_;
};

}  // namespace

TEST_CASE("the trap flag is set by popf, iret and the return from a signal handler") {
  struct Row {
    std::vector<std::uint8_t> code;
    bool behind, elsewhere;
  };
  for (const Row& row :
       {Row{{0x9d}, true, true}, Row{{0x66, 0x9d}, true, true}, Row{{0x48, 0xcf}, true, true},
        Row{{0x0f, 0x05}, false, true}, Row{{0x48, 0xcb}, false, false}, Row{{0x9c}, false, false},
        Row{{0xc3}, false, false}, Row{{0x90}, false, false}}) {
    const auto instruction = x86::decode(row.code, x86::Mode::amd64);
    REQUIRE(instruction);
    CHECK(x86::can_have_set_trap_flag(*instruction, true) == row.behind);
    CHECK(x86::can_have_set_trap_flag(*instruction, false) == row.elsewhere);
  }
}

TEST_CASE("in place: the tracer's trap flag is taken out of pushf's image and syscall's r11") {
  const std::array<std::uint8_t, 1> pushf{0x9c};
  const std::array<std::uint8_t, 2> push_word{0x66, 0x9c}, syscall{0x0f, 0x05}, nop{0x66, 0x90};
  x86::GeneralRegisters regs{};
  regs.rsp = OneWord::base;
  regs.r11 = 0x346;
  for (const std::span<const std::uint8_t> code :
       {std::span<const std::uint8_t>(pushf), std::span<const std::uint8_t>(push_word)}) {
    OneWord stack(0xffffffffffff0346);
    x86::hide_trap_flag(*x86::decode(code, x86::Mode::amd64), regs, stack);
    CHECK(stack.value() == 0xffffffffffff0246);
    CHECK(regs.r11 == 0x346);
  }
  OneWord untouched(0x346);
  x86::hide_trap_flag(*x86::decode(nop, x86::Mode::amd64), regs, untouched);
  CHECK(untouched.value() == 0x346);
  CHECK(regs.r11 == 0x346);
  x86::hide_trap_flag(*x86::decode(syscall, x86::Mode::amd64), regs, untouched);
  CHECK(regs.r11 == 0x246);
  CHECK(untouched.value() == 0x346);
}
