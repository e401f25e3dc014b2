// One slot of an SSOL area: which instruction it runs, and how.
#pragma once

#include "arch/step_plan.h"
#include "stub/base/types.h"

namespace stub {

struct Slot {
  Address address;  // of the slot
  Address site;     // whose instruction it runs
  x86::Instruction instruction;
  x86::SlotCode code;
  x86::Ending ending = x86::Ending::trap;
  bool substitute = false;  // the other ending could not be made
};

}  // namespace stub
