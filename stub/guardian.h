// Two processes, so that neither can be killed at the program's cost.
#pragma once

#include <sys/types.h>

#include <optional>

namespace stub {

// The tracer's name (`ps -o comm`) and all of its command line, so that `pkill sidestep` and `pkill
// -f :2345` mean the guardian alone.
inline constexpr char tracer_name[] = "ss-tracer";

// What the tracer is sent when its guardian has gone: to be taken for a SIGTERM.
int guardian_gone_signal();

// In the tracer: whether the guardian has gone, or has been sent a SIGKILL and has not come to die
// of it yet. Some 20 µs; false where there is no guardian.
bool guardian_was_killed();

// In the tracer: the tracer's pid or its guardian's.
bool is_ourselves(pid_t pid);

struct GuardianOptions {
  // The tracer is to read from the terminal itself, which only the terminal's foreground process
  // group may do: it stays in the guardian's group.
  bool one_group = false;
  // main()'s. In the tracer their memory is overwritten by its name.
  int argc = 0;
  char** argv = nullptr;
};

// Forks. Returns nullopt in the child, the tracer, which goes on as the daemon; its journal is
// open. In the parent, the guardian, it returns when the tracer has ended and everything is cleaned
// up: the exit status, unless the tracer died by a signal, which the parent then dies by as well.
// When a process more is not to be had, nullopt as well: there is no guardian then.
std::optional<int> stand_guard(const GuardianOptions& options);

// Dies as if the signal had never been caught.
void die_of(int signal);

}  // namespace stub
