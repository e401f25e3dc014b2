// What to do about a stop: a pure function from facts to an action. No decision about a stop is
// taken anywhere else.
//
// The facts are gathered by Engine::on_stop() after the thread's PC has been made canonical; the
// action is carried out by Engine::perform(). Each rule's reason stands at its row in the .cc, and
// each has a row in tests/stub/engine/stop_policy_test.cc.
#pragma once

#include <cstdint>

#include "arch/step_plan.h"
#include "stub/inferior/stop.h"
#include "stub/inferior/thread.h"
#include "stub/kernel/wait_status.h"

namespace stub {

// What is at PC-1 after an int3 trap.
enum class SiteAt : std::uint8_t {
  none,      // the program's own int3
  ours,      // a site
  vanished,  // there is no int3 there now: the site was removed after the thread had executed it
};

struct StopFacts {
  WaitStatus status;
  int si_code = 0;             // of a SIGTRAP
  SiteAt site = SiteAt::none;  // meaningful for an int3 trap
  bool site_for_client = false;
  bool already_passed = false;   // this hit has been dealt with (PassedNext, PassedContexts)
  bool entered_handler = false;  // stepped from a passed site into the handler of a signal
  bool slot_finished = false;    // the int3 behind a slot's instruction was reached, or was to be
  bool slot_lost = false;        // the fault was that of fetching a slot's code
  bool in_place_step = false;    // the thread was stepping over a site in place
  bool hardware = false;         // a debug register of ours fired
  bool stepped = false;          // resumed with the trap flag by us
  bool traps_itself = false;     // resumed with the trap flag by the program
  Want want = Want::run;
  bool inside_range = false;       // for Want::range: PC is still in it
  bool left_range = false;         // it ran natively and PC, or the site, is outside
  bool stop_requested = false;     // by the client
  bool passed_signal = false;      // QPassSignals has the signal
  bool breakpoint_fault = false;   // raised by fetching the int3 of a client's breakpoint
  bool own_signal = false;         // sent for the client, which knows of it
  bool hidden = false;             // the process is not the client's
  bool unattended = false;         // but the commands of its sites go on
  bool catching_syscalls = false;  // this call is to be reported
};

enum class Action : std::uint8_t {
  go_on,            // as wanted, the signal (if any) dropped
  deliver,          // go on with the signal
  report_signal,    // the client decides about the signal
  hit_site,         // evaluate the site's conditions
  pass_site,        // step over the site without evaluating
  back_up,          // PC-1, go on: the int3 was ours and is gone
  finish_slot,      // the slot's instruction is done
  finish_in_place,  // the in-place step is done
  report_step,
  leave_range,       // PC-1, report the step
  hit_hardware,      // evaluate the conditions of the point
  report_requested,  // the stop the client asked for
  report_syscall,
  stay_stopped,  // job control: listen
  handle_event,  // fork, vfork, clone, exec, vfork_done
  handle_exit,
};

Action decide(const StopFacts& facts);

// A finished slot or in-place step is one instruction of what the client wanted.
bool step_is_complete(Want want, bool inside_range);

}  // namespace stub
