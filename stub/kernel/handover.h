// Whether to wait awake for the thread that was just let go, instead of going to sleep until it
// stops again.
//
// A thread that hits a breakpoint in a loop is back in a few microseconds. To sleep for that long
// costs more than the hit: the event loop's way to epoll_wait and back, the wake-up at the next
// stop, and where stub and thread run on two processors, each of which idles while the other works,
// an interrupt for each turn to get the other one out of its sleep. In a virtual machine each of
// those leaves the guest.
//
// So after a hit the stub offers its processor (sched_yield(2)) and looks again, for a while. Where
// the thread waits for that very processor it runs at once, and when it stops again there is nobody
// but us to go on with. Where it runs on another one the call returns at once, the processor of the
// stub has at least not gone to sleep when the thread stops, and whoever else has work for it gets
// it. Measured on a virtual machine with two processors, hits per second of one thread:
//
//                                            asleep     awake    the stub's time for a hit
//   both on one processor                    54,900    67,800    14.1 -> 10.2 us
//   on two, of which one idles at a time     15,700    31,200    28.2 -> 29.3 us
//
// It takes hardly more processor time, although the stub waits in it: to go to sleep and come back
// costs as much.
//
// What it can cost is the place in the queue. Who yields lets everybody on that processor go first,
// and one that computes keeps it for its whole slice, milliseconds; a sleeper that is woken goes
// before it. And where the thread is not back soon the time was wasted. So there is a limit, which
// is about what a sleep and a wake-up cost, and an account: a wait within the limit earns a little
// less than it saves, one that took longer costs what it took. Where the account is overdrawn there
// is a pause, the longer the more often that happens, in which we sleep.
#pragma once

#include <algorithm>
#include <cstdint>

namespace stub {

class Handover {
 public:
  static constexpr std::int64_t longest_ns = 50'000;
  static constexpr std::int64_t earns_ns = 4'000;
  static constexpr std::int64_t most_ns = 1'000'000;  // that the account may hold
  static constexpr unsigned shortest_pause = 64;      // hits
  static constexpr unsigned longest_pause = 16'384;   // at 20 us each a third of a second

  // A thread was let go that may soon be back. Is it to be waited for awake, up to `longest_ns`?
  bool is_due() {
    if (skip_ == 0) return true;
    --skip_;
    return false;
  }

  // So long was waited for it.
  void waited(std::int64_t ns) {
    account_ += ns <= longest_ns ? earns_ns : -ns;
    if (account_ >= most_ns) {
      account_ = most_ns;
      pause_ = shortest_pause;
    }
    if (account_ >= 0) return;
    account_ = 0;
    skip_ = pause_;
    pause_ = std::min(2 * pause_, longest_pause);
  }

 private:
  std::int64_t account_ = 0;
  unsigned skip_ = 0;  // hits until it is tried again
  unsigned pause_ = shortest_pause;
};

}  // namespace stub
