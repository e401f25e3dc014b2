#include "stub/kernel/exec_pkru.h"

#include <utility>

#include "arch/pkru.h"

namespace stub {

// This server does not use protection keys, so its own value is the kernel's default.
void complete_pkru_after_exec(Tracee& tracee, Tid tid) {
  const auto initial = x86::own_pkru();
  if (!initial) return;
  auto xstate = whole_xstate(tracee, tid);
  if (!xstate) return;
  x86::RegisterFile file{.general = {}, .xstate = std::move(*xstate)};
  if (x86::complete_pkru_after_exec(file, *initial)) (void)tracee.set_xstate(tid, file.xstate);
}

}  // namespace stub
