// ptrace as the daemon uses it.
//
// Threads are always seized, never PTRACE_ATTACHed: SEIZE does not stop the thread,
// PTRACE_INTERRUPT stops it without a signal that anybody could see or lose, and group-stops can be
// listened to (ptrace(2), "PTRACE_SEIZE", "Group-stop").
#include "stub/kernel/linux_tracee.h"

#include "stub/kernel/proc_fs.h"
#include "stub/kernel/self.h"
#include "stub/kernel/trap_mask.h"
#include "stub/kernel/wait_status.h"

#include <elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace stub {
namespace {

static_assert(sizeof(x86::GeneralRegisters) == sizeof(user_regs_struct));
static_assert(offsetof(user, regs) == 0);
static_assert(static_cast<int>(PtraceEvent::fork) == PTRACE_EVENT_FORK);
static_assert(static_cast<int>(PtraceEvent::vfork) == PTRACE_EVENT_VFORK);
static_assert(static_cast<int>(PtraceEvent::clone) == PTRACE_EVENT_CLONE);
static_assert(static_cast<int>(PtraceEvent::exec) == PTRACE_EVENT_EXEC);
static_assert(static_cast<int>(PtraceEvent::vfork_done) == PTRACE_EVENT_VFORK_DONE);
static_assert(static_cast<int>(PtraceEvent::stop) == PTRACE_EVENT_STOP);

constexpr long trace_options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                               PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXEC;

long options_for(Lifetime lifetime) {
  return trace_options | (lifetime == Lifetime::exit_kill ? PTRACE_O_EXITKILL : 0);
}

// The kernel's signal set is 64 bits; glibc's sigset_t is larger.
constexpr std::size_t kernel_sigset_size = 8;

tl::unexpected<Error> system_error(const char* what, int error) {
  return fail(error == ESRCH ? Errc::thread_gone : Errc::system,
              std::string(what) + ": " + std::strerror(error), error);
}

Result<void> request(__ptrace_request what, Tid tid, std::uintptr_t addr, std::uintptr_t data,
                     const char* name) {
  if (ptrace(what, raw(tid), addr, data) == -1) return system_error(name, errno);
  return {};
}

template <class T>
std::uintptr_t pointer(const T& object) {
  return reinterpret_cast<std::uintptr_t>(&object);
}

}  // namespace

// The kernel refuses the tracer itself; a stopped guardian would be as bad.
Result<void> LinuxTracee::seize(Tid tid, Lifetime lifetime) {
  if (is_ourselves(raw(tid))) return fail(Errc::refused, "This server itself", EPERM);
  return request(PTRACE_SEIZE, tid, 0, static_cast<std::uintptr_t>(options_for(lifetime)),
                 "PTRACE_SEIZE");
}

Result<void> LinuxTracee::interrupt(Tid tid) {
  auto sent = request(PTRACE_INTERRUPT, tid, 0, 0, "PTRACE_INTERRUPT");
  if (sent) statuses_.expect(tid);
  return sent;
}

Result<void> LinuxTracee::resume(Tid tid, ResumeHow how, int signal) {
  const auto what = how == ResumeHow::run       ? PTRACE_CONT
                    : how == ResumeHow::step    ? PTRACE_SINGLESTEP
                    : how == ResumeHow::syscall ? PTRACE_SYSCALL
                                                : PTRACE_LISTEN;
  statuses_.resumed();
  return request(what, tid, 0, static_cast<std::uintptr_t>(signal), "resume");
}

Result<void> LinuxTracee::detach(Tid tid, int signal) {
  return request(PTRACE_DETACH, tid, 0, static_cast<std::uintptr_t>(signal), "PTRACE_DETACH");
}

Result<void> LinuxTracee::kill(Pid pid) {
  if (::kill(raw(pid), SIGKILL) == -1) return system_error("kill", errno);
  return {};
}

std::optional<WaitResult> LinuxTracee::wait() { return statuses_.next(); }

