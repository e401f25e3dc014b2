// What a thread stopped for, in the client's terms.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>

#include "stub/base/types.h"

namespace stub {

enum class StopKind : std::uint8_t {
  signal,         // `signal` is about to be delivered; 0: stopped because the client asked
  breakpoint,     // a software breakpoint of the client; PC is its address
  hw_breakpoint,  // Z1
  write_watch,    // Z2: `value` is the data address
  access_watch,   // Z4
  step,           // a step or range step is complete (SIGTRAP)
  fork,           // `value` is the child's pid
  vfork,
  vfork_done,
  exec,           // `path`
  syscall_entry,  // `value` is the call's number
  syscall_return,
  thread_created,  // QThreadEvents: the thread is the new one
  cloned,          // QThreadOptions: the thread is the parent, `value` the child's tid
  thread_exited,   // `value` is the exit code
  process_exited,  // `value` is the exit code
  process_killed,  // `signal`
  no_resumed,      // no thread that the client resumed is left
};

// Not so: events of a process, and the end of a thread, which is no stop of one.
constexpr bool is_thread_stop(StopKind kind) {
  return kind != StopKind::process_exited && kind != StopKind::process_killed &&
         kind != StopKind::no_resumed && kind != StopKind::thread_exited;
}

struct Stop {
  StopKind kind = StopKind::signal;
  int signal = 0;  // host number
  std::uint64_t value = 0;
  bool interrupt =
      false;  // the answer to a Ctrl-C: any other stop that is told first answers it too
  // The stop in which we took the process over: by starting it (SIGTRAP), or by attaching (0, or
  // the signal that was just being delivered).
  bool taken_over = false;
  std::string path{};
};

// The new thread that the stop tells of, of a new process the leader. The client does not know of
// it before it is told.
inline std::optional<Tid> child_of(const Stop& stop) {
  if (stop.kind != StopKind::fork && stop.kind != StopKind::vfork && stop.kind != StopKind::cloned)
    return std::nullopt;
  return Tid{static_cast<pid_t>(stop.value)};
}

struct StopReport {
  Pid pid{};
  Tid tid{};  // for process events the leader
  Stop stop;
};

}  // namespace stub
