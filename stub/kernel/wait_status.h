// A status word of waitpid(2), taken apart (ptrace(2), "Stopped tracees").
#pragma once

#include <sys/wait.h>

#include <csignal>
#include <variant>

namespace stub {

// Values of PTRACE_EVENT_*; linux_tracee.cc asserts them.
enum class PtraceEvent : int {
  fork = 1,
  vfork = 2,
  clone = 3,
  exec = 4,
  vfork_done = 5,
  stop = 128
};

struct Exited {
  int code;
};
struct Killed {
  int signal;
};
// The thread is about to receive this signal.
struct SignalStop {
  int signal;
};
struct SyscallStop {};
// fork, vfork, clone, exec, vfork_done: the event message says more.
struct EventStop {
  PtraceEvent event;
};
// PTRACE_EVENT_STOP with SIGTRAP: the answer to PTRACE_INTERRUPT, or the first stop of a new
// thread.
struct InterruptStop {};
// PTRACE_EVENT_STOP with a stopping signal: job control has stopped the whole process.
struct GroupStop {
  int signal;
};

using WaitStatus =
    std::variant<Exited, Killed, SignalStop, SyscallStop, EventStop, InterruptStop, GroupStop>;

inline WaitStatus decode_wait_status(int status) {
  if (WIFEXITED(status)) return Exited{WEXITSTATUS(status)};
  if (WIFSIGNALED(status)) return Killed{WTERMSIG(status)};
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == static_cast<int>(PtraceEvent::stop)) {
    if (signal == SIGTRAP) return InterruptStop{};
    return GroupStop{signal};
  }
  if (event != 0) return EventStop{static_cast<PtraceEvent>(event)};
  if (signal == (SIGTRAP | 0x80)) return SyscallStop{};
  return SignalStop{signal};
}

}  // namespace stub
