#include "tests/arch/code.h"

namespace x86 {
namespace {

constexpr RegisterMask rax = 1, rcx = 2, rdx = 4, rbx = 8, rsp = 16, rsi = 64, rdi = 128;

TEST_CASE("decode: kinds") {
  struct Row {
    std::string_view bytes;
    Mode mode;
    Kind kind;
  };
  constexpr auto w = Mode::amd64;
  constexpr auto n = Mode::i386;
  const Row rows[] = {
      {"90", w, Kind::no_operation},
      {"66 0f 1f 44 00 00", w, Kind::no_operation},
      {"f3 0f 1e fa", w, Kind::no_operation},  // endbr64
      {"0f 0d e9", w, Kind::plain},            // invalid on some, as are the next two
      {"0f 1a c0", w, Kind::plain},
      {"0f 1e c0", w, Kind::plain},
      {"f3 90", w, Kind::plain},  // pause
      {"41 90", w, Kind::plain},  // xchg %eax, %r8d
      {"d9 d0", w, Kind::x87},    // fnop
      {"9b", w, Kind::plain},     // fwait
      {"eb fe", w, Kind::jump},
      {"e9 00 00 00 00", w, Kind::jump},
      {"74 80", w, Kind::conditional_jump},
      {"0f 8f 00 00 00 00", w, Kind::conditional_jump},
      {"2e 74 00", w, Kind::conditional_jump},  // with a branch hint
      {"f2 75 00", w, Kind::conditional_jump},  // bnd
      {"e0 00", w, Kind::count_jump},
      {"67 e3 00", w, Kind::count_jump},
      {"f3 e2 00", w, Kind::count_jump},
      {"f3 e0 00", w, Kind::repeated_loop},
      {"f2 67 e1 00", w, Kind::repeated_loop},
      {"e8 00 00 00 00", w, Kind::call},
      {"ff d0", w, Kind::call_register},
      {"3e ff d0", w, Kind::call_register},  // notrack
      {"ff 54 24 08", w, Kind::call_memory},
      {"41 ff e4", w, Kind::jump_register},
      {"ff 24 c5 00 00 00 00", w, Kind::jump_memory},
      {"c3", w, Kind::near_return},
      {"f3 c3", w, Kind::near_return},
      {"c2 08 00", w, Kind::near_return},
      {"55", w, Kind::push_register},
      {"66 55", w, Kind::plain},  // push %bp
      {"ff f5", w, Kind::plain},  // push %rbp, the long way
      {"0f a0", w, Kind::plain},  // push %fs
      {"48 8d 05 00 00 00 00", w, Kind::address_of},
      {"48 8d 04 25 00 00 00 00", w, Kind::plain},  // lea 0, %rax
      {"0f 05", w, Kind::system_call},
      {"0f 05", n, Kind::vdso_system_call},
      {"0f 34", w, Kind::vdso_system_call},
      {"0f 34", n, Kind::vdso_system_call},
      {"cd 80", w, Kind::system_call},
      {"9d", w, Kind::load_flags},
      {"66 9d", w, Kind::load_flags},
      {"9c", w, Kind::plain},  // pushf
      {"8e d0", w, Kind::load_stack_segment},
      {"17", n, Kind::load_stack_segment},
      {"8e d8", w, Kind::plain},     // mov %eax, %ds
      {"0f b2 00", w, Kind::plain},  // lss
      {"c7 f8 00 00 00 00", w, Kind::begin_transaction},
      {"d9 e8", w, Kind::x87},
      {"cc", w, Kind::software_trap},
      {"cd 03", w, Kind::software_trap},
      {"f1", w, Kind::software_trap},
      {"ce", n, Kind::software_trap},  // into
      {"cd 21", w, Kind::expected_fault},
      {"0f 0b", w, Kind::expected_fault},
      {"f4", w, Kind::expected_fault},
      {"ec", w, Kind::expected_fault},
      {"0f 22 c0", w, Kind::expected_fault},
      {"48 cf", w, Kind::far_transfer},
      {"cb", w, Kind::far_transfer},
      {"ff 2d 00 00 00 00", w, Kind::far_transfer},
      {"ea 00 00 00 00 33 00", n, Kind::far_transfer},
      {"66 e8 00 00 00 00", w, Kind::narrow_branch},
      {"66 c3", w, Kind::narrow_branch},
      {"66 e8 00 00", n, Kind::narrow_branch},
      {"66 66 48 e8 00 00 00 00", w, Kind::call},         // data16 data16 rex.W call, of TLS code
      {"66 48 ff 15 00 00 00 00", w, Kind::call_memory},  // data16 rex.W call *x(%rip)
      {"48 66 c3", w, Kind::narrow_branch},               // a REX that is not last has no effect
      {"f3 a4", w, Kind::plain},
      {"f0 48 0f c7 0d 00 00 00 00", w, Kind::plain},
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    CHECK(static_cast<int>(decoded(row.bytes, row.mode).kind) == static_cast<int>(row.kind));
  }
}

TEST_CASE("decode: length, and bytes that are no instruction") {
  CHECK(decoded("90 90 90").length == 1);
  // 15 bytes: redundant segment prefixes before lock addl $0x12345678, %gs:0x10(%rip)
  CHECK(decoded("65 65 65 65 f0 81 05 10 00 00 00 78 56 34 12").length == 15);
  CHECK_FALSE(decode(code("65 65 65 65 65 f0 81 05 10 00 00 00 78 56 34 12"), Mode::amd64));
  CHECK_FALSE(decode(code("48 8b 05 10 00 00"), Mode::amd64));  // truncated
  CHECK_FALSE(decode(code("06"), Mode::amd64));                 // push %es, not in 64-bit code
  CHECK(decode(code("06"), Mode::i386));
  CHECK_FALSE(decode(code("f0 90"), Mode::amd64));  // lock nop
  CHECK_FALSE(decode({}, Mode::amd64));
}

TEST_CASE("decode: registers, hidden ones too") {
  struct Row {
    std::string_view bytes;
    RegisterMask read, written;
  };
  const Row rows[] = {
      {"48 d3 25 00 00 00 00", rcx, 0},                               // shlq %cl, x(%rip)
      {"48 0f c7 0d 00 00 00 00", rax | rcx | rdx | rbx, rax | rdx},  // cmpxchg16b x(%rip)
      {"0f c7 0d 00 00 00 00", rax | rcx | rdx | rbx, rax | rdx},     // cmpxchg8b x(%rip)
      {"48 f7 25 00 00 00 00", rax, rax | rdx},                       // mulq x(%rip)
      {"48 f7 35 00 00 00 00", rax | rdx, rax | rdx},                 // divq x(%rip)
      {"c4 e2 fb f6 35 00 00 00 00", rdx, rax | rsi},                 // mulx x(%rip), %rax, %rsi
      {"c4 e2 f0 f2 1d 00 00 00 00", rcx, rbx},                       // andn x(%rip), %rcx, %rbx
      {"c4 e2 f8 f7 1d 00 00 00 00", rax, rbx},                       // bextr %rax, x(%rip), %rbx
      {"8a 25 00 00 00 00", 0, rax},                                  // mov x(%rip), %ah
      {"0f b1 15 00 00 00 00", rax | rdx, rax},                       // cmpxchg %edx, x(%rip)
      {"0f ae 25 00 00 00 00", rax | rdx, 0},                         // xsave x(%rip)
      {"c4 e3 79 61 05 00 00 00 00 00", rax | rdx, rcx},              // vpcmpestri
      {"66 0f f7 c1", rdi, 0},                                        // maskmovdqu
      {"d7", rbx, rax},                                               // xlat
      {"f3 a4", rcx | rsi | rdi, rcx | rsi | rdi},                    // rep movsb
      {"ff 35 00 00 00 00", rsp, rsp},                                // push x(%rip)
  };
  for (const auto& row : rows) {
    INFO(row.bytes);
    const auto instruction = decoded(row.bytes);
    // Reading more than the processor does only narrows the choice of scratch registers.
    CHECK((instruction.registers_read & row.read) == row.read);
    CHECK((instruction.registers_written & row.written) == row.written);
    CHECK((instruction.registers_read | instruction.registers_written) == (row.read | row.written));
  }
}

TEST_CASE("decode: RIP-relative operands") {
  const auto plain = decoded("c1 25 67 45 23 01 07");  // shll $7, 0x1234567(%rip)
  CHECK(plain.rip_relative);
  CHECK(plain.displacement == 0x1234567);
  CHECK(plain.operand_address(Address(0x1000)) == Address(0x1000 + 7 + 0x1234567));
  const auto backwards = decoded("8b 05 fa ff ff ff");  // mov -6(%rip), %eax
  CHECK(backwards.operand_address(Address(0x1000)) == Address(0x1000));
  const auto narrow = decoded("67 8b 05 03 00 00 00");  // mov 3(%eip), %eax wraps at 32 bits
  CHECK(narrow.operand_address(Address(0x5555'ffff'fff8)) == Address(2));
  CHECK_FALSE(decoded("8b 05 00 00 00 00", Mode::i386).rip_relative);
  CHECK_FALSE(decoded("8b 04 25 00 00 00 00").rip_relative);  // mov 0, %eax by SIB
  CHECK_FALSE(decoded("0f 20 05").rip_relative);  // mov %cr0, %rbp: mod of moves to cr is ignored
}

TEST_CASE("decode: branch targets") {
  CHECK(decoded("74 80").branch_target(Address(0x1000)) == Address(0x1002 - 128));
  CHECK(decoded("74 7f").branch_target(Address(0x1000)) == Address(0x1002 + 127));
  CHECK(decoded("e9 00 00 00 80").branch_target(Address(0x5555'0000'0000)) ==
        Address(0x5555'0000'0005 - 0x8000'0000));
  CHECK(decoded("eb fe", Mode::i386).branch_target(Address(0)) == Address(0));
  CHECK(decoded("eb fc", Mode::i386).branch_target(Address(0)) == Address(0xffff'fffe));
  CHECK(decoded("90", Mode::i386).next(Address(0xffff'ffff)) == Address(0));
}

}  // namespace
}  // namespace x86
