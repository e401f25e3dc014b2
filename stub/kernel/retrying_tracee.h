// Asks the kernel twice.
//
// Nothing that the daemon does to a stopped thread may fail, but for the thread's death: the
// requests are right, or they would always fail. What is left are failures of the moment: memory is
// short (ENOMEM), a call was interrupted (EINTR), a seccomp filter or a security module of the
// container had its say. A debugger that took the first of these for the truth would leave a
// breakpoint byte behind or a thread stopped for ever. So each request is repeated once. The thread
// being gone is no failure, nor is being forbidden to trace, so these are believed at once.
#pragma once

#include "stub/kernel/tracee.h"

namespace stub {

class RetryingTracee final : public Tracee {
 public:
  explicit RetryingTracee(Tracee& inner) : inner_(inner) {}

  Result<void> seize(Tid tid, Lifetime lifetime) override { return inner_.seize(tid, lifetime); }
  Result<void> interrupt(Tid tid) override {
    return twice([&] { return inner_.interrupt(tid); });
  }
  Result<void> resume(Tid tid, ResumeHow how, int signal) override {
    return twice([&] { return inner_.resume(tid, how, signal); });
  }
  Result<void> detach(Tid tid, int signal) override {
    return twice([&] { return inner_.detach(tid, signal); });
  }
  Result<void> kill(Pid pid) override {
    return twice([&] { return inner_.kill(pid); });
  }
  std::optional<WaitResult> wait() override { return inner_.wait(); }
  std::optional<WaitResult> wait_for(Tid tid) override { return inner_.wait_for(tid); }

  Result<x86::GeneralRegisters> registers(Tid tid) override {
    return twice([&] { return inner_.registers(tid); });
  }
  Result<void> set_registers(Tid tid, const x86::GeneralRegisters& regs) override {
    return twice([&] { return inner_.set_registers(tid, regs); });
  }
  Result<void> change_registers(Tid tid, const x86::GeneralRegisters& before,
                                const x86::GeneralRegisters& after) override {
    return twice([&] { return inner_.change_registers(tid, before, after); });
  }
  Result<std::uint64_t> peek_user(Tid tid, std::size_t offset) override {
    return twice([&] { return inner_.peek_user(tid, offset); });
  }
  Result<void> poke_user(Tid tid, std::size_t offset, std::uint64_t value) override {
    return twice([&] { return inner_.poke_user(tid, offset, value); });
  }
  Result<std::size_t> xstate(Tid tid, std::span<std::byte> into) override {
    return twice([&] { return inner_.xstate(tid, into); });
  }
  Result<void> set_xstate(Tid tid, std::span<const std::byte> from) override {
    return twice([&] { return inner_.set_xstate(tid, from); });
  }
  Result<siginfo_t> siginfo(Tid tid) override {
    return twice([&] { return inner_.siginfo(tid); });
  }
  Result<void> set_siginfo(Tid tid, const siginfo_t& info) override {
    return twice([&] { return inner_.set_siginfo(tid, info); });
  }
  Result<std::uint64_t> event_message(Tid tid) override {
    return twice([&] { return inner_.event_message(tid); });
  }
  Result<std::uint64_t> signal_mask(Tid tid) override {
    return twice([&] { return inner_.signal_mask(tid); });
  }
  Result<void> set_signal_mask(Tid tid, std::uint64_t mask) override {
    return twice([&] { return inner_.set_signal_mask(tid, mask); });
  }
  bool trap_pending(Tid tid) override { return inner_.trap_pending(tid); }
  bool signal_pending(Tid tid) override { return inner_.signal_pending(tid); }
  Result<void> send_signal(Tid tid, int signal) override {
    return twice([&] { return inner_.send_signal(tid, signal); });
  }
  std::optional<bool> shares_memory(Pid a, Pid b) override { return inner_.shares_memory(a, b); }
  std::optional<Address> rseq_area(Tid tid) override { return inner_.rseq_area(tid); }
  bool suspend_seccomp(Tid tid, Lifetime lifetime, bool suspended) override {
    return inner_.suspend_seccomp(tid, lifetime, suspended) ||
           inner_.suspend_seccomp(tid, lifetime, suspended);
  }
  std::optional<SyscallDispatch> syscall_dispatch(Tid tid) override {
    return inner_.syscall_dispatch(tid);
  }
  std::optional<bool> filter_reads_address(Tid tid, unsigned number) override {
    return inner_.filter_reads_address(tid, number);
  }
  bool has_shadow_stack(Tid tid) override { return inner_.has_shadow_stack(tid); }
  bool set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) override {
    return inner_.set_syscall_dispatch(tid, dispatch) || inner_.set_syscall_dispatch(tid, dispatch);
  }

  // A short count is the answer when nothing more comes from there on.
  std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to) override {
    const std::size_t got = inner_.read_memory(pid, from, to);
    return got == to.size() ? got : got + inner_.read_memory(pid, from + got, to.subspan(got));
  }
  std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from) override {
    const std::size_t done = inner_.write_memory(pid, to, from);
    return done == from.size() ? done
                               : done + inner_.write_memory(pid, to + done, from.subspan(done));
  }
  // A failure of these leads to another way of doing the same.
  bool read_as_program(Pid pid, Address from, std::span<std::byte> to) override {
    return inner_.read_as_program(pid, from, to);
  }
  bool write_as_program(Pid pid, Address to, std::span<const std::byte> from) override {
    return inner_.write_as_program(pid, to, from);
  }
  Result<std::vector<Mapping>> mappings(Pid pid) override {
    return twice([&] { return inner_.mappings(pid); });
  }
  std::optional<bool> is_own_page(Pid pid, Address at) override {
    const auto answer = inner_.is_own_page(pid, at);
    return answer ? answer : inner_.is_own_page(pid, at);
  }
  bool is_fixed_text(Pid pid, Address from, std::uint64_t size) override {
    return inner_.is_fixed_text(pid, from, size);
  }
  bool read_pieces(Pid pid, std::span<const Piece> pieces) override {
    return inner_.read_pieces(pid, pieces);
  }
  void forget_memory(Pid pid) override { inner_.forget_memory(pid); }

 private:
  template <class Request>
  auto twice(Request request) -> decltype(request()) {
    auto result = request();
    if (result || result.error().code == Errc::thread_gone) return result;
    return request();
  }

  Tracee& inner_;
};

}  // namespace stub
