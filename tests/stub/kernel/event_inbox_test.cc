#include "stub/kernel/event_inbox.h"

#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

const Pid pid = fake_pid(1);
const Tid first = leader_of(pid);
const Tid second = fake_tid(2);

struct World {
  FakeTracee tracee;
  EventInbox inbox{tracee};
  World() {
    tracee.add(pid, first);
    tracee.add(pid, second);
  }
};

}  // namespace

TEST_CASE("event_inbox: statuses come as the kernel has them, until there is none") {
  World w;
  CHECK_FALSE(w.inbox.may_have_more());
  w.tracee.exit(second, 3);
  const auto result = w.inbox.wait();
  REQUIRE(result.has_value());
  CHECK(result->tid == second);
  CHECK(w.inbox.may_have_more());
  CHECK_FALSE(w.inbox.wait().has_value());
  CHECK_FALSE(w.inbox.may_have_more());
}

TEST_CASE("event_inbox: what was put back waits for take_put_back(), oldest first") {
  World w;
  w.inbox.put_back({second, 9});
  w.inbox.put_back({first, 9});
  CHECK_FALSE(w.inbox.wait().has_value());
  CHECK(w.inbox.has_put_back());
  CHECK(w.inbox.has_put_back(first));
  CHECK(w.inbox.take_put_back()->tid == second);
  CHECK_FALSE(w.inbox.has_put_back(second));
  CHECK(w.inbox.take_put_back()->tid == first);
  CHECK_FALSE(w.inbox.take_put_back().has_value());
  CHECK_FALSE(w.inbox.has_put_back());
}

TEST_CASE(
    "event_inbox: an early status is kept until its thread is asked for; the last one counts") {
  World w;
  w.inbox.keep_early({second, 0x137f});
  w.inbox.keep_early({second, 9});
  CHECK(w.inbox.early_threads() == std::vector{second});
  CHECK_FALSE(w.inbox.take_early(first).has_value());
  const auto early = w.inbox.take_early(second);
  REQUIRE(early.has_value());
  CHECK(early->status == 9);
  CHECK_FALSE(w.inbox.take_early(second).has_value());
  CHECK(w.inbox.early_threads().empty());
}

}  // namespace stub
