#include "stub/kernel/remote_syscall.h"

#include <csignal>
#include <cstring>

#include "stub/kernel/syscall_restart.h"
#include "stub/kernel/wait_status.h"

namespace stub {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t all_but_forced = ~(bit(SIGTRAP) | bit(SIGSYS));

constexpr SyscallNumbers amd64_numbers{
    .mmap = 9, .munmap = 11, .madvise = 28, .prctl = 157, .rt_sigaction = 13};
constexpr SyscallNumbers i386_numbers{
    .mmap = 192, .munmap = 91, .madvise = 219, .prctl = 172, .rt_sigaction = 174};

using Register = std::uint64_t x86::GeneralRegisters::*;
constexpr std::array<Register, 6> amd64_arguments{
    &x86::GeneralRegisters::rdi, &x86::GeneralRegisters::rsi, &x86::GeneralRegisters::rdx,
    &x86::GeneralRegisters::r10, &x86::GeneralRegisters::r8,  &x86::GeneralRegisters::r9};
constexpr std::array<Register, 6> i386_arguments{
    &x86::GeneralRegisters::rbx, &x86::GeneralRegisters::rcx, &x86::GeneralRegisters::rdx,
    &x86::GeneralRegisters::rsi, &x86::GeneralRegisters::rdi, &x86::GeneralRegisters::rbp};

// The kernel returns -4095..-1 for errors (include/linux/err.h, MAX_ERRNO).
constexpr std::int64_t lowest_error = -4095;

}  // namespace

const SyscallNumbers& syscall_numbers(x86::Mode mode) {
  return mode == x86::Mode::amd64 ? amd64_numbers : i386_numbers;
}

RemoteSyscall::RemoteSyscall(Tracee& tracee, Tid tid, x86::Mode mode, Address at)
    : tracee_(tracee), tid_(tid), mode_(mode), at_(at) {
  const auto regs = tracee_.registers(tid);
  const auto mask = tracee_.signal_mask(tid);
  if (!regs || !mask) return;
  saved_ = *regs;
  saved_mask_ = *mask;
  if (auto info = tracee_.siginfo(tid)) saved_info_ = *info;
  usable_ = tracee_.set_signal_mask(tid, all_but_forced).has_value();
}

RemoteSyscall::~RemoteSyscall() {
  if (!usable_) return;
  // Each may find the thread killed; then there is nothing left to restore.
  (void)tracee_.set_registers(tid_, saved_);
  if (saved_info_) (void)tracee_.set_siginfo(tid_, *saved_info_);
  (void)tracee_.set_signal_mask(tid_, saved_mask_);
  for (const int signal : signals_taken_) (void)tracee_.send_signal(tid_, signal);
  if (left_group_stop_) (void)tracee_.interrupt(tid_);
}

Result<std::uint64_t> RemoteSyscall::call(std::uint64_t number,
                                          std::initializer_list<std::uint64_t> arguments) {
  return begin(number, arguments).and_then([&] { return step_over_instruction(); }).and_then([&] {
    return value();
  });
}

Result<std::uint64_t> RemoteSyscall::call_untrapped(
    std::uint64_t number, std::initializer_list<std::uint64_t> arguments) {
  saved_info_.reset();
  return begin(number, arguments).and_then([&] { return run_through_call(); }).and_then([&] {
    return value();
  });
}

Result<void> RemoteSyscall::begin(std::uint64_t number,
                                  std::initializer_list<std::uint64_t> arguments) {
  if (!usable_) return fail(Errc::thread_gone, "The thread cannot execute a system call", ESRCH);
  x86::GeneralRegisters regs = saved_;
  regs.rip = at_.value();
  regs.rax = number;
  regs.orig_rax = ~std::uint64_t{0};  // no restart of the interrupted call in between
  regs.eflags &= ~x86::trap_flag;
  const auto& places = mode_ == x86::Mode::amd64 ? amd64_arguments : i386_arguments;
  auto place = places.begin();
  for (const std::uint64_t argument : arguments) regs.*(*place++) = argument;
  return tracee_.set_registers(tid_, regs);
}

