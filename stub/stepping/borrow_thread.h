// A stopped thread of the inferior, lent to the stub for some system calls.
#pragma once

#include <functional>

#include "stub/inferior/inferior.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/remote_syscall.h"
#include "stub/kernel/tracee.h"

namespace stub {

// Calls `work` with `thread` (stopped) ready to execute system calls, and leaves it as it was.
// Errors: those of `work`; without its having been called: bad_address when it cannot be now, being
// inside a system call or in code of another word size than the program's; unsupported when it has
// a seccomp filter that may not be suspended, or a dispatch of its system calls that may not be;
// refused when the program holds no instruction to make system calls with; thread_gone.
// `inbox` gets the thread's end back when it was waited for here.
Result<void> borrow_thread(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                           const Thread& thread,
                           const std::function<Result<void>(RemoteSyscall&)>& work);

}  // namespace stub