std::optional<WaitResult> LinuxTracee::poll(std::optional<Tid> tid) {
  int status = 0;
  const pid_t got = waitpid(tid ? raw(*tid) : -1, &status, __WALL | WNOHANG);
  if (got <= 0) return std::nullopt;
  return WaitResult{Tid{got}, status};
}

std::optional<WaitResult> LinuxTracee::wait_for(Tid tid) {
  if (auto fetched = statuses_.take(tid)) return fetched;
  int status = 0;
  pid_t got;
  do {
    got = waitpid(raw(tid), &status, __WALL);
  } while (got == -1 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  return WaitResult{tid, status};
}

Result<x86::GeneralRegisters> LinuxTracee::registers(Tid tid) {
  x86::GeneralRegisters regs{};
  if (auto done = request(PTRACE_GETREGS, tid, 0, pointer(regs), "PTRACE_GETREGS"); !done)
    return tl::unexpected(done.error());
  return regs;
}

Result<void> LinuxTracee::set_registers(Tid tid, const x86::GeneralRegisters& regs) {
  return request(PTRACE_SETREGS, tid, 0, pointer(regs), "PTRACE_SETREGS");
}

// Two words at most are worth a call each (0.65 us against 1.6 us for all 27 on the machine this
// was measured on); a thread that leaves a site by a slot has a new PC and nothing else.
Result<void> LinuxTracee::change_registers(Tid tid, const x86::GeneralRegisters& before,
                                           const x86::GeneralRegisters& after) {
  constexpr std::size_t words = sizeof after / sizeof(std::uint64_t);
  using Words = std::array<std::uint64_t, words>;
  const auto old = std::bit_cast<Words>(before);
  const auto now = std::bit_cast<Words>(after);
  std::array<std::size_t, 2> changed{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < words; ++i) {
    if (old[i] == now[i]) continue;
    if (count == changed.size()) return set_registers(tid, after);
    changed[count++] = i;
  }
  for (std::size_t i = 0; i < count; ++i)
    if (auto done = poke_user(tid, changed[i] * sizeof(std::uint64_t), now[changed[i]]); !done)
      return done;
  return {};
}

Result<std::uint64_t> LinuxTracee::peek_user(Tid tid, std::size_t offset) {
  errno = 0;
  const long word = ptrace(PTRACE_PEEKUSER, raw(tid), offset, 0);
  if (errno != 0) return system_error("PTRACE_PEEKUSER", errno);
  return static_cast<std::uint64_t>(word);
}

Result<void> LinuxTracee::poke_user(Tid tid, std::size_t offset, std::uint64_t value) {
  return request(PTRACE_POKEUSER, tid, offset, value, "PTRACE_POKEUSER");
}

Result<std::size_t> LinuxTracee::xstate(Tid tid, std::span<std::byte> into) {
  iovec vector{into.data(), into.size()};
  if (auto done =
          request(PTRACE_GETREGSET, tid, NT_X86_XSTATE, pointer(vector), "PTRACE_GETREGSET");
      !done)
    return tl::unexpected(done.error());
  return vector.iov_len;
}

Result<void> LinuxTracee::set_xstate(Tid tid, std::span<const std::byte> from) {
  iovec vector{const_cast<std::byte*>(from.data()), from.size()};
  return request(PTRACE_SETREGSET, tid, NT_X86_XSTATE, pointer(vector), "PTRACE_SETREGSET");
}

Result<siginfo_t> LinuxTracee::siginfo(Tid tid) {
  siginfo_t info{};
  if (auto done = request(PTRACE_GETSIGINFO, tid, 0, pointer(info), "PTRACE_GETSIGINFO"); !done)
    return tl::unexpected(done.error());
  return info;
}

Result<void> LinuxTracee::set_siginfo(Tid tid, const siginfo_t& info) {
  return request(PTRACE_SETSIGINFO, tid, 0, pointer(info), "PTRACE_SETSIGINFO");
}

Result<std::uint64_t> LinuxTracee::event_message(Tid tid) {
  unsigned long message = 0;
  if (auto done = request(PTRACE_GETEVENTMSG, tid, 0, pointer(message), "PTRACE_GETEVENTMSG");
      !done)
    return tl::unexpected(done.error());
  return message;
}

Result<std::uint64_t> LinuxTracee::signal_mask(Tid tid) {
  std::uint64_t mask = 0;
  if (auto done =
          request(PTRACE_GETSIGMASK, tid, kernel_sigset_size, pointer(mask), "PTRACE_GETSIGMASK");
      !done)
    return tl::unexpected(done.error());
  return mask;
}

Result<void> LinuxTracee::set_signal_mask(Tid tid, std::uint64_t mask) {
  return request(PTRACE_SETSIGMASK, tid, kernel_sigset_size, pointer(mask), "PTRACE_SETSIGMASK");
}

namespace {

// The first signals of a queue, the thread's own or (flags) that of its process.
class PendingSignals {
 public:
  PendingSignals(Tid tid, std::uint32_t flags) {
    const __ptrace_peeksiginfo_args arguments{
        .off = 0, .flags = flags, .nr = static_cast<std::int32_t>(std::size(signals_))};
    const long count = ptrace(PTRACE_PEEKSIGINFO, raw(tid), pointer(arguments), signals_);
    count_ = static_cast<std::size_t>(std::max(count, 0l));
  }
  const siginfo_t* begin() const { return signals_; }
  const siginfo_t* end() const { return signals_ + count_; }

 private:
  siginfo_t signals_[32];
  std::size_t count_ = 0;
};

}  // namespace

bool LinuxTracee::trap_pending(Tid tid) {
  const PendingSignals pending(tid, 0);
  const auto trap = std::find_if(pending.begin(), pending.end(),
                                 [](const auto& i) { return i.si_signo == SIGTRAP; });
  if (trap == pending.end() || trap->si_code > 0) return trap != pending.end();
  // One that the program had pending stands for the trap, which has unblocked it (trap_mask.h).
  const auto mask = signal_mask(tid);
  return mask && (*mask & sigtrap_bit) == 0;
}

bool LinuxTracee::signal_pending(Tid tid) {
  const PendingSignals own(tid, 0), shared(tid, PTRACE_PEEKSIGINFO_SHARED);
  if (own.begin() == own.end() && shared.begin() == shared.end()) return false;
  const auto mask = signal_mask(tid);
  const auto unblocked = [&](const siginfo_t& each) {
    return mask && (*mask >> (each.si_signo - 1) & 1) == 0;
  };
  return std::any_of(own.begin(), own.end(), unblocked) ||
         std::any_of(shared.begin(), shared.end(), unblocked);
}

Result<void> LinuxTracee::send_signal(Tid tid, int signal) {
  std::ifstream status("/proc/" + std::to_string(raw(tid)) + "/status");
  pid_t tgid = 0;
  for (std::string line; std::getline(status, line);)
    if (std::sscanf(line.c_str(), "Tgid: %d", &tgid) == 1) break;
  if (tgid == 0 || tgkill(tgid, raw(tid), signal) == -1)
    return system_error("tgkill", tgid == 0 ? ESRCH : errno);
  return {};
}

std::optional<bool> LinuxTracee::shares_memory(Pid a, Pid b) {
  constexpr int kcmp_vm = 1;  // linux/kcmp.h
  const auto order = syscall(SYS_kcmp, raw(proc_fs::memory_thread(a)),
                             raw(proc_fs::memory_thread(b)), kcmp_vm, 0, 0);
  return order < 0 ? std::nullopt : std::optional(order == 0);
}

// PTRACE_GET_RSEQ_CONFIGURATION of linux/ptrace.h, which cannot be included beside sys/ptrace.h.
std::optional<Address> LinuxTracee::rseq_area(Tid tid) {
  struct {
    std::uint64_t area;
    std::uint32_t size, signature, flags, padding;
  } configuration{};
  constexpr auto get_rseq_configuration = static_cast<__ptrace_request>(0x420f);
  if (!request(get_rseq_configuration, tid, sizeof configuration, pointer(configuration),
               "PTRACE_GET_RSEQ_CONFIGURATION") ||
      configuration.area == 0)
    return std::nullopt;
  return Address(configuration.area);
}

bool LinuxTracee::suspend_seccomp(Tid tid, Lifetime lifetime, bool suspended) {
  const long options = options_for(lifetime) | (suspended ? PTRACE_O_SUSPEND_SECCOMP : 0);
  return request(PTRACE_SETOPTIONS, tid, 0, static_cast<std::uintptr_t>(options),
                 "PTRACE_SETOPTIONS")
      .has_value();
}

// PTRACE_GET_ and PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG of linux/ptrace.h.
std::optional<SyscallDispatch> LinuxTracee::syscall_dispatch(Tid tid) {
  SyscallDispatch dispatch;
  constexpr auto get_config = static_cast<__ptrace_request>(0x4211);
  const bool is_told = request(get_config, tid, sizeof dispatch, pointer(dispatch),
                               "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG")
                           .has_value();
  if (!is_told || dispatch.mode == SyscallDispatch().mode) return std::nullopt;
  return dispatch;
}

// What dispatches from inside its range only (PR_SYS_DISPATCH_INCLUSIVE_ON) is told as what
// dispatches from outside the complement, a range that wraps around, but is not taken like that
// (kernel/entry/syscall_user_dispatch.c, task_set_syscall_user_dispatch).
bool LinuxTracee::set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) {
  constexpr std::uint64_t inclusive = 2;
  constexpr auto set_config = static_cast<__ptrace_request>(0x4210);
  SyscallDispatch config = dispatch;
  const std::uint64_t end = config.offset + config.length;
  if (config.offset != 0 && end <= config.offset)
    config = {
        .mode = inclusive, .selector = config.selector, .offset = end, .length = -config.length};
  return request(set_config, tid, sizeof config, pointer(config),
                 "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG")
      .has_value();
}

