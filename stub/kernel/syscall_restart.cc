#include "stub/kernel/syscall_restart.h"

namespace stub {
namespace {

constexpr std::int64_t restart_sys = -512, restart_no_intr = -513, restart_no_hand = -514,
                       restart_block = -516;

// An i386 thread's registers come zero-extended.
std::int64_t sign_extended(const x86::GeneralRegisters& regs, std::uint64_t value) {
  if (regs.mode() == x86::Mode::amd64) return static_cast<std::int64_t>(value);
  return static_cast<std::int32_t>(value);
}

}  // namespace

bool awaits_restart(const x86::GeneralRegisters& regs) {
  if (sign_extended(regs, regs.orig_rax) < 0) return false;
  const auto result = sign_extended(regs, regs.rax);
  return result == restart_sys || result == restart_no_intr || result == restart_no_hand ||
         result == restart_block;
}

x86::GeneralRegisters restart_state(x86::GeneralRegisters regs) {
  constexpr std::uint64_t restart_syscall_amd64 = 219, restart_syscall_i386 = 0;
  const bool block = sign_extended(regs, regs.rax) == restart_block;
  const auto number =
      regs.mode() == x86::Mode::amd64 ? restart_syscall_amd64 : restart_syscall_i386;
  regs.rax = block ? number : regs.orig_rax;
  regs.rip -= syscall_length;
  return regs;
}

}  // namespace stub
