// The kernel behind the Tracee seam: ptrace(2), process_vm_readv(2) and /proc/PID/mem.
#pragma once

#include <sched.h>

#include <map>

#include "stub/base/clock.h"
#include "stub/kernel/tracee.h"
#include "stub/kernel/wait_queue.h"

namespace stub {

class LinuxTracee final : public Tracee, private WaitQueue::Source {
 public:
  LinuxTracee() = default;
  ~LinuxTracee() override;
  LinuxTracee(const LinuxTracee&) = delete;
  LinuxTracee& operator=(const LinuxTracee&) = delete;

  Result<void> seize(Tid tid, Lifetime lifetime) override;
  Result<void> interrupt(Tid tid) override;
  Result<void> resume(Tid tid, ResumeHow how, int signal) override;
  Result<void> detach(Tid tid, int signal) override;
  Result<void> kill(Pid pid) override;
  std::optional<WaitResult> wait() override;
  std::optional<WaitResult> wait_for(Tid tid) override;

  Result<x86::GeneralRegisters> registers(Tid tid) override;
  Result<void> set_registers(Tid tid, const x86::GeneralRegisters& regs) override;
  Result<void> change_registers(Tid tid, const x86::GeneralRegisters& before,
                                const x86::GeneralRegisters& after) override;
  Result<std::uint64_t> peek_user(Tid tid, std::size_t offset) override;
  Result<void> poke_user(Tid tid, std::size_t offset, std::uint64_t value) override;
  Result<std::size_t> xstate(Tid tid, std::span<std::byte> into) override;
  Result<void> set_xstate(Tid tid, std::span<const std::byte> from) override;
  Result<siginfo_t> siginfo(Tid tid) override;
  Result<void> set_siginfo(Tid tid, const siginfo_t& info) override;
  Result<std::uint64_t> event_message(Tid tid) override;
  Result<std::uint64_t> signal_mask(Tid tid) override;
  Result<void> set_signal_mask(Tid tid, std::uint64_t mask) override;
  bool trap_pending(Tid tid) override;
  bool signal_pending(Tid tid) override;
  Result<void> send_signal(Tid tid, int signal) override;
  std::optional<bool> shares_memory(Pid a, Pid b) override;
  std::optional<Address> rseq_area(Tid tid) override;
  bool suspend_seccomp(Tid tid, Lifetime lifetime, bool suspended) override;
  std::optional<SyscallDispatch> syscall_dispatch(Tid tid) override;
  bool set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) override;
  std::optional<bool> filter_reads_address(Tid tid, unsigned number) override;
  bool has_shadow_stack(Tid tid) override;

  std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to) override;
  std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from) override;
  bool read_as_program(Pid pid, Address from, std::span<std::byte> to) override;
  bool write_as_program(Pid pid, Address to, std::span<const std::byte> from) override;
  Result<std::vector<Mapping>> mappings(Pid pid) override;
  std::optional<bool> is_own_page(Pid pid, Address at) override;
  bool is_fixed_text(Pid pid, Address from, std::uint64_t size) override;
  bool read_pieces(Pid pid, std::span<const Piece> pieces) override;
  void forget_memory(Pid pid) override;

 private:
  std::optional<WaitResult> poll(std::optional<Tid> tid) override;
  void yield() override { sched_yield(); }
  std::uint64_t now_ns() override { return stub::now_ns(); }
  // How to get at the memory of a process.
  struct Memory {
    int handle = -1;         // /proc/PID/mem, opened at first use
    int pages = -1;          // /proc/PID/pagemap, likewise
    bool has_ended = false;  // nothing was behind it when it was last opened
    Tid deputy{};  // for calls that take a thread, once the leader has ended before the others
  };
  template <class Call>
  std::size_t by_handle(Pid pid, std::size_t size, Call call);
  template <class Call>
  ssize_t by_thread(Pid pid, Call call);
  bool open_handle(Pid pid, Memory& memory);
  static void close_handles(Memory& memory);

  WaitQueue statuses_{*this};
  std::map<Pid, Memory> memories_;
};

}  // namespace stub
