// PKRU, the rights of protection keys (SDM vol. 3, 4.6.2), after execve.
//
// The XSAVE image that ptrace gives of a thread between its execve and its first instruction has
// the bit of PKRU in XSTATE_BV clear, which means 0 (all rights), while the register has the
// kernel's default: execve resets the image (arch/x86/kernel/fpu/core.c, fpu_reset_fpregs) and sets
// the register apart from it (arch/x86/mm/pkeys.c, pkru_write_default). The kernel takes an image
// with the bit clear for a request to set PKRU to 0 (fpu/xstate.c, copy_uabi_to_xstate). So the
// image must be completed before anything is read from it or written back.
#pragma once

#include <cstdint>
#include <optional>

#include "arch/registers.h"

namespace x86 {

// The calling thread's PKRU; nullopt where processor or kernel have no protection keys. In a
// program that does not use them it is the kernel's default (boot parameter init_pkru).
std::optional<std::uint32_t> own_pkru();

// Stores `initial` as PKRU in the image of a thread that has just called execve. True when the
// image has changed: it had PKRU as 0 and has room for it.
bool complete_pkru_after_exec(RegisterFile& file, std::uint32_t initial);

}  // namespace x86
