// Stepping a thread over a breakpoint site, out of line.
//
// The plan was chosen when the site was inserted (arch/step_plan.h). Here it is carried out on a
// stopped thread: either its registers are those after the instruction (emulated), or its PC is put
// into a slot. The way back is leave_slot(): at every stop, of whatever kind, a PC inside an area
// is turned into what the program would see had the instruction run (or not yet run) in place,
// before anybody looks at the registers.
//
// The inferior may have rewritten its text, scribbled over a slot or unmapped the area at any time.
// So the bytes at the site, and in the slot if there is one, are compared with ours before each
// use, in one system call. What changes after that comparison hurts only the program that changed
// it: slots hold no state that the stub relies on.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "stub/inferior/inferior.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/tracee.h"

namespace stub {

enum class StepOutcome : std::uint8_t {
  emulated,      // the registers are those after the instruction
  in_slot,       // the PC is in a slot that ends in int3: a stop will follow
  boosted,       // the PC is in a slot that leads back by itself
  single_step,   // the PC is in a slot without an end: step it with the trap flag
  in_place,      // the in-place lane has to do it
  site_changed,  // the program has rewritten the text: the site was planned again, start over
  site_gone,     // the program has other memory there: there is nothing to step over
  gone,          // the thread died; its end may have been put back into the inbox
};

class StepOver {
 public:
  // `inbox` gets the end of a thread that dies while it maps an area.
  StepOver(Tracee& tracee, EventInbox& inbox) : tracee_(tracee), inbox_(inbox) {}

  // Prepares `thread`, stopped at `site` with its general registers fetched. `must_stop`: control
  // is wanted back right after the instruction (a client's step). Registers are changed, not
  // written.
  StepOutcome prepare(Thread& thread, Site& site, bool must_stop);

  // After a step by the trap flag, of the instruction at `from`: no trace of the flag is left.
  void hide_trap_flag(Thread& thread, Address from);

  // What a stop inside an area means; nothing when the PC is in none. Registers are made canonical.
  struct Left {
    Address site;
    x86::Progress progress = x86::Progress::lost;
    bool at_end = false;  // stopped by the int3 behind the instruction
    bool is_syscall = false;
  };
  // `space`: whose areas. A thread that is in code of the program's own, where an area was once, is
  // in no area.
  std::optional<Left> leave_slot(Thread& thread, const AddressSpace& space);

 private:
  StepOutcome in_place(Site& site, std::string_view because);
  bool filters_by_address(Thread& thread);
  StepOutcome enter_slot(Thread& thread, Site& site, const x86::Instruction& instruction,
                         bool must_stop);
  Slot* slot_for(Thread& thread, Site& site, const x86::Instruction& instruction,
                 x86::Ending ending);
  Slot* make_slot(Thread& thread, Site& site, const x86::Instruction& instruction,
                  x86::Ending ending, bool near);
  std::optional<Address> free_slot(Thread& thread, Address site, bool near);
  void recycle(AddressSpace& space);
  enum class Check : std::uint8_t {
    good,
    site_changed,
    slot_changed,
    slot_gone,    // the area was unmapped
    text_gone,    // the site's page cannot be read any more
    restartable,  // the thread is in a restartable sequence
  };
  Check check(Thread& thread, const Site& site, const Slot& slot);
  Check check_text(const Thread& thread, const Site& site);
  static bool is_as_planned(const Thread& thread, const Site& site, std::span<std::uint8_t> text);
  StepOutcome cannot_run(Thread& thread, Site& site, Check why);
  bool slot_is_readable(const Thread& thread, const Slot& slot);
  bool holds_code(const Thread& thread, const Slot& slot);
  bool is_taken_over(const Thread& thread, const Slot& slot);
  bool write_slot(const Thread& thread, Address slot, const x86::SlotCode& code);
  void repair_x87_pointer(const Thread& thread, const Slot& slot);
  bool in_restartable_sequence(const Thread& thread, Address descriptor, Address at);

  Tracee& tracee_;
  EventInbox& inbox_;
};

}  // namespace stub
