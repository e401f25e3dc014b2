#include "stub/inferior/told_siginfo.h"

#include <unistd.h>

namespace stub {
namespace {

siginfo_t sent_by_us(int signal) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = signal == SIGSTOP ? SI_TKILL : SI_USER;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  return info;
}

siginfo_t step_trap() {
  siginfo_t info{};
  info.si_signo = SIGTRAP;
  info.si_code = TRAP_TRACE;
  return info;
}

// PTRACE_EVENT_STOP: an interrupt, job control, or the first stop of a thread.
bool is_plain_stop(const siginfo_t& kernel) {
  constexpr int event_stop = 128;
  return kernel.si_code == (event_stop << 8 | kernel.si_signo);
}

}  // namespace

siginfo_t told_siginfo(const siginfo_t& kernel, const std::optional<Stop>& told) {
  const bool plain = is_plain_stop(kernel);
  if (!told) return plain ? sent_by_us(SIGSTOP) : kernel;
  // A thread may be attached to while a signal is on its way to it. The client is told of that
  // signal when it has resumed the thread.
  if (told->signal == 0) return told->taken_over && !plain ? kernel : sent_by_us(SIGSTOP);
  if (told->kind == StopKind::step && (plain || kernel.si_signo != SIGTRAP)) return step_trap();
  if (told->signal == SIGTRAP || (told->signal == kernel.si_signo && !plain)) return kernel;
  return sent_by_us(told->signal);
}

bool is_invented(const siginfo_t& info) {
  const siginfo_t made = sent_by_us(info.si_signo);
  return info.si_code == made.si_code && info.si_pid == made.si_pid && info.si_uid == made.si_uid;
}

}  // namespace stub
