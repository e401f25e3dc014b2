// A kernel that refuses one request. Around any Tracee, the one of paper or the real one.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

#include "stub/kernel/tracee.h"

namespace stub {

class FaultyTracee final : public Tracee {
 public:
  explicit FaultyTracee(Tracee& inner) : inner_(inner) {}

  // The call of this number (from 0) fails with `error`; of memory only half is moved then.
  int fail_at = -1;
  int error = 0;
  int calls = 0;
  std::string failed;  // the call that was

  Result<void> seize(Tid tid, Lifetime lifetime) override {
    return call("seize", [&] { return inner_.seize(tid, lifetime); });
  }
  Result<void> interrupt(Tid tid) override {
    return call("interrupt", [&] { return inner_.interrupt(tid); });
  }
  Result<void> resume(Tid tid, ResumeHow how, int signal) override {
    return call("resume", [&] { return inner_.resume(tid, how, signal); });
  }
  Result<void> detach(Tid tid, int signal) override {
    return call("detach", [&] { return inner_.detach(tid, signal); });
  }
  Result<void> kill(Pid pid) override {
    return call("kill", [&] { return inner_.kill(pid); });
  }
  std::optional<WaitResult> wait() override { return inner_.wait(); }
  std::optional<WaitResult> wait_for(Tid tid) override { return inner_.wait_for(tid); }
  Result<x86::GeneralRegisters> registers(Tid tid) override {
    return call("registers", [&] { return inner_.registers(tid); });
  }
  Result<void> set_registers(Tid tid, const x86::GeneralRegisters& regs) override {
    return call("set_registers", [&] { return inner_.set_registers(tid, regs); });
  }
  Result<void> change_registers(Tid tid, const x86::GeneralRegisters& before,
                                const x86::GeneralRegisters& after) override {
    return call("change_registers", [&] { return inner_.change_registers(tid, before, after); });
  }
  Result<std::uint64_t> peek_user(Tid tid, std::size_t offset) override {
    return call("peek_user", [&] { return inner_.peek_user(tid, offset); });
  }
  Result<void> poke_user(Tid tid, std::size_t offset, std::uint64_t value) override {
    return call("poke_user", [&] { return inner_.poke_user(tid, offset, value); });
  }
  Result<std::size_t> xstate(Tid tid, std::span<std::byte> into) override {
    return call("xstate", [&] { return inner_.xstate(tid, into); });
  }
  Result<void> set_xstate(Tid tid, std::span<const std::byte> from) override {
    return call("set_xstate", [&] { return inner_.set_xstate(tid, from); });
  }
  Result<siginfo_t> siginfo(Tid tid) override {
    return call("siginfo", [&] { return inner_.siginfo(tid); });
  }
  Result<void> set_siginfo(Tid tid, const siginfo_t& info) override {
    return call("set_siginfo", [&] { return inner_.set_siginfo(tid, info); });
  }
  Result<std::uint64_t> event_message(Tid tid) override {
    return call("event_message", [&] { return inner_.event_message(tid); });
  }
  Result<std::uint64_t> signal_mask(Tid tid) override {
    return call("signal_mask", [&] { return inner_.signal_mask(tid); });
  }
  Result<void> set_signal_mask(Tid tid, std::uint64_t mask) override {
    return call("set_signal_mask", [&] { return inner_.set_signal_mask(tid, mask); });
  }
  bool trap_pending(Tid tid) override { return inner_.trap_pending(tid); }
  bool signal_pending(Tid tid) override { return inner_.signal_pending(tid); }
  Result<void> send_signal(Tid tid, int signal) override {
    return call("send_signal", [&] { return inner_.send_signal(tid, signal); });
  }
  std::optional<bool> shares_memory(Pid a, Pid b) override { return inner_.shares_memory(a, b); }
  std::optional<Address> rseq_area(Tid tid) override { return inner_.rseq_area(tid); }
  bool suspend_seccomp(Tid tid, Lifetime lifetime, bool suspended) override {
    return !fails("suspend_seccomp") && inner_.suspend_seccomp(tid, lifetime, suspended);
  }
  std::optional<SyscallDispatch> syscall_dispatch(Tid tid) override {
    return inner_.syscall_dispatch(tid);
  }
  std::optional<bool> filter_reads_address(Tid tid, unsigned number) override {
    return inner_.filter_reads_address(tid, number);
  }
  bool has_shadow_stack(Tid tid) override { return inner_.has_shadow_stack(tid); }
  bool set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) override {
    return !fails("set_syscall_dispatch") && inner_.set_syscall_dispatch(tid, dispatch);
  }
  std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to) override {
    return inner_.read_memory(pid, from, fails("read_memory") ? to.first(to.size() / 2) : to);
  }
  std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from) override {
    return inner_.write_memory(pid, to, fails("write_memory") ? from.first(from.size() / 2) : from);
  }
  bool read_as_program(Pid pid, Address from, std::span<std::byte> to) override {
    return !fails("read_as_program") && inner_.read_as_program(pid, from, to);
  }
  bool write_as_program(Pid pid, Address to, std::span<const std::byte> from) override {
    return !fails("write_as_program") && inner_.write_as_program(pid, to, from);
  }
  Result<std::vector<Mapping>> mappings(Pid pid) override {
    return call("mappings", [&] { return inner_.mappings(pid); });
  }
  std::optional<bool> is_own_page(Pid pid, Address at) override {
    return fails("is_own_page") ? std::nullopt : inner_.is_own_page(pid, at);
  }
  bool is_fixed_text(Pid pid, Address from, std::uint64_t size) override {
    return !fails("is_fixed_text") && inner_.is_fixed_text(pid, from, size);
  }
  bool read_pieces(Pid pid, std::span<const Piece> pieces) override {
    return !fails("read_pieces") && inner_.read_pieces(pid, pieces);
  }
  void forget_memory(Pid pid) override { inner_.forget_memory(pid); }

 private:
  bool fails(const char* name) {
    if (calls++ != fail_at) return false;
    failed = name;
    return true;
  }
  template <class Inner>
  auto call(const char* name, Inner inner) -> decltype(inner()) {
    if (!fails(name)) return inner();
    return fail(Errc::system, std::string(name) + ": " + std::strerror(error), error);
  }

  Tracee& inner_;
};

}  // namespace stub
