// A seccomp filter may answer an injected call by killing the process, so a thread under seccomp is
// not asked at all, unless the filter can be suspended (PTRACE_O_SUSPEND_SECCOMP, needs
// CAP_SYS_ADMIN). Filters belong to threads: another thread of the process may still be lent. The
// same goes for a thread that has the kernel send its system calls to the program (Wine does): ours
// would come from an address the program does not expect. And the processor takes the instruction
// for one of the thread's present code segment: with one for 32-bit code in a 64-bit program (Wine
// again) it would be found at another address and mean something else.
//
// A thread in a restartable sequence (rseq(2)) is not in one any more to the kernel once it has
// made a system call elsewhere, and would go on in the middle of it whatever has happened
// meanwhile. So it gets the mark back: then the sequence is aborted when the thread runs again, as
// after any stop.
#include "stub/stepping/borrow_thread.h"

#include <algorithm>
#include <array>
#include <vector>

#include "stub/base/memory_map.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

using SyscallBytes = std::array<std::byte, 2>;

SyscallBytes syscall_bytes(x86::Mode mode) {
  return mode == x86::Mode::amd64 ? SyscallBytes{std::byte{0x0f}, std::byte{0x05}}
                                  : SyscallBytes{std::byte{0xcd}, std::byte{0x80}};
}

// Memory as it is is compared, so that an instruction with an int3 of ours in it is none; and one
// that a debug register of ours is on would not get to be executed.
bool is_syscall_instruction(Tracee& tracee, const AddressSpace& space, Pid pid, Address at) {
  SyscallBytes now{};
  return tracee.read_memory(pid, at, now) == now.size() && now == syscall_bytes(space.mode) &&
         !space.hardware.stops_at(at);
}

std::optional<Address> find_in(Tracee& tracee, const AddressSpace& space, Pid pid,
                               const Mapping& mapping) {
  constexpr std::uint64_t most = 4 << 20;  // of a library's text
  std::vector<std::byte> code(std::min(mapping.size(), most));
  code.resize(tracee.read_memory(pid, mapping.start, code));
  const SyscallBytes wanted = syscall_bytes(space.mode);
  for (auto from = code.begin();; ++from) {
    from = std::search(from, code.end(), wanted.begin(), wanted.end());
    if (from == code.end()) return std::nullopt;
    const Address at = mapping.start + static_cast<std::uint64_t>(from - code.begin());
    if (is_syscall_instruction(tracee, space, pid, at)) return at;
  }
}

// The vDSO is executable, is there unless booted with vdso=0 or unmapped by the program, and falls
// back to real system calls, so it holds the instruction we need. Where breakpoints are on it, any
// text of a file will do that the program cannot write to as it is mapped.
Result<Address> find_syscall_instruction(Tracee& tracee, const AddressSpace& space, Pid pid) {
  const auto mappings = tracee.mappings(pid);
  if (!mappings) return tl::unexpected(mappings.error());
  const auto is_vdso = [](const Mapping& m) { return m.path == "[vdso]"; };
  const auto is_text = [](const Mapping& m) {
    return m.read && m.execute && !m.write && !m.shared && m.inode != 0;
  };
  for (const auto& wanted :
       {std::function<bool(const Mapping&)>(is_vdso), std::function<bool(const Mapping&)>(is_text)})
    for (const Mapping& mapping : *mappings)
      if (wanted(mapping))
        if (const auto found = find_in(tracee, space, pid, mapping)) return *found;
  return fail(Errc::refused, "The program has no instruction to make system calls with");
}

Result<x86::GeneralRegisters> registers_of(Tracee& tracee, const Thread& thread) {
  if (thread.general) return *thread.general;
  return tracee.registers(thread.tid);
}

BorrowedEntry journalled(Tracee& tracee, Tid tid, const x86::GeneralRegisters& registers,
                         const std::optional<SyscallDispatch>& dispatch) {
  const auto mask = tracee.signal_mask(tid);
  if (!mask) return BorrowedEntry();
  return BorrowedEntry({.tid = tid,
                        .registers = registers,
                        .signal_mask = *mask,
                        .dispatch = dispatch.value_or(SyscallDispatch())});
}

