// LLDB compiles expressions and wants a place to put the code. It can also have the program call
// mmap itself, which costs it a symbol lookup, two breakpoints' worth of packets and all registers
// of a thread; here it is one system call executed by a thread that is stopped anyway.
#include "stub/remote_memory.h"

#include <sys/mman.h>

#include "stub/proc_fs.h"
#include "stub/remote_syscall.h"
#include "stub/ssol_mapping.h"

namespace stub {
namespace {

constexpr std::uint64_t no_descriptor = ~std::uint64_t{0};

// One system call by `thread`; a seccomp filter may kill whoever makes an unexpected one.
Result<std::uint64_t> call(Tracee& tracee, AddressSpace& space, const Thread& thread,
                           std::uint64_t number, std::initializer_list<std::uint64_t> arguments,
                           std::optional<WaitResult>& death) {
  const Pid pid = thread.process->pid;
  const Lifetime lifetime = thread.process->lifetime;
  const auto status = proc_fs::status(thread.tid);
  if (!status) return fail(Errc::thread_gone, "The process is gone", ESRCH);
  if (!space.syscall_instruction) {
    const auto mappings = proc_fs::maps(pid);
    if (mappings)
      space.syscall_instruction = find_syscall_instruction(tracee, pid, space.mode, *mappings);
  }
  if (thread.mid_syscall || !space.syscall_instruction)
    return fail(Errc::refused, "The thread cannot be made to execute a system call");
  const bool filtered = status->seccomp != 0;
  if (filtered && !tracee.suspend_seccomp(thread.tid, lifetime, true))
    return fail(Errc::refused, "A seccomp filter stands in the way of a system call");
  Result<std::uint64_t> result = fail(Errc::thread_gone);
  {
    RemoteSyscall remote(tracee, thread.tid, space.mode, *space.syscall_instruction);
    result = remote.call(number, arguments);
    death = remote.death();
  }
  if (filtered) tracee.suspend_seccomp(thread.tid, lifetime, false);
  return result;
}

}  // namespace

Result<Address> map_memory(Tracee& tracee, AddressSpace& space, const Thread& thread,
                           std::uint64_t size, int protection, std::optional<WaitResult>& death) {
  constexpr std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
  return call(tracee, space, thread, syscall_numbers(space.mode).mmap,
              {0, size, static_cast<std::uint64_t>(protection), flags, no_descriptor, 0}, death)
      .map([](std::uint64_t start) { return Address(start); });
}

Result<void> unmap_memory(Tracee& tracee, AddressSpace& space, const Thread& thread, Address start,
                          std::uint64_t size, std::optional<WaitResult>& death) {
  return call(tracee, space, thread, syscall_numbers(space.mode).munmap, {start.value(), size},
              death)
      .map([](std::uint64_t) {});
}

}  // namespace stub
