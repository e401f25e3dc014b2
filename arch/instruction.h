// Machine code decoded into our own value. Zydis is seen by decode.cc alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "arch/address.h"

namespace x86 {

inline constexpr std::size_t max_instruction_length = 15;  // SDM vol. 2, 2.3.11

// What an instruction is as far as stepping over it is concerned: one kind for every different
// treatment, `plain` for the thousand that need none.
enum class Kind : std::uint8_t {
  plain,
  no_operation,        // nop (90, 0f 1f), endbr32/64; not the hints that are nops on old processors
  jump,                // jmp rel
  conditional_jump,    // jcc rel
  count_jump,          // loop, loope, loopne, jcxz/jecxz/jrcxz
  repeated_loop,       // loope, loopne with a prefix f2 or f3, which some processors obey
  call,                // call rel
  call_register,       // call *%reg
  call_memory,         // call *mem
  jump_register,       // jmp *%reg
  jump_memory,         // jmp *mem
  near_return,         // ret, ret imm16
  push_register,       // push %reg, 64 bits wide (32 in i386 code)
  address_of,          // lea disp(%rip), %reg
  system_call,         // syscall (64-bit code), int 0x80
  vdso_system_call,    // sysenter, syscall in i386 code: the kernel returns to the vDSO
  load_flags,          // popf
  load_stack_segment,  // mov to ss, pop ss: the processor holds off debug traps for one instruction
  begin_transaction,   // xbegin
  x87,                 // opcodes d8-df: their address is kept in the x87 instruction pointer
  software_trap,       // int3, int 3, int1, int 4, into: the trap comes after the instruction
  expected_fault,      // ud2, hlt, in, out, privileged ones, int n without a gate for users
  far_transfer,        // iret, far jmp, far call, far ret: another code segment
  narrow_branch,       // near branch with prefix 66h and no REX.W: AMD and Intel differ
};

// Where the prefix that extends register numbers is, and of which family.
enum class Encoding : std::uint8_t { legacy, amd_3dnow, vex, xop, evex };

// A set of general registers, bit n = hardware number n (0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, ...).
using RegisterMask = std::uint16_t;

struct Instruction {
  std::array<std::uint8_t, max_instruction_length> bytes{};
  std::uint8_t length = 0;
  Mode mode = Mode::amd64;

  Kind kind = Kind::plain;
  Encoding encoding = Encoding::legacy;
  std::uint8_t operand_size = 0;  // effective, in bytes: 1, 2, 4, 8
  std::uint8_t address_size = 0;  // effective, in bytes: 2, 4, 8

  // Offsets of the parts within `bytes`; parts that can be absent have size 0 or has_modrm false.
  // Legacy prefixes fill [0, extension_offset), the REX, VEX, XOP or EVEX prefix
  // [extension_offset, opcode_offset) with escape bytes (0f, 0f 38 ...) counted to the opcode.
  std::uint8_t extension_offset = 0;
  std::uint8_t opcode_offset = 0;
  std::uint8_t opcode = 0;  // the last opcode byte; of jcc and loop the low bits are the condition
  bool has_modrm = false;
  std::uint8_t modrm_offset = 0;
  std::uint8_t displacement_offset = 0;
  std::uint8_t displacement_size = 0;  // bytes
  std::uint8_t immediate_offset = 0;
  std::uint8_t immediate_size = 0;  // bytes, of the first immediate

  // RIP-relative memory operand (mod 00, rm 101 in 64-bit code); with address_size 4 the sum wraps
  // at 32 bits.
  bool rip_relative = false;
  std::int64_t displacement = 0;  // of the memory operand, sign-extended
  // First immediate, sign-extended; of relative branches the distance from the next instruction.
  std::int64_t immediate = 0;

  // General registers, hidden operands and address components included; parts (ah, eax) count as
  // the whole.
  RegisterMask registers_read = 0;
  RegisterMask registers_written = 0;

  std::uint8_t modrm() const { return bytes[modrm_offset]; }
  // The register of ModRM.rm or of the opcode's low bits, REX.B included.
  std::uint8_t rm_register = 0;
  // The register of ModRM.reg, REX.R included.
  std::uint8_t reg_register = 0;

  // The address of the instruction behind this one, at `at`; i386 wraps at 32 bits.
  Address next(Address at) const;
  // Where a relative branch at `at` goes; the fallback address of xbegin.
  Address branch_target(Address at) const;
  // What a RIP-relative operand of this instruction at `at` addresses.
  Address operand_address(Address at) const;
};

// Decodes the instruction at the start of `bytes` (up to 15 are looked at). nullopt when the bytes
// are no instruction this decoder knows, or end before it does.
std::optional<Instruction> decode(std::span<const std::uint8_t> bytes, Mode mode);

}  // namespace x86
