#include "stub/session/stop_notifications.h"

#include <vector>

#include "tests/catch.h"

namespace stub {
namespace {

StopReport stop_of_thread(int n) { return {Pid{1}, Tid{n}, {.kind = StopKind::signal}}; }

std::deque<StopReport> stops_of_threads(int count) {
  std::deque<StopReport> stops;
  for (int n = 1; n <= count; ++n) stops.push_back(stop_of_thread(n));
  return stops;
}

TEST_CASE("stop notifications: one at a time, the next one when the last is acknowledged") {
  StopNotifications stops;
  CHECK(stops.may_notify());
  stops.add(stop_of_thread(1));
  stops.add(stop_of_thread(2));
  CHECK(raw(stops.tell_first().tid) == 1);
  CHECK(stops.is_outstanding());
  CHECK_FALSE(stops.may_notify());
  CHECK(stops.acknowledge());
  CHECK(stops.all().size() == 1);
  CHECK(raw(stops.tell_first().tid) == 2);
  CHECK(stops.acknowledge());
  CHECK(stops.all().empty());
  CHECK_FALSE(stops.acknowledge());
}

TEST_CASE("stop notifications: which requests let them be sent") {
  enum Step { non_stop, query, query_in_vain, told, acknowledged, asked, resumed };
  struct Row {
    const char* name;
    std::vector<Step> steps;
    bool opens;  // the last one
    bool may;
  };
  const Row rows[] = {
      {"all-stop or an old connection", {asked}, false, true},
      {"before the query", {non_stop, asked}, false, false},
      {"a client that does not query", {non_stop, resumed}, true, true},
      {"the query", {non_stop, asked, query, told}, false, false},
      {"its stop is acknowledged", {non_stop, query, told, acknowledged}, false, false},
      {"the next request", {non_stop, query, told, acknowledged, asked}, true, true},
      {"the one after it", {non_stop, query, told, acknowledged, asked, asked}, false, true},
      {"not acknowledged yet", {non_stop, query, told, asked}, false, false},
      {"nothing to tell", {non_stop, query, query_in_vain}, false, true},
      {"a second query", {non_stop, query, told, acknowledged, asked, query}, false, false},
      {"non-stop again", {non_stop, resumed, non_stop}, false, false},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    StopNotifications stops;
    bool opened = false;
    for (const Step step : row.steps) {
      opened = false;
      if (step == non_stop) stops.start_over();
      if (step == query) stops.start_query(stops_of_threads(3));
      if (step == query_in_vain) stops.end_query();
      if (step == told) stops.tell_first();
      if (step == acknowledged) CHECK_FALSE(stops.acknowledge());
      if (step == asked || step == resumed) opened = stops.on_request(step == resumed);
    }
    CHECK(opened == row.opens);
    CHECK(stops.may_notify() == row.may);
  }
}

TEST_CASE("stop notifications: a query begins anew, obsolete stops are passed over") {
  StopNotifications stops;
  stops.add(stop_of_thread(9));
  stops.tell_first();
  stops.start_query(stops_of_threads(3));
  CHECK_FALSE(stops.is_outstanding());
  stops.drop_front([](const StopReport& report) { return raw(report.tid) < 3; });
  CHECK(stops.all().size() == 1);
  CHECK(raw(stops.tell_first().tid) == 3);
}

}  // namespace
}  // namespace stub
