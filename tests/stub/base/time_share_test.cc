#include "stub/base/time_share.h"

#include "tests/catch.h"

namespace stub {
namespace {

using namespace std::chrono_literals;
using Time = TimeShare::Clock::time_point;

constexpr Time start{1h};

// The part of the time that goes to turns of this length, with a demand now and then.
double share(std::chrono::milliseconds turn, std::chrono::milliseconds demand_every, int rest = 4) {
  TimeShare share(rest);
  auto in_turns = 0ms;
  auto last_demand = start;
  for (Time now = start; now < start + 10s;) {
    if (now - last_demand >= demand_every) share.on_demand(last_demand = now);
    if (share.next_turn() > now) {
      now += 1ms;
      continue;
    }
    share.on_turn(now, now + turn);
    in_turns += turn;
    now += turn;
  }
  return std::chrono::duration<double>(in_turns) / 10s;
}

TEST_CASE("time share: turns follow each other while nobody demands anything") {
  TimeShare share(4);
  CHECK(share.next_turn() <= start);
  share.on_turn(start, start + 2ms);
  CHECK(share.next_turn() == start + 2ms);
}

TEST_CASE("time share: a turn is paid for with a rest while there is a demand") {
  TimeShare share(4);
  share.on_demand(start);
  share.on_turn(start, start + 2ms);
  CHECK(share.next_turn() == start + 10ms);
  share.on_turn(start + 10ms, start + 17ms);  // a long one for longer
  CHECK(share.next_turn() == start + 45ms);
  const auto later = start + TimeShare::demand_lasts + 1ms;
  share.on_turn(later, later + 1ms);  // by now it is over
  CHECK(share.next_turn() == later + 1ms);
}

TEST_CASE("time share: a fifth with a rest of four, however long the turns are") {
  for (const auto turn : {1ms, 2ms, 20ms, 100ms}) {
    CAPTURE(turn.count());
    CHECK(share(turn, 1ms) < 0.3);
    CHECK(share(turn, 1ms) > 0.1);
  }
  CHECK(share(2ms, 500ms) > 0.85);
  CHECK(share(20ms, 1ms, 1) < 0.55);  // half, with a rest of one
  CHECK(share(20ms, 1ms, 1) > 0.45);
}

}  // namespace
}  // namespace stub
