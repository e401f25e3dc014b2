// A program that ignores SIGTRAP, and goes on doing so when it is let go.
#pragma once

#include "stub/inferior/inferior.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/tracee.h"

namespace stub {

// Whether a process ignores SIGTRAP, or does nothing of its own about it. False if it is gone.
bool ignores_trap(Pid pid);
bool leaves_trap_alone(Pid pid);

// Has `thread` set the process's action for SIGTRAP to "ignore"; it is stopped, without a signal
// that it is still to receive. False: it cannot be asked (borrow_thread()).
bool ignore_trap(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread);

}  // namespace stub
