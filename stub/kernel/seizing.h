// Seizing one thread, and what it means when the kernel refuses.
#pragma once

#include <sys/types.h>

#include "stub/kernel/proc_fs.h"
#include "stub/kernel/tracee.h"

namespace stub {

enum class Seizure : std::uint8_t {
  seized,
  ours,     // by its birth: the kernel seizes what a traced thread creates, and tells of it later
  gone,     // it has ended, or is about to
  passing,  // nobody traces it any more: to be tried again
  refused,  // another process traces it, or it may not be traced
};

// What a refusal means, by the error and what /proc says of the thread afterwards. `self`: the pid
// of this process. PTRACE_SEIZE answers EPERM for a thread that is traced, by us as well, and for
// one that is exiting (kernel/ptrace.c, ptrace_attach).
Seizure meaning_of_refusal(int error, const Result<proc_fs::Status>& thread, pid_t self);

struct SeizeResult {
  Seizure what = Seizure::seized;
  int error = 0;  // errno of the refusal
};

// Never `passing`: it is tried again, and refused when that does not help. A tracer outside of our
// pid namespace looks like none (proc_pid_status(5), TracerPid).
SeizeResult seize_thread(Tracee& tracee, Tid tid, Lifetime lifetime);

}  // namespace stub
