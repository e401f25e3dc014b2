// The siginfo of a stop as the client was told of it.
//
// The server stops threads without sending them signals (PTRACE_INTERRUPT), and tells the client
// SIGINT, or no signal at all. The kernel's siginfo is that of its own stop: SIGTRAP with an event
// in si_code. A client sees what gdbserver's has there, which sends real signals: SIGINT by kill(2)
// for a Ctrl-C, SIGSTOP by tgkill(2) for vCont;t and for threads that are held with another one.
#pragma once

#include <csignal>
#include <optional>

#include "stub/inferior/stop.h"

namespace stub {

// `kernel`: PTRACE_GETSIGINFO of the stopped thread; `told`: what the client knows of its stop, if
// anything.
siginfo_t told_siginfo(const siginfo_t& kernel, const std::optional<Stop>& told);

// A siginfo that told_siginfo() has made up. A client may write one back (gdb does after an
// inferior call); no program is to receive it with a signal.
bool is_invented(const siginfo_t& info);

}  // namespace stub
