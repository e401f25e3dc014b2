#include "stub/kernel/exec_pkru.h"

#include "arch/pkru.h"

namespace stub {

// This server does not use protection keys, so its own value is the kernel's default.
void complete_pkru_after_exec(Tracee& tracee, Tid tid) {
  const auto initial = x86::own_pkru();
  if (!initial) return;
  x86::RegisterFile file{.general = {}, .xstate = {}};
  file.xstate.resize(x86::largest_xstate);
  const auto size = tracee.xstate(tid, file.xstate);
  if (!size) return;
  file.xstate.resize(*size);
  if (x86::complete_pkru_after_exec(file, *initial)) (void)tracee.set_xstate(tid, file.xstate);
}

}  // namespace stub
