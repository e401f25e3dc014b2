// Range steps that run natively between the places where the range can be left (arch/range_plan.h).
//
// A range step is a single step repeated while the PC is in the range, and that is how each begins:
// most are done after a few instructions. One that is still inside after `patience` of them is
// worth a plan: internal breakpoint sites go to the plan's decision points and the thread runs. A
// decision point inside the range is a site like any other: it is stepped over, out of line, and
// what comes out of it is judged as after any step. One outside means that the range is left.
//
// All else is as before: signals are delivered with a single step, so that the range ends in the
// handler; the client's breakpoints, watchpoints, interrupts and events stop the thread wherever it
// is. The sites go when the step ends for whatever reason. Other threads that come by them are
// stepped over and never stop.
//
// Text that can change under the thread is stepped the slow way: only pages mapped from a file and
// not writable qualify, and a client that writes into the range has it planned again. Not seen are
// a restartable sequence (rseq(2)) begun in the range whose abort handler lies outside of it, and a
// program that makes its text writable and changes it while it runs there.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "arch/range_plan.h"
#include "stub/inferior/inferior.h"
#include "stub/kernel/tracee.h"

namespace stub {

class RangeStepper {
 public:
  explicit RangeStepper(Tracee& tracee) : tracee_(tracee) {}

  // A thread that steps through a range is about to be resumed inside it, its registers fetched:
  // whether it may run natively. Counts the steps, and inserts the sites when it is time.
  bool may_run(const Thread& thread);
  // The thread runs between sites: a PC outside the range means that it has left it.
  bool is_native(Tid tid) const;

  // The step is over, or the thread: its sites are taken out. Does nothing for a thread without.
  void end(Tid tid);
  void end_unless(const std::function<bool(Tid)>& keep);
  // The client has written to memory. The threads whose plan it concerns: they have to be stopped,
  // and are planned again by the next may_run().
  std::vector<Tid> text_changed(const AddressSpace& space, Address from, std::size_t size);

 private:
  struct Run {
    std::shared_ptr<AddressSpace> space;
    unsigned steps = 0;            // by the kernel since the last plan
    bool native = false;           // `plan` is in force
    bool stale = false;            // the text is no longer what was planned
    std::vector<Address> entries;  // where the thread was when it was planned
    x86::RangePlan plan;
    std::vector<Address> sites;  // that this run holds a reference of
  };

  void make_plan(const Thread& thread, Run& run);
  bool insert_sites(Pid pid, Run& run);
  void remove_sites(Run& run);

  Tracee& tracee_;
  std::unordered_map<Tid, Run> runs_;
};

// A site that is inserted there again is a new one, which no thread has passed yet.
void forget_passed(const AddressSpace& space, Address at);

}  // namespace stub
