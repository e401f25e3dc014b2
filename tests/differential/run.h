// One case run twice: natively in place, and as its plan says.
#pragma once

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "arch/step_plan.h"
#include "tests/differential/generator.h"
#include "tests/differential/inferior.h"

namespace differential {

// Everything that can be seen at the stop that follows the instruction: an int3 of the test's at
// the next instruction or at the branch target, or the program's own signal.
struct Outcome {
  x86::GeneralRegisters registers{};
  std::vector<std::byte> xstate;
  siginfo_t siginfo{};
  std::vector<std::uint8_t> data;
  std::string complaint;  // not empty: there is no outcome, and why
};

// How a plan is run: by its own way, or by another that must do as well.
struct Choice {
  bool far_slot = false;
  bool prefer_slot = false;  // a slot although it can be emulated
  bool prefer_trap = false;  // a trap ending although it can be boosted
  std::uint8_t slot_number = 0;
};

Outcome run_in_place(Inferior& inferior, const Case& which);
// nullopt when the plan is to run it in place.
std::optional<Outcome> run_by_plan(Inferior& inferior, const Case& which, const Choice& choice);

// What differs, one line each; empty when nothing does.
std::vector<std::string> differences(const Case& which, const Outcome& native,
                                     const Outcome& by_plan);

}  // namespace differential