// PTRACE_SECCOMP_GET_FILTER of linux/ptrace.h: without a buffer it tells the length. Classic BPF
// reaches the call's data by absolute loads alone (kernel/seccomp.c, seccomp_check_filter).
std::optional<bool> LinuxTracee::filter_reads_address(Tid tid, unsigned number) {
  constexpr auto get_filter = static_cast<__ptrace_request>(0x420c);
  const long length = ptrace(get_filter, raw(tid), number, nullptr);
  if (length <= 0) return std::nullopt;
  std::vector<sock_filter> program(static_cast<std::size_t>(length));
  if (ptrace(get_filter, raw(tid), number, program.data()) != length) return std::nullopt;
  constexpr std::uint32_t first = offsetof(seccomp_data, instruction_pointer);
  return std::ranges::any_of(program, [](const sock_filter& each) {
    return each.code == (BPF_LD | BPF_W | BPF_ABS) && each.k >= first && each.k < first + 8;
  });
}

// The processors that have them are new, and the others need not be asked at each call and return.
// The register set is there only for a thread that uses one (arch/x86/kernel/fpu/regset.c,
// ssp_get).
bool LinuxTracee::has_shadow_stack(Tid tid) {
  static const bool possible =
      proc_fs::read_file("/proc/cpuinfo").value_or("").find(" user_shstk") != std::string::npos;
  if (!possible) return false;
  constexpr std::uintptr_t shadow_stack_set = 0x204;  // NT_X86_SHSTK of linux/elf.h
  std::uint64_t pointer_to_top = 0;
  iovec set{&pointer_to_top, sizeof pointer_to_top};
  return request(PTRACE_GETREGSET, tid, shadow_stack_set, pointer(set), "PTRACE_GETREGSET")
      .has_value();
}

}  // namespace stub
