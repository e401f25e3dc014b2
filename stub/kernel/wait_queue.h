// In which order stops are dealt with, when many threads stop all the time.
//
// waitpid(-1) looks through all traced threads in the order in which they were attached and takes
// the first that has something to tell (kernel/exit.c, ptrace_do_wait). So of 32 threads that hit a
// breakpoint in a loop, the first two or three are always ready again before the others are looked
// at, and the rest never runs. And the look takes longer the more threads there are, 9 µs for a
// thousand sleeping ones, half of what a hit costs.
//
// Both are cured by not asking for one status at a time. All that there are are fetched before the
// first of them is dealt with, so everybody who is ready has a turn before anybody has a second
// one. A thread that is alone in hitting is asked for by its id, which takes the same time however
// many others there are; all are looked at again after at most `longest_streak` of its stops, and
// at once when it has nothing to tell. If it was just let go it is waited for awake (handover.h).
//
// Threads that were sent an interrupt are asked for by their ids too, as they will have something
// to tell in a moment: to fetch the stops of a thousand by looking through all of them for each
// would be half a million looks.
//
// A status that was fetched and not yet dealt with is still to be found by whoever waits for that
// one thread (take).
#pragma once

#include <deque>
#include <optional>
#include <set>

#include "stub/kernel/handover.h"
#include "stub/kernel/tracee.h"

namespace stub {

class WaitQueue {
 public:
  // The kernel: what there is now of this thread, or of any.
  class Source {
   public:
    virtual ~Source() = default;
    virtual std::optional<WaitResult> poll(std::optional<Tid> tid) = 0;
    virtual void yield() = 0;  // lets others have the processor
    virtual std::uint64_t now_ns() = 0;
  };
  static constexpr int longest_streak = 64;
  static constexpr int most_misses = 16;  // by id, before all are looked through

  explicit WaitQueue(Source& source) : source_(source) {}

  // This thread is about to stop.
  void expect(Tid tid) { expected_.insert(tid); }
  // A thread was let go.
  void resumed() { resumed_ = true; }
  // The next status to deal with, if there is one now.
  std::optional<WaitResult> next();
  // The oldest status of this thread among those fetched.
  std::optional<WaitResult> take(Tid tid);

 private:
  std::optional<WaitResult> again();
  std::optional<WaitResult> wait_awake();
  void fetch_all();
  void fetch_expected();

  Source& source_;
  std::deque<WaitResult> fetched_;
  std::set<Tid> expected_;
  std::optional<Tid> last_;  // the thread of the last status handed out
  bool alone_ = false;       // all others had nothing to tell when they were looked at last
  int streak_ = 0;           // stops of `last_` since then
  bool resumed_ = false;     // a thread, and nobody has looked for stops since
  Handover handover_;
};

}  // namespace stub
