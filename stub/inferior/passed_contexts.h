// Hits that a signal handler has put off.
//
// A thread stands at a site, the hit has been dealt with, and a signal is delivered before the
// instruction has run. When the handler returns, the thread executes the int3 again; that is the
// same hit, and must not be told or counted a second time. A handler that jumps away (longjmp(3))
// never returns, and then the next int3 there is a new hit, although all registers may be equal: a
// program that probes memory comes by in the same state each time. So the match is made by the
// return itself. While a context is remembered here, the thread is resumed with PTRACE_SYSCALL,
// which shows it at the exit of rt_sigreturn(2) with the registers that the kernel has restored.
// Everything else that brings a thread to the site is a new hit.
//
// What can happen to a remembered context, each a row of tests/stub/inferior/passed_contexts_test.cc:
//
// - The handler returns to the site: the same hit, whatever other registers it has changed.
//
// - The handler returns elsewhere: the context is over (a JIT's null check, Go's sigpanic). But if
//   it was made to call a function whose return address is the site (Go's preemption), the first
//   hit in exactly the same state is that function's return.
//
// - The int3 is hit with the same stack pointer and without a return: a new hit. The handler has
//   jumped away, since two contexts that are alive never have the same stack pointer.
//
// - Another signal is delivered in the same place: the older context is over, for the same reason.
//
// - A handler runs in the handler: it has a frame and a context of its own.
//
// - The handler switches to another context (swapcontext(3)), or exchanges the saved one: the
//   frame stays as it is until the program comes back to it. The match is by what the kernel
//   restores, wherever the frame was. Only the thread that was interrupted is watched: in another
//   one it is a new hit.
//
// After a jump, a context makes no difference but for the two stops that each system call of the
// thread costs. So it is dropped when its frame is: when the thread is deeper in the stack and the
// frame's bytes are no longer that frame, or when it has made some system calls elsewhere. (A
// thread that is elsewhere may have switched to another stack inside of the handler. That is why it
// is given the time of a few calls.)
#pragma once

#include <cstddef>
#include <vector>

#include "arch/registers.h"
#include "stub/base/memory_reader.h"
#include "stub/base/types.h"

namespace stub {

// A site that was passed, and the instruction there has not been executed.
struct PassedContext {
  x86::GeneralRegisters state;  // at the site
  Address frame;  // the stack pointer at the first instruction of the handler: its signal frame
  bool fault = false;   // the instruction itself raised the signal
  bool called = false;  // the handler has made it call a function, which returns to the site
  unsigned calls_elsewhere = 0;
};

class PassedContexts {
 public:
  bool empty() const { return contexts_.empty(); }

  // A handler begins to run in place of it.
  void begin(const PassedContext& context);
  // A signal is delivered to the thread in this state, whether or not a site is there.
  void interrupted(const x86::GeneralRegisters& state);
  // The thread, with this stack pointer, enters a system call that is not sigreturn.
  void system_call(Address stack_pointer, MemoryReader& memory);
  // A sigreturn that was entered with `stack_pointer` has restored these registers. True: the
  // thread is back at a site that it has passed.
  bool returned(Address stack_pointer, const x86::GeneralRegisters& restored, MemoryReader& memory);
  // The int3 of a site was executed; `state` is that in front of it. True: it is the same hit.
  bool hit(const x86::GeneralRegisters& state);
  // The site was removed.
  void forget(Address site);

  static constexpr std::size_t most_contexts = 16;
  static constexpr unsigned patience = 256;  // system calls elsewhere

 private:
  std::vector<PassedContext> contexts_;  // the newest last
};

// A thread that enters a system call with these registers returns from a signal handler
// (sigreturn(2): arch/x86/entry/syscalls/syscall_64.tbl, syscall_32.tbl).
bool is_sigreturn(const x86::GeneralRegisters& entry);

// The same place in the program's execution: all that an instruction can see. The resume flag is
// set or clear depending on how the kernel came by the frame, orig_rax is not the program's.
bool same_state(x86::GeneralRegisters a, x86::GeneralRegisters b);

}  // namespace stub
