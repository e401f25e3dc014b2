// System calls that a stop has interrupted, and that the kernel starts again when the thread is
// resumed.
#pragma once

#include "arch/registers.h"

namespace stub {

// Of `syscall`, `int $0x80` and `sysenter`: the kernel goes back so far.
inline constexpr std::uint64_t syscall_length = 2;

// The result is one of the kernel's own codes for an interrupted call (include/linux/errno.h),
// which a program never sees and a tracer does, and the thread is still in that call's return.
bool awaits_restart(const x86::GeneralRegisters& regs);

// The registers with which the kernel starts it again (arch/x86/kernel/signal.c,
// arch_do_signal_or_restart).
x86::GeneralRegisters restart_state(x86::GeneralRegisters regs);

}  // namespace stub