// The thread's filter is off while this lives.
class SuspendedFilter {
 public:
  SuspendedFilter(Tracee& tracee, const Thread& thread)
      : tracee_(tracee), tid_(thread.tid), lifetime_(thread.process->lifetime) {
    is_off_ = tracee_.suspend_seccomp(tid_, lifetime_, true);
  }
  ~SuspendedFilter() {
    if (is_off_) tracee_.suspend_seccomp(tid_, lifetime_, false);
  }
  SuspendedFilter(const SuspendedFilter&) = delete;
  SuspendedFilter& operator=(const SuspendedFilter&) = delete;
  bool is_off() const { return is_off_; }

 private:
  Tracee& tracee_;
  Tid tid_;
  Lifetime lifetime_;
  bool is_off_ = false;
};

// The thread's system calls are its own affair no more while this lives. Setting it up can be
// forbidden where switching it off is not, so that comes first.
class SuspendedDispatch {
 public:
  SuspendedDispatch(Tracee& tracee, Tid tid, const std::optional<SyscallDispatch>& program_has)
      : tracee_(tracee), tid_(tid), program_has_(program_has) {
    is_off_ = !program_has_ || (tracee_.set_syscall_dispatch(tid_, *program_has_) &&
                                tracee_.set_syscall_dispatch(tid_, SyscallDispatch()));
  }
  ~SuspendedDispatch() {
    if (program_has_ && is_off_) (void)tracee_.set_syscall_dispatch(tid_, *program_has_);
  }
  SuspendedDispatch(const SuspendedDispatch&) = delete;
  SuspendedDispatch& operator=(const SuspendedDispatch&) = delete;
  bool is_off() const { return is_off_; }

 private:
  Tracee& tracee_;
  Tid tid_;
  std::optional<SyscallDispatch> program_has_;
  bool is_off_ = false;
};

// The thread's mark, of what sequence it has begun, is as it was when this ends.
class KeptSequence {
 public:
  KeptSequence(Tracee& tracee, const Thread& thread)
      : tracee_(tracee), pid_(thread.process->pid), area_(tracee.rseq_area(thread.tid)) {
    if (area_ && tracee_.read_memory(pid_, *area_ + rseq_cs_offset, mark_) != mark_.size())
      area_.reset();
  }
  ~KeptSequence() {
    if (area_ && mark_ != std::array<std::byte, 8>())
      (void)tracee_.write_memory(pid_, *area_ + rseq_cs_offset, mark_);
  }
  KeptSequence(const KeptSequence&) = delete;
  KeptSequence& operator=(const KeptSequence&) = delete;

 private:
  Tracee& tracee_;
  Pid pid_;
  std::optional<Address> area_;
  std::array<std::byte, 8> mark_{};
};

}  // namespace

Result<void> borrow_thread(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                           const Thread& thread,
                           const std::function<Result<void>(RemoteSyscall&)>& work) {
  if (thread.mid_syscall) return fail(Errc::bad_address, "The thread is inside a system call");
  const auto registers = registers_of(tracee, thread);
  if (!registers) return tl::unexpected(registers.error());
  if (registers->mode() != space.mode)
    return fail(Errc::bad_address, "The thread runs code of another word size");
  const auto status = proc_fs::status(thread.tid);
  if (!status) return fail(Errc::thread_gone, "The process is gone", ESRCH);
  std::optional<SuspendedFilter> filter;
  if (status->seccomp != 0 && !filter.emplace(tracee, thread).is_off())
    return fail(Errc::unsupported, "A seccomp filter stands in the way of a system call");
  const Pid pid = thread.process->pid;
  if (!space.syscall_instruction ||
      !is_syscall_instruction(tracee, space, pid, *space.syscall_instruction)) {
    const auto found = find_syscall_instruction(tracee, space, pid);
    if (!found) return tl::unexpected(found.error());
    space.syscall_instruction = *found;
  }
  const auto program_has = tracee.syscall_dispatch(thread.tid);
  const auto entry = journalled(tracee, thread.tid, *registers, program_has);
  const SuspendedDispatch dispatch(tracee, thread.tid, program_has);
  if (!dispatch.is_off())
    return fail(Errc::unsupported, "The program takes system calls in hand that we would make");
  const KeptSequence sequence(tracee, thread);
  RemoteSyscall remote(tracee, thread.tid, space.mode, *space.syscall_instruction);
  auto result = work(remote);
  if (remote.death()) inbox.put_back(*remote.death());
  return result;
}

}  // namespace stub
