// Threads that have called vfork: asleep until the child execs or ends.
//
// The kernel stops such a thread twice: at PTRACE_EVENT_VFORK before it goes to sleep, and at
// PTRACE_EVENT_VFORK_DONE when it has woken up (kernel/fork.c, kernel_clone). In between it answers
// nothing but SIGKILL (wait_for_vfork_done), and the child may take as long as it likes. So while
// it sleeps it counts as stopped: its registers are kept, it can answer a Ctrl-C, and nobody waits
// for it. Once the child is gone it is about to stop, and is waited for like any other.
#include "stub/engine/engine.h"

namespace stub {

// The trap flag waits until the thread is awake: it would stay in a thread that sleeps when the
// server ends, since the kernel takes it out with PTRACE_DETACH, which needs a stopped thread, and
// not when the tracer exits (kernel/ptrace.c, exit_ptrace). VFORK_DONE comes in front of the return
// to the program, so no instruction is missed.
ResumeHow Engine::prepare_for_vfork(Thread& parent, ResumeHow how) {
  parent.xstate_in_vfork = whole_xstate(tracee_, parent.tid).value_or(std::vector<std::byte>{});
  (void)general(parent);
  return how == ResumeHow::step ? ResumeHow::run : how;
}

// The child has left the memory, so its parent stops at VFORK_DONE now.
void Engine::wake_vfork_parent(Pid child) {
  for (const auto& [tid, parent] : processes_.threads()) {
    if (parent->vfork_child != child) continue;
    parent->vfork_child.reset();
    parent->in_vfork = false;
  }
}

// One that the client had stopped while it slept is told of when it is resumed.
void Engine::on_vfork_done(Thread& parent) {
  if (interest_.events.vfork && !parent.process->hidden)
    return queue_stop(parent, {.kind = StopKind::vfork_done, .signal = SIGTRAP});
  settle(parent);
}

}  // namespace stub
