// The seam to the kernel. Everything the daemon does to a traced thread goes through this
// interface: LinuxTracee is ptrace(2), FakeTracee in the tests is a script, so that each race
// becomes a test.
//
// Every call may find the thread gone; that is Errc::thread_gone (ESRCH), a change of state that
// the next wait() explains, never a failure of the daemon.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "arch/registers.h"
#include "stub/base/memory_map.h"
#include "stub/base/types.h"

namespace stub {

// A status word of waitpid(2), taken apart where it is used (wait_status.h).
struct WaitResult {
  Tid tid{};
  int status = 0;
};

enum class ResumeHow {
  run,      // PTRACE_CONT
  step,     // PTRACE_SINGLESTEP
  syscall,  // PTRACE_SYSCALL: stop at the next entry or exit of a system call
  listen,   // PTRACE_LISTEN: stay in group-stop
};

// What becomes of a traced process when this daemon dies without a word.
enum class Lifetime {
  independent,  // it goes on (attached)
  exit_kill,    // PTRACE_O_EXITKILL: it dies too (launched)
};

// Which system calls of a thread the kernel sends to the program's own SIGSYS handler, by the
// address they are made from (struct ptrace_sud_config of linux/ptrace.h).
struct SyscallDispatch {
  std::uint64_t mode = 0;  // 0: none
  std::uint64_t selector = 0, offset = 0, length = 0;
  bool operator==(const SyscallDispatch&) const = default;
};

// Of the field rseq_cs in struct rseq (linux/rseq.h).
inline constexpr std::uint64_t rseq_cs_offset = 8;

class Tracee {
 public:
  virtual ~Tracee() = default;

  // Attaching and letting go.
  virtual Result<void> seize(Tid tid, Lifetime lifetime) = 0;  // PTRACE_SEIZE; does not stop it
  virtual Result<void> interrupt(Tid tid) = 0;  // PTRACE_INTERRUPT; the stop comes by wait()
  virtual Result<void> resume(Tid tid, ResumeHow how, int signal) = 0;
  virtual Result<void> detach(Tid tid, int signal) = 0;
  virtual Result<void> kill(Pid pid) = 0;  // SIGKILL to the process
  // The next status change of any child, if there is one now (WNOHANG | __WALL), in a fair order.
  virtual std::optional<WaitResult> wait() = 0;
  // Waits for this thread alone (blocking). Only for stops that are certain to come at once.
  virtual std::optional<WaitResult> wait_for(Tid tid) = 0;

  // State of a stopped thread.
  virtual Result<x86::GeneralRegisters> registers(Tid tid) = 0;
  virtual Result<void> set_registers(Tid tid, const x86::GeneralRegisters& regs) = 0;
  // The same for a thread that has `before` now: the cheapest way to `after`.
  virtual Result<void> change_registers(Tid tid, const x86::GeneralRegisters& before,
                                        const x86::GeneralRegisters& after) = 0;
  // A word of `struct user` (debug registers; also rip alone, cheaper than all registers).
  virtual Result<std::uint64_t> peek_user(Tid tid, std::size_t offset) = 0;
  virtual Result<void> poke_user(Tid tid, std::size_t offset, std::uint64_t value) = 0;
  // NT_X86_XSTATE; the size returned is what the kernel filled in.
  virtual Result<std::size_t> xstate(Tid tid, std::span<std::byte> into) = 0;
  virtual Result<void> set_xstate(Tid tid, std::span<const std::byte> from) = 0;
  virtual Result<siginfo_t> siginfo(Tid tid) = 0;
  virtual Result<void> set_siginfo(Tid tid, const siginfo_t& info) = 0;
  virtual Result<std::uint64_t> event_message(Tid tid) = 0;
  virtual Result<std::uint64_t> signal_mask(Tid tid) = 0;
  virtual Result<void> set_signal_mask(Tid tid, std::uint64_t mask) = 0;
  // A SIGTRAP that the thread's own instruction raised waits to be delivered to it
  // (PTRACE_PEEKSIGINFO). An interrupt can overtake it: the thread then stops in the state that the
  // trap will be reported with.
  virtual bool trap_pending(Tid tid) = 0;
  // A signal that the thread does not block waits for it or for its process.
  virtual bool signal_pending(Tid tid) = 0;
  virtual Result<void> send_signal(Tid tid, int signal) = 0;  // tgkill(2)
  // Two processes run on the same memory (kcmp(2), KCMP_VM); nullopt: the kernel does not tell.
  virtual std::optional<bool> shares_memory(Pid a, Pid b) = 0;
  // Where the thread has registered its restartable-sequences area (struct rseq of linux/rseq.h),
  // if it has; rseq_cs_offset in it is the address of what it has begun, or 0.
  virtual std::optional<Address> rseq_area(Tid tid) = 0;
  // Our options anew for a stopped thread, with PTRACE_O_SUSPEND_SECCOMP or without; false when
  // that is not permitted.
  virtual bool suspend_seccomp(Tid tid, Lifetime lifetime, bool suspended) = 0;