Result<std::uint64_t> RemoteSyscall::value() const {
  const auto after = tracee_.registers(tid_);
  if (!after) return tl::unexpected(after.error());
  auto value = static_cast<std::int64_t>(after->rax);
  if (mode_ == x86::Mode::i386) value = static_cast<std::int32_t>(after->rax);
  if (value >= lowest_error && value < 0)
    return fail(Errc::system, std::strerror(static_cast<int>(-value)), static_cast<int>(-value));
  return mode_ == x86::Mode::i386 ? static_cast<std::uint32_t>(value)
                                  : static_cast<std::uint64_t>(value);
}

// nullopt: it is gone.
std::optional<WaitStatus> RemoteSyscall::next_stop(ResumeHow how) {
  usable_ = tracee_.resume(tid_, how, 0).has_value();
  if (!usable_) return std::nullopt;
  const auto result = tracee_.wait_for(tid_);
  if (!result) return std::nullopt;
  const WaitStatus status = decode_wait_status(result->status);
  if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status)) {
    death_ = result;
    usable_ = false;
    return std::nullopt;
  }
  left_group_stop_ = left_group_stop_ || std::holds_alternative<GroupStop>(status);
  return status;
}

// Stops that may come before the call is over: an interrupt that was on its way, which the engine's
// own bookkeeping copes with when it was answered here; a group-stop, which is reported again when
// the thread runs on (an interrupt is answered with it: kernel/signal.c, do_jobctl_trap); a signal
// that could not be masked and that somebody has sent. After any other the thread is not on our
// instruction or the call but on something else.
bool RemoteSyscall::is_on_the_way(const WaitStatus& status) {
  if (std::holds_alternative<InterruptStop>(status) || std::holds_alternative<GroupStop>(status))
    return true;
  const auto* stop = std::get_if<SignalStop>(&status);
  if (stop == nullptr || (stop->signal != SIGTRAP && stop->signal != SIGSYS)) return false;
  const auto info = tracee_.siginfo(tid_);
  if (!info || info->si_code > 0) return false;
  signals_taken_.push_back(stop->signal);
  return true;
}

Result<void> RemoteSyscall::step_over_instruction() {
  constexpr int patience = 16;
  for (int i = 0; i < patience; ++i) {
    const auto status = next_stop(ResumeHow::step);
    if (!status) break;
    const auto regs = tracee_.registers(tid_);
    if (!regs) break;
    const auto* stop = std::get_if<SignalStop>(&*status);
    const bool behind = regs->pc() == at_ + syscall_length;
    if (stop != nullptr && stop->signal == SIGTRAP && behind) return {};
    if (is_on_the_way(*status) && (behind || regs->pc() == at_)) continue;
    if (stop != nullptr && stop->signal == SIGSYS)
      return fail(Errc::unsupported, "The program has system calls sent to itself");
    return fail(Errc::bad_address, "The thread stopped elsewhere than at a system call");
  }
  return fail(Errc::thread_gone, "The thread did not finish a system call", ESRCH);
}

// Into the call and out of it, and into the stop that comes before anything else.
Result<void> RemoteSyscall::run_through_call() {
  constexpr int patience = 16, ends = 2;
  int seen = 0;
  for (int i = 0; i < patience && seen < ends; ++i) {
    const auto status = next_stop(ResumeHow::syscall);
    if (!status) break;
    if (std::holds_alternative<SyscallStop>(*status))
      ++seen;
    else if (!is_on_the_way(*status))
      return fail(Errc::bad_address, "The thread stopped elsewhere than at a system call");
  }
  if (seen == ends && tracee_.interrupt(tid_) && next_stop(ResumeHow::run)) return {};
  return fail(Errc::thread_gone, "The thread did not finish a system call", ESRCH);
}

}  // namespace stub
