// A breakpoint's SIGTRAP is forced on the thread, and where the program ignores that signal the
// kernel makes its action the default (trap_mask.h). Between two hits nobody minds; but after its
// debugger has gone the program would die of a SIGTRAP that it had meant to ignore. What the action
// was can be seen before the first hit and set again afterwards, by a system call of the program's;
// one that does not end in a trap.
//
// The kernel reads the new action from the program's memory (struct sigaction of asm/signal.h). It
// is written below the stack, further down than the 128 bytes that a function may use there
// (System V ABI, "red zone"), and what was there is put back.
#include "stub/stepping/trap_action.h"

#include <array>
#include <csignal>

#include "stub/kernel/proc_fs.h"
#include "stub/kernel/trap_mask.h"
#include "stub/stepping/borrow_thread.h"

namespace stub {
namespace {

// SIG_IGN, which is 1, as the handler and nothing else: 32 bytes on amd64, 20 on i386.
constexpr std::array<std::byte, 32> ignoring{std::byte{1}};
constexpr std::uint64_t kernel_sigset_size = 8;
constexpr std::uint64_t below_stack = 256;

}  // namespace

bool ignores_trap(Pid pid) {
  const auto status = proc_fs::status(proc_fs::memory_thread(pid));
  return status && (status->signals_ignored & sigtrap_bit) != 0;
}

bool leaves_trap_alone(Pid pid) {
  const auto status = proc_fs::status(proc_fs::memory_thread(pid));
  return status && ((status->signals_ignored | status->signals_caught) & sigtrap_bit) == 0;
}

bool ignore_trap(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread) {
  if (!thread.general) return false;
  const Pid pid = thread.process->pid;
  const Address place((thread.general->rsp & ~std::uint64_t{15}) - below_stack);
  std::array<std::byte, ignoring.size()> before{};
  if (tracee.read_memory(pid, place, before) != before.size() ||
      tracee.write_memory(pid, place, ignoring) != ignoring.size())
    return false;
  const auto done =
      borrow_thread(tracee, inbox, space, thread, [&](RemoteSyscall& remote) -> Result<void> {
        const auto set = remote.call_untrapped(syscall_numbers(space.mode).rt_sigaction,
                                               {SIGTRAP, place.value(), 0, kernel_sigset_size});
        return set ? Result<void>() : tl::unexpected(set.error());
      });
  tracee.write_memory(pid, place, before);
  return done.has_value();
}

}  // namespace stub
