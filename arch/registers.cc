// The registers as the kernel lays them out, checked against its own header.
#include "arch/registers.h"

#include <sys/user.h>

#include <cstddef>

namespace x86 {
namespace {

static_assert(sizeof(GeneralRegisters) == sizeof(user_regs_struct));

#define SAME_PLACE(ours, kernels)                                                         \
  static_assert(offsetof(GeneralRegisters, ours) == offsetof(user_regs_struct, kernels)); \
  static_assert(sizeof(GeneralRegisters::ours) == sizeof(user_regs_struct::kernels))

SAME_PLACE(r15, r15);
SAME_PLACE(r14, r14);
SAME_PLACE(r13, r13);
SAME_PLACE(r12, r12);
SAME_PLACE(rbp, rbp);
SAME_PLACE(rbx, rbx);
SAME_PLACE(r11, r11);
SAME_PLACE(r10, r10);
SAME_PLACE(r9, r9);
SAME_PLACE(r8, r8);
SAME_PLACE(rax, rax);
SAME_PLACE(rcx, rcx);
SAME_PLACE(rdx, rdx);
SAME_PLACE(rsi, rsi);
SAME_PLACE(rdi, rdi);
SAME_PLACE(orig_rax, orig_rax);
SAME_PLACE(rip, rip);
SAME_PLACE(cs, cs);
SAME_PLACE(eflags, eflags);
SAME_PLACE(rsp, rsp);
SAME_PLACE(ss, ss);
SAME_PLACE(fs_base, fs_base);
SAME_PLACE(gs_base, gs_base);
SAME_PLACE(ds, ds);
SAME_PLACE(es, es);
SAME_PLACE(fs, fs);
SAME_PLACE(gs, gs);

#undef SAME_PLACE

}  // namespace
}  // namespace x86
