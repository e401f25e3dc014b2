// How much of the time long requests may have.
//
// While one is worked on, a thread that hits a breakpoint waits. To look for hits first is not
// enough: a hit comes, is dealt with in microseconds, and the next one comes from the same thread a
// little later; in between there always seems to be time for a turn of some milliseconds. So as
// long as there is a demand, a turn is paid for with a rest of so many times what it took, whatever
// that was, and however many share the turns. Without a demand there is no rest.
#pragma once

#include <chrono>

namespace stub {

class TimeShare {
 public:
  using Clock = std::chrono::steady_clock;
  // A demand that is older than this when a turn begins is over.
  static constexpr std::chrono::milliseconds demand_lasts{10};

  // `rest`: after a turn, in lengths of the turn. 1: half of the time is for turns; 4: a fifth.
  explicit TimeShare(int rest) : rest_(rest) {}

  // Something else had to be done at this time.
  void on_demand(Clock::time_point now) { last_demand_ = now; }
  void on_turn(Clock::time_point began, Clock::time_point ended) {
    next_turn_ = began - last_demand_ <= demand_lasts ? ended + rest_ * (ended - began) : ended;
  }
  // When a turn may begin.
  Clock::time_point next_turn() const { return next_turn_; }

 private:
  int rest_;
  Clock::time_point last_demand_{};  // the clock starts with the machine
  Clock::time_point next_turn_{};
};

}  // namespace stub
