// Who this process is. Two processes make up the server (guardian.h): the guardian, which the user
// started, and the tracer, its child, which does all the work.
#pragma once

#include <sys/types.h>

namespace stub {

// The tracer's name (`ps -o comm`) and whole command line, so that `pkill sidestep` and `pkill -f
// :2345` match the guardian alone.
inline constexpr char tracer_name[] = "ss-tracer";

// The signal that the tracer gets when its guardian has died (PR_SET_PDEATHSIG). It means the same
// as a SIGTERM.
int guardian_gone_signal();

// The tracer calls this once, when it starts. Without it the process has no guardian.
void set_guardian(pid_t pid);

// In the tracer: the guardian has died, or has been sent a SIGKILL that it has not acted upon yet.
// Takes about 20 µs. False if there is no guardian.
bool guardian_was_killed();

// The pid is this process's or its guardian's.
bool is_ourselves(pid_t pid);

}  // namespace stub
