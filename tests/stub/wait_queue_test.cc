#include "stub/wait_queue.h"

#include <deque>
#include <map>
#include <vector>

#include "tests/catch.h"

namespace stub {
namespace {

// As the kernel does it: the first thread in order of attachment that has something to tell.
struct Kernel final : WaitQueue::Source {
  std::map<int, std::deque<int>> statuses;
  int looks_at_all = 0;
  std::optional<WaitResult> poll(std::optional<Tid> tid) override {
    if (!tid) ++looks_at_all;
    for (auto& [number, waiting] : statuses) {
      if (waiting.empty() || (tid && raw(*tid) != number)) continue;
      const int status = waiting.front();
      waiting.pop_front();
      return WaitResult{Tid{number}, status};
    }
    return std::nullopt;
  }
};

struct Waiting {
  Kernel kernel;
  WaitQueue queue{kernel};
  // The thread's number, 0 when there is nothing.
  int next() {
    const auto result = queue.next();
    return result ? raw(result->tid) : 0;
  }
  void stop(int number, int status = 0) { kernel.statuses[number].push_back(status); }
};

}  // namespace

TEST_CASE("wait_queue: nothing") {
  Waiting w;
  CHECK(w.next() == 0);
  CHECK_FALSE(w.queue.take(Tid{1}));
}

TEST_CASE("wait_queue: the stops of interrupted threads are fetched by their ids") {
  Waiting w;
  constexpr int threads = 1000;
  for (int n = 1; n <= threads; ++n) w.queue.expect(Tid{n});
  CHECK(w.next() == 0);  // the first ones take their time
  for (int n = threads; n > 0; --n) w.stop(n);
  std::vector<int> turns(threads + 1);
  for (int number = w.next(); number != 0; number = w.next())
    ++turns[static_cast<std::size_t>(number)];
  for (int n = 1; n <= threads; ++n) REQUIRE(turns[static_cast<std::size_t>(n)] == 1);
  CHECK(w.kernel.looks_at_all < 2 * WaitQueue::most_misses);
}

TEST_CASE("wait_queue: threads that stop again at once do not keep others from their turn") {
  Waiting w;
  constexpr int threads = 32;
  std::vector<int> turns(threads + 1);
  for (int n = 1; n <= threads; ++n) w.stop(n);
  for (int i = 0; i < 10 * threads; ++i) {
    const int number = w.next();
    REQUIRE(number != 0);
    ++turns[static_cast<std::size_t>(number)];
    w.stop(number);
  }
  for (int n = 1; n <= threads; ++n) CHECK(turns[static_cast<std::size_t>(n)] == 10);
}

TEST_CASE("wait_queue: a thread that is alone is asked for by its id, the others now and then") {
  Waiting w;
  for (int i = 0; i < 1000; ++i) {
    w.stop(7);
    CHECK(w.next() == 7);
  }
  CHECK(w.kernel.looks_at_all <= 2 * (1000 / WaitQueue::longest_streak + 1));
  SECTION("one more is found after a streak at most") {
    w.stop(3);
    int before = 0;
    for (w.stop(7); w.next() != 3; w.stop(7)) ++before;
    CHECK(before <= WaitQueue::longest_streak);
  }
  SECTION("and at once when the first has nothing to tell") {
    w.stop(3);
    CHECK(w.next() == 3);
  }
}

TEST_CASE("wait_queue: what was fetched is there for who waits for that thread, oldest first") {
  Waiting w;
  w.stop(1);
  w.stop(2, 20);
  w.stop(2, 21);
  w.stop(3);
  CHECK(w.next() == 1);
  CHECK(w.queue.take(Tid{2})->status == 20);
  CHECK(w.next() == 2);
  CHECK_FALSE(w.queue.take(Tid{2}));
  CHECK(w.next() == 3);
  CHECK(w.next() == 0);
}

}  // namespace stub
