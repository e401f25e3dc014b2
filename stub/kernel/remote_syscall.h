// System calls executed by a stopped thread of the inferior, for the stub.
//
// The thread is sent to an existing `syscall` instruction (the vDSO has one; no code is written),
// is single-stepped over it, and gets back exactly what it had: registers with orig_rax, so that a
// call that the stop had interrupted still restarts, signal mask, and the siginfo of the signal it
// was about to receive. All signals are masked meanwhile except those that the kernel forces on the
// thread, which would reset the program's handler if they were masked (kernel/signal.c,
// force_sig_info_to_task): the SIGTRAP of the trap flag, and the SIGSYS that comes instead of a
// system call which the program has sent to itself (prctl(2), PR_SET_SYSCALL_USER_DISPATCH) where
// the kernel does not say so beforehand. One that somebody has sent comes again later.
// Single-stepping is used rather than PTRACE_SYSCALL because the stop it
// ends in is a signal stop: only on the way out of one does the kernel look at orig_rax and restart
// an interrupted call. The exception is a call that is not to be followed by a SIGTRAP, which would
// undo it: that ends in the stop of an interrupt, of which the same is true, but which no signal
// can be delivered from.
#pragma once

#include <array>
#include <initializer_list>
#include <vector>

#include "arch/registers.h"
#include "stub/kernel/tracee.h"
#include "stub/kernel/wait_status.h"

namespace stub {

class RemoteSyscall {
 public:
  // `at` is the address of a `syscall` instruction (amd64) or `int $0x80` (i386). The thread must
  // be in a ptrace stop and must not be executing a system call that sleeps without restart.
  RemoteSyscall(Tracee& tracee, Tid tid, x86::Mode mode, Address at);
  ~RemoteSyscall();
  RemoteSyscall(const RemoteSyscall&) = delete;
  RemoteSyscall& operator=(const RemoteSyscall&) = delete;

  // The kernel's return value; -errno becomes Errc::system. thread_gone: the thread died under it.
  // unsupported: the program does not let the system call through. bad_address: the instruction at
  // `at` was not a system call; nothing behind it is executed.
  Result<std::uint64_t> call(std::uint64_t number, std::initializer_list<std::uint64_t> arguments);

  // The same, without a trap behind it. It must be the last call, and the thread must have no
  // signal to receive yet.
  Result<std::uint64_t> call_untrapped(std::uint64_t number,
                                       std::initializer_list<std::uint64_t> arguments);

  // The thread's death, when it was waited for here. The engine has to be told.
  std::optional<WaitResult> death() const { return death_; }

 private:
  Result<void> begin(std::uint64_t number, std::initializer_list<std::uint64_t> arguments);
  Result<void> step_over_instruction();
  Result<void> run_through_call();
  std::optional<WaitStatus> next_stop(ResumeHow how);
  bool is_on_the_way(const WaitStatus& status);
  Result<std::uint64_t> value() const;

  Tracee& tracee_;
  Tid tid_;
  x86::Mode mode_;
  Address at_;
  x86::GeneralRegisters saved_{};
  std::optional<siginfo_t> saved_info_;
  std::uint64_t saved_mask_ = 0;
  bool usable_ = false;
  std::vector<int> signals_taken_;  // somebody's, which could not be masked
  bool left_group_stop_ = false;
  std::optional<WaitResult> death_;
};

// System call numbers by mode: arch/x86/entry/syscalls/syscall_{64,32}.tbl. i386 has mmap2, whose
// offset counts pages; for anonymous memory that makes no difference.
struct SyscallNumbers {
  std::uint64_t mmap, munmap, madvise, prctl, rt_sigaction;
};
const SyscallNumbers& syscall_numbers(x86::Mode mode);

}  // namespace stub
