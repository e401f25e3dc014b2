#include "stub/kernel/daemon_signals.h"

#include <algorithm>
#include <cerrno>

#include "stub/kernel/self.h"

namespace stub {

sigset_t daemon_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, guardian_gone_signal()}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    if (signal == SIGCHLD || action.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  return set;
}

void hold_daemon_signals() {
  const sigset_t set = daemon_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

bool is_to_end() {
  sigset_t pending, ends = daemon_signals();
  sigdelset(&ends, SIGCHLD);
  sigpending(&pending);
  sigandset(&pending, &pending, &ends);
  return sigisemptyset(&pending) == 0;
}

int take_daemon_signal(std::optional<std::chrono::milliseconds> at_most) {
  const sigset_t set = daemon_signals();
  const auto count = at_most ? at_most->count() : 0;
  const timespec limit{count / 1000, count % 1000 * 1'000'000};
  int signal = 0;
  do signal = sigtimedwait(&set, nullptr, at_most ? &limit : nullptr);
  while (signal < 0 && errno == EINTR);
  return std::max(signal, 0);
}

void wait_for_child_signal(timespec at_most) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigtimedwait(&set, nullptr, &at_most);
}

}  // namespace stub
