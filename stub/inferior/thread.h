// One thread of an inferior: what the kernel did to it, what the client wants of it, and where it
// is in a step over a breakpoint.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "arch/registers.h"
#include "arch/step_plan.h"
#include "stub/base/types.h"
#include "stub/inferior/hardware_points.h"
#include "stub/inferior/journal.h"
#include "stub/inferior/left_calls.h"
#include "stub/inferior/passed_contexts.h"
#include "stub/inferior/stop.h"
#include "stub/kernel/trap_mask.h"

namespace stub {

struct Inferior;

// What the client last asked of a thread.
enum class Want : std::uint8_t {
  hold,  // stopped, in the client's eyes
  run,
  step,   // one instruction
  range,  // steps while `range_start <= pc < range_end`
};

constexpr bool is_step(Want want) { return want == Want::step || want == Want::range; }

// A thread running a slot that ends in int3.
struct SlotRun {
  Address site;
  std::optional<std::uint64_t> saved_scratch;  // the program's value of the slot's scratch register
  ScratchEntry entry{};                        // that value, for whoever has to clean up after us
};

// A hit that nobody is told of, for the statistics of its site. All in ns.
struct PassedHit {
  Address site;
  std::uint64_t seen = 0;   // when
  std::uint64_t spent = 0;  // by us, so far
};

// Unless a signal handler runs first, the thread comes to this state next: it was resumed with a
// signal at a site that it has passed, or where the kernel starts an interrupted system call again.
// The int3 there is not a new hit.
struct PassedNext {
  x86::GeneralRegisters state;
  bool outlives_handler = false;  // nor is it behind the handler
  bool fault = false;             // the signal is of the instruction there
};

// A system call that a slot executed and a stop interrupted: the kernel starts it again at its site
// if the thread is resumed as it stopped, also after the client has used the thread for something
// else meanwhile and put its registers back.
struct InterruptedCall {
  Address site;
  std::uint64_t stack_pointer = 0;
};

struct Thread {
  Tid tid{};
  Inferior* process = nullptr;
  bool own_process = false;  // to the kernel: made by clone() without CLONE_THREAD
  bool own_memory = false;   // nor with CLONE_VM: a copy of the process's, without our bytes

  // The kernel's side.
  bool running = true;             // no stop has been seen since the last resume (or seize)
  bool newborn = false;            // its first stop has not been seen
  bool interrupted = false;        // PTRACE_INTERRUPT was sent and has not been answered by a stop
  std::optional<Pid> vfork_child;  // the next resume puts it to sleep until this one execs or ends
  bool in_vfork = false;           // asleep for that reason; cannot answer an interrupt
  std::vector<std::byte> xstate_in_vfork;  // of one that sleeps or has slept; so is `general`
  bool group_stopped = false;              // stopped by job control: resuming means listening
  bool left_group_stop = false;  // to collect a trap first: goes back with its next resume
  bool in_syscall = false;       // between the entry and the exit stop of a caught system call
  bool stepped = false;          // resumed with the trap flag
  bool traps_itself = false;     // resumed with the trap flag that the program has set
  std::optional<Address> stepped_from;  // with ours only: the instruction
  bool mid_syscall = false;   // stopped inside a system call: cannot be made to execute another
  bool in_fork = false;       // inside of fork, vfork or clone, at one of its events
  bool takes_signal = false;  // the stop is one that PTRACE_CONT can deliver a signal from
  int signal = 0;             // delivered with the next resume
  int sent_signal = 0;        // on its way from us by tgkill, to be delivered without a report
  int stop_signal = 0;        // the program's own signal at this stop, not delivered yet
  TrapMask trap_mask;

  // Registers, fetched when first needed after a stop, written back before the next resume.
  std::optional<x86::GeneralRegisters> general;
  bool general_dirty = false;
  std::optional<x86::GeneralRegisters> general_at_stop;  // before the client wrote any
  LeftCalls left_calls;
  std::optional<siginfo_t> client_siginfo;    // written by the client at this stop
  Address resumed_pc;                         // where it was let go last
  std::uint64_t removals_seen = 0;            // BreakpointTable::removals() at that time
  // What the kernel has, when `general` is there; of a running thread what it was let go with.
  x86::GeneralRegisters general_in_kernel{};
  bool was_seen = false;  // so there is something in general_in_kernel
  SettledEntry settled;                       // for whoever has to clean up after us
  DebugRegisters debug_loaded;                // what its debug registers hold

  // The client's side.
  Want want = Want::hold;
  Address range_start, range_end;
  // The client asked for a stop: the signal to report it with. Any stop that is told answers it.
  std::optional<int> stop_request;
  bool stop_new_threads = false;  // all of the process are to stop: those that it creates as well
  bool announce = false;          // new: report `create` at its first stop
  bool stop_pending = false;      // a report of this thread waits in the engine's queue
  std::optional<Stop> last_stop;  // what was last told to the client

  // Stepping over.
  std::optional<Address> passed_site;  // the site at PC has been dealt with: do not hit it again
  std::optional<SlotRun> slot_run;
  bool in_place_step = false;
  std::optional<PassedHit> passed_hit;              // until the thread is past it
  std::optional<PassedNext> passed_next;            // while it runs
  std::optional<InterruptedCall> interrupted_call;  // the last one of a slot
  PassedContexts passed_contexts;
  std::optional<Address> sigreturn_from;  // inside of one: the stack pointer it was entered with
  std::optional<Address> rseq_area;       // once known; a thread keeps its area for life
  Address page_read, page_written;  // where an emulated instruction of its accessed memory last
  unsigned filters_seen = 0;        // so many of its seccomp filters have been looked at
  bool filters_by_address = false;  // one of them goes by where a system call is made from
  bool cannot_map = false;          // its system calls are filtered or dispatched, and not ours
  std::uint64_t seen_epoch = 0;     // of the last stop: it was outside all slots then

  void set_fetched(const x86::GeneralRegisters& regs) {
    general = general_in_kernel = regs;
    was_seen = true;
    general_dirty = false;
  }
};

// Of one that runs, and that nobody would trace any more: it would die of that, or run wrongly.
bool has_something_of_ours(const Thread& asleep);

}  // namespace stub
