// What ptrace tells wrongly of a thread after execve (arch/pkru.h), set right.
#pragma once

#include "stub/kernel/tracee.h"

namespace stub {

// Makes the kernel tell and keep the PKRU that a thread has, which is stopped after execve and has
// not executed an instruction since. Does nothing where there are no protection keys, or to a
// thread that was killed meanwhile.
void complete_pkru_after_exec(Tracee& tracee, Tid tid);

}  // namespace stub
