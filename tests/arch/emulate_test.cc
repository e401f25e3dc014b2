#include "tests/arch/code.h"

namespace x86 {
namespace {

constexpr std::uint64_t carry = 1, parity = 4, zero = 0x40, sign = 0x80, overflow = 0x800;
constexpr Address site(0x40'1000);
constexpr std::uint64_t stack = 0x7fff'0000'1000;

GeneralRegisters registers64() {
  GeneralRegisters regs{};
  regs.cs = 0x33;
  regs.ss = 0x2b;
  regs.rsp = stack;
  regs.rip = 0xdead;  // not looked at
  return regs;
}

GeneralRegisters registers32() {
  GeneralRegisters regs = registers64();
  regs.cs = 0x23;
  regs.rsp = 0xffff'd000;
  return regs;
}

struct Run {
  GeneralRegisters regs;
  FakeMemory memory;
  bool done = false;

  explicit Run(Mode mode = Mode::amd64)
      : regs(mode == Mode::amd64 ? registers64() : registers32()) {
    memory.map(regs.rsp - 0x40, 0x80);
  }
  void operator()(std::string_view bytes, Address at = site) {
    const Mode mode = regs.cs == 0x33 ? Mode::amd64 : Mode::i386;
    done = emulate(Emulate{decoded(bytes, mode)}, at, regs, memory);
  }
};

TEST_CASE("emulate: nop") {
  Run run;
  auto expected = run.regs;
  run("66 0f 1f 84 00 00 00 00 00");
  expected.rip = site.value() + 9;
  CHECK(run.done);
  CHECK(run.regs == expected);
}

TEST_CASE("emulate: jcc") {
  struct Row {
    std::uint8_t opcode;
    std::uint64_t taken, not_taken;  // flags that make it so
  };
  const Row rows[] = {
      {0x70, overflow, ~overflow},   {0x72, carry, ~carry},
      {0x74, zero, ~zero},           {0x76, carry, ~(carry | zero)},
      {0x76, zero, ~(carry | zero)}, {0x78, sign, ~sign},
      {0x7a, parity, ~parity},       {0x7c, sign, sign | overflow},
      {0x7c, overflow, 0},           {0x7e, zero, 0},
      {0x7e, sign, sign | overflow}, {0x7e, zero | sign | overflow, sign | overflow},
  };
  for (const auto& row : rows) {
    for (int negated = 0; negated < 2; negated++) {
      const std::uint8_t bytes[] = {static_cast<std::uint8_t>(row.opcode | negated), 0x10};
      for (const bool taken : {false, true}) {
        INFO(hex(bytes) << (taken ? " taken" : " not taken"));
        Run run;
        run.regs.eflags = taken ? row.taken : row.not_taken;
        run.regs.eflags &= 0x8d5;
        run(hex(bytes));
        const bool jumps = taken != (negated != 0);
        CHECK(run.regs.rip == site.value() + 2 + (jumps ? 0x10 : 0));
      }
    }
  }
}

TEST_CASE("emulate: distances") {
  struct Row {
    std::string_view bytes;
    std::uint64_t target;
  };
  const Row rows[] = {
      {"eb 80", 0x40'1002 - 128},
      {"eb 7f", 0x40'1002 + 127},
      {"75 80", 0x40'1002 - 128},
      {"75 7f", 0x40'1002 + 127},
      {"0f 85 80 ff ff ff", 0x40'1006 - 128},
      {"e9 fb ef bf ff", 0},
      {"e9 fa ef bf ff", 0xffff'ffff'ffff'ffff},
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    Run run;
    run(row.bytes);
    CHECK(run.done);
    CHECK(run.regs.rip == row.target);
  }
  Run narrow(Mode::i386);
  narrow("e9 fa ef bf ff");
  CHECK(narrow.regs.rip == 0xffff'ffff);
}

TEST_CASE("emulate: loop") {
  constexpr std::uint64_t high = 0x1'0000'0000;
  struct Row {
    std::string_view bytes;
    Mode mode;
    std::uint64_t rcx, eflags, rcx_after;
    bool jumps;
  };
  constexpr auto w = Mode::amd64;
  constexpr auto n = Mode::i386;
  const Row rows[] = {
      {"e2 10", w, 1, 0, 0, false},
      {"e2 10", w, 0, 0, ~std::uint64_t{0}, true},
      {"e2 10", w, high, 0, high - 1, true},
      {"67 e2 10", w, high | 1, 0, 0, false},  // ecx; rcx is zero-extended
      {"67 e2 10", w, high, 0, 0xffff'ffff, true},
      {"e1 10", w, 2, zero, 1, true},
      {"e1 10", w, 2, 0, 1, false},
      {"e0 10", w, 2, zero, 1, false},
      {"e0 10", w, 2, 0, 1, true},
      {"e0 10", w, 1, 0, 0, false},
      {"e3 10", w, 0, 0, 0, true},  // jrcxz
      {"e3 10", w, high, 0, high, false},
      {"67 e3 10", w, high, 0, high, true},  // jecxz; rcx is not written
      {"e2 10", n, 0, 0, 0xffff'ffff, true},
      {"67 e2 10", n, 0x7'0000, 0, 0x7'ffff, true},  // cx; the rest of ecx stays
      {"67 e2 10", n, 0x7'0001, 0, 0x7'0000, false},
      {"67 e3 10", n, 0x7'0000, 0, 0x7'0000, true},  // jcxz
      {"e3 10", n, 0x7'0000, 0, 0x7'0000, false},
  };
  for (const auto& row : rows) {
    INFO(row.bytes << " rcx " << row.rcx);
    Run run(row.mode);
    run.regs.rcx = row.rcx;
    run.regs.eflags = row.eflags;
    run(row.bytes);
    CHECK(run.regs.rcx == row.rcx_after);
    CHECK(run.regs.rip == site.value() + code(row.bytes).size() + (row.jumps ? 0x10 : 0));
  }
}

TEST_CASE("emulate: call") {
  Run run;
  run("e8 00 01 00 00");
  CHECK(run.done);
  CHECK(run.regs.rip == site.value() + 5 + 0x100);
  CHECK(run.regs.rsp == stack - 8);
  CHECK(run.memory.word(stack - 8) == site.value() + 5);

  Run through_stack_pointer;
  through_stack_pointer("ff d4");  // call *%rsp: the target is read before the push
  CHECK(through_stack_pointer.regs.rip == stack);
  CHECK(through_stack_pointer.regs.rsp == stack - 8);

  Run extended;
  extended.regs.r11 = 0x1234;
  extended("41 ff d3");  // call *%r11
  CHECK(extended.regs.rip == 0x1234);
  CHECK(extended.memory.word(stack - 8) == site.value() + 3);

  Run narrow(Mode::i386);
  narrow.memory.set_word(0xffff'd000 - 8, 0x1111'1111, 4);
  narrow("e8 00 00 00 00");  // call next, the way i386 code finds its own address
  CHECK(narrow.regs.rip == site.value() + 5);
  CHECK(narrow.regs.rsp == 0xffff'd000 - 4);
  CHECK(narrow.memory.word(0xffff'd000 - 4, 4) == site.value() + 5);
  CHECK(narrow.memory.word(0xffff'd000 - 8, 4) == 0x1111'1111);
}

TEST_CASE("emulate: call *mem") {
  constexpr std::uint64_t low = 0x1'0000, high = 0x7000'0000'0000;
  const struct {
    std::string_view bytes;
    std::uint64_t operand;
  } rows[] = {
      {"ff 15 ea 00 00 00", 0x40'10f0},          // call *0xff4(%rip)
      {"41 ff 15 e9 00 00 00", 0x40'10f0},       // REX.B does not count
      {"67 ff 15 e9 00 00 00", 0x40'10f0},       // (%eip)
      {"66 48 ff 15 e8 00 00 00", 0x40'10f0},    // data16 rex.W
      {"ff 10", low},                            // (%rax)
      {"ff 50 f8", low - 8},                     // -8(%rax)
      {"ff 90 00 10 00 00", low + 0x1000},       // 0x1000(%rax)
      {"41 ff 10", low + 0x80},                  // (%r8)
      {"41 ff 55 00", low + 0x280},              // 0(%r13)
      {"ff 14 24", stack},                       // (%rsp)
      {"ff 54 24 08", stack + 8},                // 8(%rsp)
      {"ff 54 24 f8", stack - 8},                // -8(%rsp), where the return address goes
      {"41 ff 14 24", low + 0x180},              // (%r12)
      {"ff 14 c8", low + 8 * 3},                 // (%rax,%rcx,8)
      {"42 ff 14 20", low + low + 0x180},        // (%rax,%r12)
      {"42 ff 14 60", low + 2 * (low + 0x180)},  // (%rax,%r12,2)
      {"ff 14 cd 00 02 00 00", 0x200 + 8 * 3},   // 0x200(,%rcx,8)
      {"43 ff 14 cd 00 02 00 00", 0x200 + 8 * (low + 0x100)},  // 0x200(,%r9,8)
      {"ff 14 25 00 80 00 00", 0x8000},                        // 0x8000
      {"ff 12", high},                                         // (%rdx)
      {"67 ff 10", low},                                       // (%eax)
      {"67 ff 53 10", 0x10},                       // 0x10(%ebx), whose upper half does not count
      {"67 ff 57 f0", 0xffff'fff0},                // -0x10(%edi)
      {"64 ff 14 25 10 00 00 00", high + 0x1010},  // %fs:0x10
      {"65 ff 10", high + 0x2000 + low},           // %gs:(%rax)
      {"64 67 ff 57 f0", high + 0x1000 + 0xffff'fff0},
      {"3e 2e 2e ff 10", 0},  // two segments
      {"3e 3e ff 10", low},
      {"2e ff 54 24 08", stack + 8},
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    Run run;
    run.regs.rax = low, run.regs.rcx = 3, run.regs.rdx = high, run.regs.rdi = 0;
    run.regs.rbx = 0xffff'ffff'0000'0000;
    run.regs.r8 = low + 0x80, run.regs.r9 = low + 0x100, run.regs.r12 = low + 0x180;
    run.regs.r13 = low + 0x280;
    run.regs.fs_base = high + 0x1000, run.regs.gs_base = high + 0x2000;
    if (row.operand != 0) run.memory.set_word(row.operand, 0x1234'5678'9abc);
    auto expected = run.regs;
    const auto word = emulated_operand(decoded(row.bytes), site, run.regs);
    CHECK(word.at == Address(row.operand));
    CHECK(int{word.size} == (row.operand != 0 ? 8 : 0));
    run(row.bytes);
    CHECK(run.done == (row.operand != 0));
    if (!run.done) continue;
    expected.rip = 0x1234'5678'9abc;
    expected.rsp -= 8;
    CHECK(run.regs == expected);
    CHECK(run.memory.word(stack - 8) == site.value() + code(row.bytes).size());
  }
}

TEST_CASE("emulate: i386 call *mem") {
  constexpr std::uint64_t stack32 = 0xffff'd000;
  const struct {
    std::string_view bytes;
    std::uint64_t operand;  // 0: refused
  } rows[] = {
      {"ff 10", 0x1'0000},               // (%eax)
      {"ff 15 00 80 00 00", 0x8000},     // 0x8000
      {"ff 14 8d 00 80 00 00", 0x800c},  // 0x8000(,%ecx,4)
      {"ff 53 20", 0x10},                // 0x20(%ebx), wraps
      {"ff 54 24 fc", stack32 - 4},      // -4(%esp)
      {"3e ff 10", 0x1'0000},            // %ds:(%eax)
      {"65 ff 15 10 00 00 00", 0},       // %gs:0x10: may have a limit
      {"2e ff 10", 0},                   // %cs:(%eax)
      {"67 ff 17", 0},                   // (%bx)
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    Run run(Mode::i386);
    run.regs.rax = 0x1'0000, run.regs.rcx = 3, run.regs.rbx = 0xffff'fff0;
    run.regs.ds = 0x2b;
    run.regs.gs_base = 0x1000;
    run.memory.map(0, 0x2000);
    if (row.operand != 0) run.memory.set_word(row.operand, 0x8765'4321, 4);
    run(row.bytes);
    CHECK(run.done == (row.operand != 0));
    if (!run.done) continue;
    CHECK(run.regs.rip == 0x8765'4321);
    CHECK(run.regs.rsp == stack32 - 4);
    CHECK(run.memory.word(stack32 - 4, 4) == site.value() + code(row.bytes).size());
  }
}

TEST_CASE("emulate: ret") {
  Run run;
  run.memory.set_word(stack, 0x5000);
  run("c2 10 00");  // ret $16
  CHECK(run.regs.rip == 0x5000);
  CHECK(run.regs.rsp == stack + 8 + 16);

  Run far_adjustment;
  far_adjustment.memory.set_word(stack, 0x5000);
  far_adjustment("c2 00 80");  // ret $0x8000 is unsigned
  CHECK(far_adjustment.regs.rsp == stack + 8 + 0x8000);

  Run narrow(Mode::i386);
  narrow.memory.set_word(0xffff'd000, 0x8765'4321, 4);
  narrow("c3");
  CHECK(narrow.regs.rip == 0x8765'4321);
  CHECK(narrow.regs.rsp == 0xffff'd004);
}

TEST_CASE("emulate: jmp *%reg") {
  Run run;
  run.regs.rax = 0x1234'5678'9abc;
  run("3e ff e0");
  CHECK(run.regs.rip == 0x1234'5678'9abc);
}

TEST_CASE("emulate: push") {
  Run run;
  run.regs.rbp = 0x1122'3344'5566'7788;
  run("55");
  CHECK(run.memory.word(stack - 8) == 0x1122'3344'5566'7788);
  CHECK(run.regs.rip == site.value() + 1);
  run("54");  // push %rsp stores the value before the push
  CHECK(run.memory.word(stack - 16) == stack - 8);

  Run narrow(Mode::i386);
  narrow.regs.rbp = 0x1122'3344;
  narrow("55");
  CHECK(narrow.memory.word(0xffff'd000 - 4, 4) == 0x1122'3344);
}

TEST_CASE("emulate: lea") {
  Run run;
  run.regs.rax = run.regs.r9 = run.regs.rcx = ~std::uint64_t{0};
  run("48 8d 05 f9 ff ff ff");  // lea -7(%rip), %rax
  CHECK(run.regs.rax == site.value());
  run("44 8d 0d 00 00 00 00", Address(0x5555'8000'0000));  // lea 0(%rip), %r9d
  CHECK(run.regs.r9 == 0x8000'0007);
  run("66 8d 0d 00 00 00 00");  // lea 0(%rip), %cx
  CHECK(run.regs.rcx == 0xffff'ffff'ffff'1007);
  run("67 48 8d 05 00 00 00 00", Address(0x5555'ffff'fffc));  // lea 0(%eip), %rax
  CHECK(run.regs.rax == 4);
}

TEST_CASE("emulate: the word of the stack that is accessed for the program") {
  const struct {
    std::string_view bytes;
    std::uint64_t at;
    int size;
  } rows[] = {
      {"e8 00 00 00 00", 0x6ff8, 8},  // call
      {"ff d0", 0x6ff8, 8},           // call *%rax
      {"ff 10", 0x6ff8, 8},           // call *(%rax)
      {"55", 0x6ff8, 8},              // push %rbp
      {"c3", 0x7000, 8},              // ret
      {"c2 10 00", 0x7000, 8},        // ret $16
      {"eb 00", 0, 0},
      {"74 00", 0, 0},
      {"ff 20", 0, 0},  // jmp *(%rax)
      {"90", 0, 0},
      {"48 89 03", 0, 0},  // mov %rax, (%rbx): by the processor
  };
  GeneralRegisters regs{};
  regs.rsp = 0x7000;
  for (const auto& row : rows) {
    INFO(row.bytes);
    const auto word = stack_word(decoded(row.bytes), regs);
    CHECK(word.at == Address(row.at));
    CHECK(int{word.size} == row.size);
  }
  regs.rsp = 2;
  const auto wrapped = stack_word(decoded("55", Mode::i386), regs);
  CHECK(wrapped.at == Address(0xffff'fffe));
  CHECK(int{wrapped.size} == 4);
}

TEST_CASE("emulate: refuses what the processor might fault on") {
  const auto refused = [](std::string_view bytes, auto change, Mode mode = Mode::amd64) {
    INFO(bytes);
    Run run(mode);
    change(run);
    const auto before = run.regs;
    const auto memory_before = run.memory.bytes;
    run(bytes);
    CHECK_FALSE(run.done);
    CHECK(run.regs == before);
    CHECK(run.memory.bytes == memory_before);
  };
  const auto no_stack = [](Run& run) { run.memory.bytes.clear(); };
  refused("e8 00 00 00 00", no_stack);
  refused("ff d0", no_stack);
  refused("c3", no_stack);
  refused("55", no_stack);
  // a word across a page end, of which half may be there
  refused("55", [](Run& run) { run.regs.rsp += 4; });
  // targets that are no canonical address: the fault is at the branch, nothing is pushed
  const auto bad_rax = [](Run& run) { run.regs.rax = 0x8000'0000'0000; };
  refused("ff e0", bad_rax);
  refused("ff d0", bad_rax);
  refused("c3", [](Run& run) { run.memory.set_word(stack, 0xffff'0000'0000'0000); });
  // call *mem: an operand that is not there or crosses a page, a bad target, no room for the push
  refused("ff 10", [](Run& run) { run.regs.rax = 0x5000; });
  refused("ff 10", [](Run& run) {
    run.regs.rax = 0x5ffc;
    run.memory.map(0x5000, 0x2000);
  });
  refused("ff 14 24", [](Run& run) { run.memory.set_word(stack, 0x8000'0000'0000); });
  refused("ff 10", [](Run& run) {
    run.memory.bytes.clear();
    run.regs.rax = 0x5000;
    run.memory.map(0x5000, 8);
  });
  refused("ff 10", [](Run& run) {
    run.memory.map(0x5000, 16);
    run.regs.rax = 0x5001;
    run.regs.eflags |= 1u << 18;
  });
  refused(
      "ff 10", [](Run& run) { run.memory.map(run.regs.rax = 0x5000, 8), run.regs.ds = 0x7; },
      Mode::i386);
  // alignment checking
  refused("55", [](Run& run) { run.regs.eflags |= 1u << 18, run.regs.rsp -= 1; });
  // a stack segment with a base, a code segment that is not the kernel's
  refused(
      "55", [](Run& run) { run.regs.ss = 0x7; }, Mode::i386);
  refused(
      "90", [](Run& run) { run.regs.cs = 0x7; }, Mode::i386);
}

}  // namespace
}  // namespace x86
