// The registers of one thread, as the kernel hands them out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "arch/address.h"

namespace x86 {

// Field for field the kernel's `struct user_regs_struct` of x86-64
// (arch/x86/include/asm/user_64.h); registers.cc asserts it. A 64-bit tracer gets this form for
// i386 threads too (PTRACE_GETREGS uses the tracer's view), with 32-bit values zero-extended.
struct GeneralRegisters {
  std::uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax,
      rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;

  bool operator==(const GeneralRegisters&) const = default;
  Address pc() const { return Address(rip); }
  // CS 0x33 is the kernel's 64-bit user code segment, anything else runs compatibility-mode code
  // (arch/x86/include/asm/segment.h).
  Mode mode() const { return cs == 0x33 ? Mode::amd64 : Mode::i386; }
};

// eflags bits that matter to a debugger (SDM vol. 1, 3.4.3).
inline constexpr std::uint64_t trap_flag = 1u << 8;
inline constexpr std::uint64_t resume_flag = 1u << 16;

// General registers and the NT_X86_XSTATE regset: the XSAVE image in standard (uncompacted) format,
// XCR0 at byte 464 (the kernel's sw_reserved area). Empty when the processor has no XSAVE; then
// `fxsave` semantics apply to the first 512 bytes only.
inline constexpr std::size_t largest_xstate = 16384;  // the image with AMX is below 12 KiB

struct RegisterFile {
  GeneralRegisters general{};
  std::vector<std::byte> xstate;
};

}  // namespace x86
