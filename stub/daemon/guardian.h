// Two processes, so that neither can be killed at the program's cost.
#pragma once

#include <sys/types.h>

#include <optional>

namespace stub {

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
