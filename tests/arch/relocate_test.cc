// Input bytes to exact slot bytes.
#include "tests/arch/code.h"

namespace x86 {
namespace {

constexpr Address site(0x5555'5555'5000);
constexpr Address near_slot(0x5555'4555'4000);  // 0x1000'1000 below the site
constexpr Address far_slot(0x7fff'f000'0000);
constexpr Address site32(0x0804'9000), slot32(0xf7ff'0000);

struct Row {
  std::string_view instruction;
  std::string_view slot;
  int executed;
  int scratch = -1;
};

void check(const Row& row, Mode mode, Address at, Address slot, Ending ending) {
  INFO(row.instruction);
  const auto code = relocate(decoded(row.instruction, mode), at, slot, ending);
  REQUIRE(code.has_value());
  CHECK(hex(std::span(code->bytes).first(code->size)) == row.slot);
  CHECK(int{code->executed} == row.executed);
  CHECK((code->scratch ? int{*code->scratch} : -1) == row.scratch);
}

TEST_CASE("relocate: plain") {
  const Row rows[] = {
      // add %rax, %rbx; jmp site+3
      {"48 01 c3", "48 01 c3 e9 fb 0f 00 10", 3},
      // rep movsb %ds:(%rsi), %es:(%rdi)
      {"f3 a4", "f3 a4 e9 fb 0f 00 10", 2},
      // lock incl %gs:0x10(%rdi, %rcx, 8), with the prefixes in an odd order
      {"65 f0 ff 44 cf 10", "65 f0 ff 44 cf 10 e9 fb 0f 00 10", 6},
      // pop %rsp; push 8(%rsp)
      {"5c", "5c e9 fb 0f 00 10", 1},
      {"ff 74 24 08", "ff 74 24 08 e9 fb 0f 00 10", 4},
      // pushf
      {"9c", "9c e9 fb 0f 00 10", 1},
      // ret, push %rbp: what emulation falls back to
      {"c3", "c3 e9 fb 0f 00 10", 1},
      {"55", "55 e9 fb 0f 00 10", 1},
  };
  for (const auto& row : rows) check(row, Mode::amd64, site, near_slot, Ending::jump_back);
}

TEST_CASE("relocate: RIP-relative") {
  const Row rows[] = {
      // mov 0x12345678(%rip), %rax -> mov 0x22346678(%rip), %rax
      {"48 8b 05 78 56 34 12", "48 8b 05 78 66 34 22 e9 fb 0f 00 10", 7},
      // shlq %cl, 0x12345678(%rip)
      {"48 d3 25 78 56 34 12", "48 d3 25 78 66 34 22 e9 fb 0f 00 10", 7},
      // shll $7, 0x1234567(%rip): the immediate lies behind the displacement
      {"c1 25 67 45 23 01 07", "c1 25 67 55 23 11 07 e9 fb 0f 00 10", 7},
      // lock cmpxchg16b 0x10(%rip)
      {"f0 48 0f c7 0d 10 00 00 00", "f0 48 0f c7 0d 10 10 00 10 e9 fb 0f 00 10", 9},
      // vaddps 0x10(%rip), %xmm0, %xmm0, with VEX and EVEX
      {"c5 f8 58 05 10 00 00 00", "c5 f8 58 05 10 10 00 10 e9 fb 0f 00 10", 8},
      {"62 f1 7c 48 58 05 10 00 00 00", "62 f1 7c 48 58 05 10 10 00 10 e9 fb 0f 00 10", 10},
      // vprotb %xmm0, 0x10(%rip), %xmm0 (XOP)
      {"8f e9 78 90 05 10 00 00 00", "8f e9 78 90 05 10 10 00 10 e9 fb 0f 00 10", 9},
      // pfadd 0x10(%rip), %mm0: the 3DNow! opcode is behind the displacement
      {"0f 0f 05 10 00 00 00 9e", "0f 0f 05 10 10 00 10 9e e9 fb 0f 00 10", 8},
      // 15 bytes: lock addl $0x12345678, %gs:0x10(%rip)
      {"65 65 65 65 f0 81 05 10 00 00 00 78 56 34 12",
       "65 65 65 65 f0 81 05 10 10 00 10 78 56 34 12 e9 fb 0f 00 10", 15},
      // mov 0x10(%eip), %rax
      {"67 66 48 8b 05 10 00 00 00", "67 66 48 8b 05 10 10 00 10 e9 fb 0f 00 10", 9},
      // jmp *0x12345678(%rip): leaves by itself
      {"ff 25 78 56 34 12", "ff 25 78 66 34 22 e9 fb 0f 00 10", 6},
  };
  for (const auto& row : rows) check(row, Mode::amd64, site, near_slot, Ending::jump_back);
}

TEST_CASE("relocate: operand out of reach, through a scratch register") {
  const Row rows[] = {
      // mov x(%rip), %rax -> mov 0(%rcx), %rax; REX.B of the second means nothing until then
      {"48 8b 05 78 56 34 12", "48 8b 81 00 00 00 00 cc", 7, 1},
      {"4d 8b 05 78 56 34 12", "4c 8b 80 00 00 00 00 cc", 7, 0},
      // shlq %cl, x(%rip) -> shlq %cl, (%rax)
      {"48 d3 25 78 56 34 12", "48 d3 a0 00 00 00 00 cc", 7, 0},
      // shll $7, x(%rip) -> shll $7, (%rax)
      {"c1 25 67 45 23 01 07", "c1 a0 00 00 00 00 07 cc", 7, 0},
      // lock cmpxchg16b x(%rip) -> lock cmpxchg16b (%rsi)
      {"f0 48 0f c7 0d 10 00 00 00", "f0 48 0f c7 8e 00 00 00 00 cc", 9, 6},
      // mov x(%rip), %ah -> mov (%rcx), %ah, which no REX may touch
      {"8a 25 10 00 00 00", "8a a1 00 00 00 00 cc", 6, 1},
      // mulx x(%rip), %rax, %rsi -> mulx (%rcx), ... since rdx is read
      {"c4 e2 fb f6 35 00 00 00 00", "c4 e2 fb f6 b1 00 00 00 00 cc", 9, 1},
      // vaddps, two-byte VEX, three-byte VEX with B, EVEX with B
      {"c5 f8 58 05 10 00 00 00", "c5 f8 58 80 00 00 00 00 cc", 8, 0},
      {"c4 c1 78 58 05 10 00 00 00", "c4 e1 78 58 80 00 00 00 00 cc", 9, 0},
      {"62 d1 7c 48 58 05 10 00 00 00", "62 f1 7c 48 58 80 00 00 00 00 cc", 10, 0},
      // vprotb, XOP with B
      {"8f c9 78 90 05 10 00 00 00", "8f e9 78 90 80 00 00 00 00 cc", 9, 0},
      // xsave x(%rip) reads edx:eax
      {"0f ae 25 00 00 00 00", "0f ae a1 00 00 00 00 cc", 7, 1},
      // 67h: any distance is within 32 bits
      {"67 8b 05 10 00 00 00", "67 8b 05 10 50 55 65 cc", 7},
  };
  for (const auto& row : rows) check(row, Mode::amd64, site, far_slot, Ending::trap);

  const auto mov = decoded("48 8b 05 78 56 34 12");
  CHECK(relocate(mov, site, far_slot, Ending::trap)->scratch_value ==
        mov.operand_address(site).value());
  CHECK_FALSE(relocate(mov, site, far_slot, Ending::jump_back));
}

TEST_CASE("relocate: the edge of reach") {
  // mov disp(%rip), %rax; 7 bytes; the slot 2 GiB below its operand, exactly.
  const auto mov = decoded("48 8b 05 00 00 00 00");
  const Address operand = mov.operand_address(site);
  CHECK(relocate(mov, site, operand - 7 - 0x7fff'ffff, Ending::jump_back));
  CHECK_FALSE(relocate(mov, site, operand - 7 - 0x8000'0000, Ending::jump_back));
  CHECK(relocate(mov, site, operand - 7 + 0x8000'0000, Ending::jump_back));
  CHECK_FALSE(relocate(mov, site, operand - 7 + 0x8000'0001, Ending::jump_back));
}

TEST_CASE("relocate: far jump back") {
  // add %rax, %rbx; jmp *7(%rip); int3 ...; .quad site + 3, aligned
  check({"48 01 c3", "48 01 c3 ff 25 07 00 00 00 cc cc cc cc cc cc cc 03 50 55 55 55 55 00 00", 3},
        Mode::amd64, site, far_slot, Ending::jump_back);
}

TEST_CASE("relocate: call *mem") {
  const Row rows[] = {
      // call *8(%rsp) -> mov 8(%rsp), %rax; int3; int3; push $0x55555004; movl $0x5555, 4(%rsp);
      // int3; int3; jmp *%rax
      {"ff 54 24 08", "48 8b 44 24 08 cc cc 68 04 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 5,
       0},
      // call *(%rcx, %rax, 8) -> mov (%rcx, %rax, 8), %rdx
      {"ff 14 c1", "48 8b 14 c1 cc cc 68 03 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e2", 4, 2},
      // call *(%r9, %r8, 8)
      {"43 ff 14 c1", "4b 8b 04 c1 cc cc 68 04 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 4, 0},
      // call *%fs:0x30
      {"64 ff 14 25 30 00 00 00",
       "64 48 8b 04 25 30 00 00 00 cc cc 68 08 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 9, 0},
      // notrack bnd call *(%rax): bnd is dropped
      {"3e f2 ff 10", "3e 48 8b 08 cc cc 68 04 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e1", 4, 1},
      // call *0x100(%rip), and as in TLS code data16 rex.W call *0x100(%rip)
      {"ff 15 00 01 00 00",
       "48 8b 05 ff 10 00 10 cc cc 68 06 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 7, 0},
      {"66 48 ff 15 00 01 00 00",
       "48 8b 05 01 11 00 10 cc cc 68 08 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 7, 0},
  };
  for (const auto& row : rows) check(row, Mode::amd64, site, near_slot, Ending::trap);
  // call *0x100(%rip) -> mov (%rax), %rax
  check({"ff 15 00 01 00 00",
         "48 8b 80 00 00 00 00 cc cc 68 06 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 7, 0},
        Mode::amd64, site, far_slot, Ending::trap);
  check({"41 ff 15 00 01 00 00",
         "48 8b 80 00 00 00 00 cc cc 68 07 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 7, 0},
        Mode::amd64, site, far_slot, Ending::trap);
  CHECK_FALSE(relocate(decoded("ff 10"), site, near_slot, Ending::jump_back));
}

TEST_CASE("relocate: an indirect branch of 15 bytes stays one when it gains a REX prefix") {
  const Row rows[] = {
      // es ... addr32 ss ... jmp *0x66(%edi) -> ss es addr32 mov 0x66(%edi), %rax
      {"26 26 26 26 67 26 26 26 36 26 26 67 ff 67 66", "36 26 67 48 8b 47 66 cc cc ff e0", 7, 0},
      // of the same prefixes, the last: fs is it (gs does not come after it)
      {"65 64 65 64 65 64 65 64 65 64 65 64 ff 67 08", "65 64 48 8b 47 08 cc cc ff e0", 6, 0},
      // all that may stand before an operand of six bytes, REX.X included
      {"26 2e 36 3e 65 64 67 42 ff a4 c8 44 33 22 11",
       "26 2e 36 3e 65 64 67 4a 8b 8c c8 44 33 22 11 cc cc ff e1", 15, 1},
  };
  for (const auto& row : rows) {
    check(row, Mode::amd64, site, near_slot, Ending::trap);
    CHECK(decoded(row.slot).length == row.executed);
  }
}

TEST_CASE("relocate: calls that may fault") {
  // call rel32 -> push $0x55555005; movl $0x5555, 4(%rsp)
  check({"e8 00 00 00 00", "68 05 50 55 55 c7 44 24 04 55 55 00 00 cc", 13}, Mode::amd64, site,
        near_slot, Ending::trap);
  // low addresses fit an immediate
  check({"e8 00 00 00 00", "68 05 10 40 00 cc", 5}, Mode::amd64, Address(0x40'1000),
        Address(0x50'0000), Ending::trap);
  // call *%rsp -> mov %rsp, %rax; call *%r11 -> mov %r11, %rax
  check({"ff d4", "48 8b c4 cc cc 68 02 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 3, 0},
        Mode::amd64, site, near_slot, Ending::trap);
  check({"41 ff d3", "49 8b c3 cc cc 68 03 50 55 55 c7 44 24 04 55 55 00 00 cc cc ff e0", 3, 0},
        Mode::amd64, site, near_slot, Ending::trap);
}

TEST_CASE("relocate: jmp *mem that stops at its target") {
  const Row rows[] = {
      // jmp *8(%r12) -> mov 8(%r12), %rax; int3; int3; jmp *%rax
      {"41 ff 64 24 08", "49 8b 44 24 08 cc cc ff e0", 5, 0},
      // jmp *(%rcx, %rax, 8) -> mov (%rcx, %rax, 8), %rdx
      {"ff 24 c1", "48 8b 14 c1 cc cc ff e2", 4, 2},
      // jmp *0x100(%rip) -> mov 0x100(%rip), %rax
      {"ff 25 00 01 00 00", "48 8b 05 ff 10 00 10 cc cc ff e0", 7, 0},
  };
  for (const auto& row : rows) check(row, Mode::amd64, site, near_slot, Ending::trap);
  // out of reach: mov (%rax), %rax
  check({"ff 25 00 01 00 00", "48 8b 80 00 00 00 00 cc cc ff e0", 7, 0}, Mode::amd64, site,
        far_slot, Ending::trap);
  CHECK_FALSE(relocate(decoded("ff 25 00 01 00 00"), site, far_slot, Ending::jump_back));
}

TEST_CASE("relocate: xbegin") {
  // xbegin site+0x1006; jmp site+6
  check({"c7 f8 00 10 00 00", "c7 f8 00 20 00 10 e9 fb 0f 00 10", 6}, Mode::amd64, site, near_slot,
        Ending::jump_back);
  // to a second int3
  check({"c7 f8 00 10 00 00", "c7 f8 02 00 00 00 cc cc cc", 6}, Mode::amd64, site, near_slot,
        Ending::trap);
  // out of reach: xbegin 1f; jmp *4(%rip) to site+6; 1: jmp *2(%rip) to site+0x1006
  check({"c7 f8 00 10 00 00",
         "c7 f8 12 00 00 00 ff 25 04 00 00 00 cc cc cc cc 06 50 55 55 55 55 00 00 "
         "ff 25 02 00 00 00 cc cc 06 60 55 55 55 55 00 00",
         6},
        Mode::amd64, site, far_slot, Ending::jump_back);
}

TEST_CASE("relocate: two-way") {
  // rep loopne site-0x10 -> rep loopne 1f; int3; int3; 1: int3
  check({"f3 e0 ee", "f3 e0 02 cc cc cc", 3}, Mode::amd64, site, near_slot, Ending::trap);
  // jne, rel32
  check({"0f 85 00 00 00 40", "0f 85 02 00 00 00 cc cc cc", 6}, Mode::amd64, site, near_slot,
        Ending::trap);
  CHECK_FALSE(relocate(decoded("f3 e0 ee"), site, near_slot, Ending::jump_back));
}

TEST_CASE("relocate: i386") {
  const Row boosted[] = {
      // mov 0x804a000, %eax: absolute in i386 code
      {"8b 05 00 a0 04 08", "8b 05 00 a0 04 08 e9 fb 8f 05 10", 6},
      // incl (%bx, %si), 16-bit addressing
      {"67 ff 00", "67 ff 00 e9 fb 8f 05 10", 3},
  };
  for (const auto& row : boosted) check(row, Mode::i386, site32, slot32, Ending::jump_back);
  const Row trapped[] = {
      // call *4(%eax) -> mov 4(%eax), %ecx
      {"ff 50 04", "8b 48 04 cc cc 68 03 90 04 08 cc cc ff e1", 3, 1},
      // call *%gs:0x10 -> mov %gs:0x10, %eax
      {"65 ff 15 10 00 00 00", "65 8b 05 10 00 00 00 cc cc 68 07 90 04 08 cc cc ff e0", 7, 0},
      // call *%esp -> mov %esp, %eax
      {"ff d4", "8b c4 cc cc 68 02 90 04 08 cc cc ff e0", 2, 0},
      // jmp *4(%esp) -> mov 4(%esp), %eax
      {"ff 64 24 04", "8b 44 24 04 cc cc ff e0", 4, 0},
      {"cd 80", "cd 80 cc", 2},
  };
  for (const auto& row : trapped) check(row, Mode::i386, site32, slot32, Ending::trap);
}

// An int3 behind them is never reached: whoever wants control back steps the other form.
TEST_CASE("relocate: leaves") {
  for (const auto* bytes : {"c3", "c2 08 00", "f3 c3", "ff e0", "41 ff e3", "0f 34"}) {
    INFO(bytes);
    const auto instruction = decoded(bytes);
    CHECK_FALSE(relocate(instruction, site, near_slot, Ending::trap));
    const auto left = relocate(instruction, site, near_slot, Ending::jump_back);
    REQUIRE(left);
    CHECK(hex(std::span(left->bytes).first(left->executed)) == bytes);
  }
  CHECK_FALSE(relocate(decoded("0f 05", Mode::i386), site32, slot32, Ending::trap));
  CHECK(relocate(decoded("0f 05", Mode::i386), site32, slot32, Ending::jump_back));
}

TEST_CASE("relocate: what has no slot form") {
  for (const auto* bytes : {"eb 00", "66 e8 00 00 00 00", "48 cf", "cb"}) {
    INFO(bytes);
    CHECK_FALSE(relocate(decoded(bytes), site, near_slot, Ending::trap));
  }
}

TEST_CASE("relocate: every opcode fits a slot, near and far, and a near copy has its length") {
  // One- and two-byte opcodes with a RIP-relative ModRM and room for any immediate.
  for (int escape = 0; escape < 2; escape++) {
    for (int opcode = 0; opcode < 256; opcode++) {
      std::vector<std::uint8_t> bytes;
      if (escape) bytes.push_back(0x0f);
      bytes.push_back(static_cast<std::uint8_t>(opcode));
      for (const auto b : code("05 44 33 22 11 01 02 03 04 05 06 07 08")) bytes.push_back(b);
      const auto instruction = decode(bytes, Mode::amd64);
      if (!instruction || !instruction->rip_relative) continue;
      INFO(hex(bytes));
      const auto near_copy = relocate(*instruction, site, near_slot, Ending::trap);
      if (instruction->kind == Kind::far_transfer) continue;
      REQUIRE(near_copy);
      if (near_copy->scratch) continue;
      const auto copied =
          decode(std::span(near_copy->bytes).first(near_copy->executed), Mode::amd64);
      REQUIRE(copied);
      CHECK(copied->operand_address(near_slot) == instruction->operand_address(site));
      const auto far_copy = relocate(*instruction, site, far_slot, Ending::trap);
      REQUIRE(far_copy);
      REQUIRE(far_copy->scratch);
      const RegisterMask used = instruction->registers_read | instruction->registers_written;
      CHECK((used >> *far_copy->scratch & 1) == 0);
    }
  }
}

}  // namespace
}  // namespace x86
