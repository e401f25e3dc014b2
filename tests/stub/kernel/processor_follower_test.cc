#include "stub/kernel/processor_follower.h"

#include <sched.h>

#include <vector>

#include "tests/catch.h"

namespace stub {
namespace {

struct FakeScheduler final : ProcessorFollower::Scheduler {
  int thread_on = 1;
  int stub_on = -1;  // -1: anywhere
  bool permitted = true;
  int calls = 0;
  std::optional<int> processor_of(Tid) override {
    ++calls;
    return thread_on;
  }
  bool restrict_to(int processor) override {
    ++calls;
    if (permitted) stub_on = processor;
    return permitted;
  }
  void lift_restriction() override {
    ++calls;
    stub_on = -1;
  }
};

// A machine on which a hit takes so long, followed or not.
struct Machine {
  FakeScheduler* scheduler = new FakeScheduler;
  ProcessorFollower follower{std::unique_ptr<ProcessorFollower::Scheduler>(scheduler)};
  std::uint64_t now = 1'000'000'000;
  std::uint64_t free_ns = 40'000, followed_ns = 10'000;

  void hit(int thread = 1) {
    now += scheduler->stub_on == scheduler->thread_on ? followed_ns : free_ns;
    follower.on_hit(Tid{thread}, now);
  }
  void hits(unsigned count, int thread = 1) {
    for (unsigned i = 0; i < count; ++i) hit(thread);
  }
  // How many of so many hits were dealt with beside the thread.
  unsigned followed(unsigned count) {
    unsigned beside = 0;
    for (unsigned i = 0; i < count; ++i) {
      hit();
      beside += scheduler->stub_on == scheduler->thread_on;
    }
    return beside;
  }
};

constexpr unsigned until_decided =
    ProcessorFollower::round_hits * (2 * ProcessorFollower::rounds_compared + 3);

}  // namespace

TEST_CASE("processor_follower: where it pays the thread is followed, also to another processor") {
  Machine m;
  m.hits(until_decided);
  CHECK(m.followed(1000) == 1000);
  m.scheduler->thread_on = 3;
  m.hits(2 * ProcessorFollower::round_hits);
  CHECK(m.scheduler->stub_on == 3);
  CHECK(m.followed(1000) == 1000);
}

TEST_CASE("processor_follower: where it does not pay it is tried less and less often") {
  Machine m;
  m.followed_ns = m.free_ns;
  CHECK(m.followed(1'000'000) < 20'000);  // 40 s of hits
  CHECK(m.scheduler->stub_on == -1);
  SECTION("until it does") {
    m.followed_ns = 10'000;
    m.hits(1'000'000);
    CHECK(m.follower.following());
  }
}

TEST_CASE("processor_follower: what has paid is given up when it does not any more") {
  Machine m;
  m.hits(until_decided);
  REQUIRE(m.follower.following());
  m.followed_ns = 60'000;
  m.hits(1'000'000);
  CHECK(m.followed(10'000) < 5'000);
}

TEST_CASE("processor_follower: several threads that hit are not followed") {
  Machine m;
  m.hits(until_decided);
  REQUIRE(m.follower.following());
  for (int i = 0; i < 100; ++i) {
    m.hit(1);
    m.hit(2);
  }
  CHECK_FALSE(m.follower.following());
  for (int i = 0; i < 100'000; ++i) {
    m.hit(i % 8);
    CHECK_FALSE(m.follower.following());
  }
  CHECK(m.scheduler->stub_on == -1);
}

TEST_CASE("processor_follower: one hit of another thread now and then changes nothing") {
  Machine m;
  m.hits(until_decided);
  for (int i = 0; i < 1000; ++i) {
    m.hits(50);
    m.hit(2);
    REQUIRE(m.follower.following());
  }
}

TEST_CASE("processor_follower: rest runs anywhere, and what was found out is kept") {
  Machine m;
  m.hits(until_decided);
  m.follower.rest();
  CHECK(m.scheduler->stub_on == -1);
  m.hits(ProcessorFollower::round_hits + 1);
  CHECK(m.follower.following());
  // A client that has something to say all the time is never kept waiting.
  for (int i = 0; i < 1000; ++i) {
    m.follower.rest();
    m.hits(ProcessorFollower::round_hits - 1);
    CHECK_FALSE(m.follower.following());
  }
}

TEST_CASE("processor_follower: rare hits, a thread that is gone, a processor out of reach") {
  Machine m;
  SECTION("rare") {
    m.free_ns = m.followed_ns = 1'000'000;
    m.hits(10'000);
    CHECK(m.scheduler->calls == 0);
  }
  SECTION("not permitted") {
    m.scheduler->permitted = false;
    m.hits(100'000);
    CHECK_FALSE(m.follower.following());
    CHECK(m.scheduler->calls < 100);
  }
  SECTION("switched off") {
    m.hits(until_decided);
    m.follower.enable(false);
    CHECK(m.scheduler->stub_on == -1);
    m.hits(100'000);
    CHECK_FALSE(m.follower.following());
    m.follower.enable(true);
    m.hits(until_decided);
    CHECK(m.follower.following());
  }
}

TEST_CASE("processor_follower: the affinity we were started with is what we end with") {
  cpu_set_t before, now;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  const auto kernel = ProcessorFollower::linux_scheduler();
  int processor = 0;
  while (!CPU_ISSET(processor, &before)) ++processor;
  const bool restricted = kernel->restrict_to(processor);
  CHECK(restricted == (CPU_COUNT(&before) > 1));
  if (restricted) {
    REQUIRE(sched_getaffinity(0, sizeof now, &now) == 0);
    CHECK(CPU_COUNT(&now) == 1);
  }
  CHECK_FALSE(kernel->restrict_to(8191));
  kernel->lift_restriction();
  REQUIRE(sched_getaffinity(0, sizeof now, &now) == 0);
  CHECK(CPU_EQUAL(&before, &now));
}

}  // namespace stub
