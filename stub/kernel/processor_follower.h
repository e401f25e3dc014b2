// On which processor the stub runs while a thread hits breakpoints whose conditions are false.
//
// A hit is a conversation: the thread stops, the stub decides and wakes the thread. There is
// nothing to be won by having two processors for it, since one of the two always waits, and
// something to be lost: a processor that has gone to sleep must be woken by an interrupt, which in
// a virtual machine leaves the guest both on the sending and on the waking side. Measured on one
// with two processors: 31 us a hit where the two are apart (65 us if the stub sleeps as well, see
// handover.h), 14.7 us on one processor, of which the kernel's work is most. The scheduler does not
// know that the two take turns; waking one of them it sees an idle processor and gives it that one.
//
// So the stub goes where the thread is: it restricts itself, never the program, to the processor
// the thread last ran on. Whether that pays depends on the machine and on what else it does (waking
// may be cheap; the processor may have others to serve; where another one idles the scheduler may
// move the thread there at its next wake-up). It is therefore not guessed but measured: rounds of
// hits on any processor and rounds behind the thread, in turn, three of each, and the medians
// decide. What was decided is looked at again from time to time, after longer and longer times
// where it did not pay. Only one thread can be followed: when others hit as well, the stub runs
// anywhere.
//
// Not chosen: a lower scheduling class for the stub, by which the kernel would count its processor
// as idle and leave the thread there (a process without privileges cannot go back from SCHED_IDLE,
// sched(7)); affinity for the program's thread (the program can see it, and its children inherit
// it).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "stub/base/types.h"

namespace stub {

class ProcessorFollower {
 public:
  // What the kernel offers, for the calling thread.
  class Scheduler {
   public:
    virtual ~Scheduler() = default;
    virtual std::optional<int> processor_of(Tid tid) = 0;  // where it last ran
    // Only this processor. False: not one of those we may use, or the only one.
    virtual bool restrict_to(int processor) = 0;
    virtual void lift_restriction() = 0;
  };
  static std::unique_ptr<Scheduler> linux_scheduler();

  static constexpr unsigned round_hits = 256;
  static constexpr std::size_t rounds_compared = 3;
  static constexpr std::uint64_t longest_round_ns = 100'000'000;  // slower hits are no storm
  static constexpr std::uint64_t review_after_ns = 5'000'000'000;
  static constexpr std::uint64_t shortest_pause_ns = 500'000'000;
  static constexpr std::uint64_t longest_pause_ns = 16'000'000'000;

  explicit ProcessorFollower(std::unique_ptr<Scheduler> scheduler);
  ~ProcessorFollower() { rest(); }

  // The thread has hit a breakpoint and was let go, at this time. Constant time; a system call or
  // two once in a round.
  void on_hit(Tid tid, std::uint64_t now_ns);
  // Something else is to be done now: anywhere.
  void rest();
  void enable(bool on);
  bool following() const { return restricted_; }

 private:
  enum class Phase : std::uint8_t {
    waiting,  // until it is time to compare
    compare_free,
    compare_followed,
    pays,
  };

  void begin(Tid tid, std::uint64_t now_ns);
  void begin_round(std::uint64_t now_ns);
  void end_round(std::uint64_t mean_ns, std::uint64_t now_ns);
  void decide(std::uint64_t now_ns);
  void pause(std::uint64_t now_ns);
  bool follow();

  std::unique_ptr<Scheduler> scheduler_;
  bool enabled_ = true;
  bool restricted_ = false;
  int processor_ = 0;  // restricted to it
  Tid thread_{};
  Phase phase_ = Phase::waiting;
  unsigned hits_ = 0, strangers_ = 0;  // of the round: of the thread, of others
  std::uint64_t round_began_ns_ = 0;
  std::uint64_t next_ns_ = 0;  // of `waiting`: the next comparison; of `pays`: the review
  std::uint64_t pause_ns_ = shortest_pause_ns;
  std::size_t compared_ = 0;
  std::array<std::uint64_t, rounds_compared> free_ns_{}, followed_ns_{};  // means of the rounds
};

}  // namespace stub
