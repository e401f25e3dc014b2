#include "stub/kernel/wait_queue.h"

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

  // What happens while others have the processor, and how long they keep it.
  int yields = 0;
  std::uint64_t now = 0, yield_takes_ns = 1000;
  std::optional<int> stops_meanwhile;
  int yields_until_it_stops = 1;
  void yield() override {
    ++yields;
    if (stops_meanwhile && yields % yields_until_it_stops == 0)
      statuses[*stops_meanwhile].push_back(0);
    now += yield_takes_ns;
  }
  std::uint64_t now_ns() override { return now; }
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

TEST_CASE("wait_queue: a thread that is alone in hitting is waited for awake") {
  for (const int yields : {1, 10}) {
    Waiting w;
    w.stop(7);
    REQUIRE(w.next() == 7);
    CHECK(w.kernel.yields == 0);
    w.kernel.stops_meanwhile = 7;
    w.kernel.yields_until_it_stops = yields;
    constexpr int hits = 3 * WaitQueue::longest_streak;
    for (int hit = 1; hit <= hits; ++hit) {
      w.queue.resumed();
      REQUIRE(w.next() == 7);
      CHECK(w.kernel.yields == hit * yields);
    }
    CHECK(w.kernel.looks_at_all <= hits / WaitQueue::longest_streak + 2);
    CHECK(w.next() == 0);  // nothing was let go since
    CHECK(w.kernel.yields == hits * yields);
  }
}

TEST_CASE("wait_queue: who stops while another one is waited for has its turn") {
  Waiting w;
  w.stop(7);
  REQUIRE(w.next() == 7);
  w.kernel.stops_meanwhile = 7;
  w.stop(9);
  int before = 0;
  do {
    w.queue.resumed();
    ++before;
  } while (w.next() == 7);
  CHECK(before <= WaitQueue::longest_streak + 1);
}

TEST_CASE("wait_queue: where several threads hit nobody is waited for awake") {
  Waiting w;
  for (int round = 0; round < 10; ++round) {
    for (int n = 1; n <= 2; ++n) w.stop(n);
    for (int n = 1; n <= 2; ++n) {
      REQUIRE(w.next() == n);
      w.queue.resumed();
    }
  }
  CHECK(w.kernel.yields == 0);
}

TEST_CASE("wait_queue: how often a thread is waited for awake") {
  constexpr int hits = 100'000;
  constexpr int tries = 16;  // 64 + 128 + ... + 16,384 + 16,384 + ... hits between them
  constexpr int limit = Handover::longest_ns;
  struct {
    const char* what;
    std::uint64_t takes_ns;
    bool comes_back;
    int least, most;  // yields
  } static const rows[] = {
      {"it is back at once", 1'000, true, hits, hits},
      {"in as long as is allowed", limit, true, hits, hits},
      {"others compute on the processor", 3'000'000, true, 2, tries},
      {"it is away for long", 1'000, false, 2 * limit / 1'000, tries * (limit / 1'000 + 1)},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Waiting w;
    w.stop(7);
    REQUIRE(w.next() == 7);
    w.kernel.yield_takes_ns = row.takes_ns;
    if (row.comes_back) w.kernel.stops_meanwhile = 7;
    for (int hit = 0; hit < hits; ++hit) {
      w.queue.resumed();
      const int before = w.kernel.yields;
      if (w.next() == 7) continue;
      REQUIRE((!row.comes_back || w.kernel.yields == before));
      w.stop(7);  // while we slept
      REQUIRE(w.next() == 7);
    }
    CHECK(w.kernel.yields >= row.least);
    CHECK(w.kernel.yields <= row.most);
  }
}

TEST_CASE("wait_queue: what was won by waiting awake pays for a wait in vain now and then") {
  constexpr int hits = 100'000;
  struct {
    const char* what;
    std::uint64_t long_takes_ns;
    int every;        // so many waits takes that long
    int least, most;  // of 1,000 hits that are waited for awake
  } static const rows[] = {
      {"a little longer, one in 20", 60'000, 20, 990, 1000},
      {"a little longer, each second one", 60'000, 2, 0, 30},
      {"a slice, one in 500", 3'000'000, 500, 850, 900},
      {"a slice, one in 10", 3'000'000, 10, 0, 30},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Waiting w;
    w.stop(7);
    REQUIRE(w.next() == 7);
    w.kernel.stops_meanwhile = 7;
    for (int hit = 0; hit < hits; ++hit) {
      w.kernel.yield_takes_ns = w.kernel.yields % row.every == 0 ? row.long_takes_ns : 1'000;
      w.queue.resumed();
      if (w.next() == 7) continue;
      w.stop(7);  // while we slept
      REQUIRE(w.next() == 7);
    }
    CHECK(w.kernel.yields / (hits / 1000) >= row.least);
    CHECK(w.kernel.yields / (hits / 1000) <= row.most);
  }
}

TEST_CASE("wait_queue: after one wait in vain the next one is soon") {
  Waiting w;
  w.stop(7);
  REQUIRE(w.next() == 7);
  w.kernel.stops_meanwhile = 7;
  w.kernel.yield_takes_ns = 3'000'000;
  w.queue.resumed();
  REQUIRE(w.next() == 7);
  w.kernel.stops_meanwhile.reset();
  unsigned hits = 0;
  while (w.kernel.yields < 2) {
    w.queue.resumed();
    w.stop(7);
    REQUIRE(w.next() == 7);
    ++hits;
  }
  CHECK(hits > Handover::shortest_pause);
  CHECK(hits <= Handover::shortest_pause + 2);  // all were looked at once, instead
}

}  // namespace stub