  // What a thread has set up by prctl(2), PR_SET_SYSCALL_USER_DISPATCH. nullopt: nothing, or a
  // kernel that does not tell (before Linux 6.4).
  virtual std::optional<SyscallDispatch> syscall_dispatch(Tid tid) = 0;
  // `dispatch` as the above gave it, or {} to have none. False: not permitted.
  virtual bool set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) = 0;

  // Whether one of the thread's seccomp filters, number 0 the first that was set up, looks at the
  // address a system call is made from (struct seccomp_data of linux/seccomp.h). nullopt: there are
  // not as many, or this server may not see them (that takes CAP_SYS_ADMIN).
  virtual std::optional<bool> filter_reads_address(Tid tid, unsigned number) = 0;

  // Calls push onto a second stack as well, which returns are compared with
  // (Documentation/arch/x86/shstk.rst, Linux 6.6).
  virtual bool has_shadow_stack(Tid tid) = 0;

  // Memory of a process, stopped or running. The number of bytes moved from the front: a short
  // count says where the fault is. Breakpoint bytes are not masked here.
  virtual std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to) = 0;
  virtual std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from) = 0;
  // As the program itself could: page protections count, and it is all or nothing.
  virtual bool read_as_program(Pid pid, Address from, std::span<std::byte> to) = 0;
  virtual bool write_as_program(Pid pid, Address to, std::span<const std::byte> from) = 0;
  // What is mapped now. thread_gone: the process has no memory any more.
  virtual Result<std::vector<Mapping>> mappings(Pid pid) = 0;
  // Whether the page of this address is the process's own copy (private and written to, in memory
  // or swapped out), and not one of a file or of shared memory, nor one that is not there as yet
  // (Documentation/admin-guide/mm/pagemap.rst). nullopt: the kernel does not tell.
  virtual std::optional<bool> is_own_page(Pid pid, Address at) = 0;
  // Whether these bytes are text of a file that the program cannot write to as it is mapped now.
  virtual bool is_fixed_text(Pid pid, Address from, std::uint64_t size) = 0;
  // Reads all pieces at once (one system call) or reports failure; what a hit needs to check.
  struct Piece {
    Address from;
    std::span<std::uint8_t> to;
  };
  virtual bool read_pieces(Pid pid, std::span<const Piece> pieces) = 0;
  // The process has a new address space (exec), or is gone: forget cached handles.
  virtual void forget_memory(Pid pid) = 0;
};

// The XSAVE image in a buffer of its own size. Errors as xstate() has them.
inline Result<std::vector<std::byte>> whole_xstate(Tracee& tracee, Tid tid) {
  std::vector<std::byte> image(x86::largest_xstate);
  const auto size = tracee.xstate(tid, image);
  if (!size) return tl::unexpected(size.error());
  image.resize(*size);
  return image;
}

}  // namespace stub
