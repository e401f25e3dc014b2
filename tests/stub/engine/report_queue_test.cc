#include "stub/engine/report_queue.h"

#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

const Pid pid = fake_pid(1);

struct World {
  FakeTracee tracee;
  ProcessTable table;
  ReportQueue queue{table};

  World() {
    Inferior& process = table.add_process(
        pid, std::make_shared<AddressSpace>(tracee, x86::Mode::amd64), Lifetime::exit_kill);
    for (int n = 1; n <= 3; ++n) table.add_thread(process, fake_tid(n)).want = Want::run;
  }
  Thread& t(int n) { return *table.thread(fake_tid(n)); }
  void stop(int n, StopKind kind = StopKind::signal, int signal = SIGUSR1) {
    queue.add({pid, fake_tid(n), {.kind = kind, .signal = signal}});
  }
  // The number of the thread; 0: nothing to tell.
  int next(bool steps_first = false) {
    const auto report = queue.take_next(steps_first);
    return report ? raw(report->tid) - first_fake_id : 0;
  }
};

}  // namespace

TEST_CASE("report_queue: oldest first, and a thread knows that its stop waits") {
  World w;
  CHECK_FALSE(w.queue.has_next(false));
  w.stop(2);
  w.stop(1);
  CHECK(w.t(2).stop_pending);
  CHECK_FALSE(w.t(3).stop_pending);
  CHECK(w.next() == 2);
  CHECK_FALSE(w.t(2).stop_pending);
  CHECK(w.t(1).stop_pending);
  CHECK(w.next() == 1);
  CHECK(w.next() == 0);
}

TEST_CASE("report_queue: stops of held threads wait until their threads are resumed") {
  World w;
  w.t(1).want = Want::hold;
  w.stop(1);
  w.stop(2);
  CHECK(w.next() == 2);
  CHECK_FALSE(w.queue.has_next(false));
  w.t(1).want = Want::run;
  CHECK(w.next() == 1);
}

TEST_CASE("report_queue: in all-stop a stepped thread comes first") {
  World w;
  w.t(2).want = Want::step;
  w.stop(1);
  w.stop(2);
  w.stop(3);
  SECTION("all-stop") { CHECK(w.next(true) == 2); }
  SECTION("non-stop") { CHECK(w.next(false) == 1); }
}

TEST_CASE(
    "report_queue: events of processes are told whoever is held, and are no stops of threads") {
  World w;
  for (int n = 1; n <= 3; ++n) w.t(n).want = Want::hold;
  w.queue.add({pid, fake_tid(2), {.kind = StopKind::thread_exited}});
  w.queue.add({Pid{}, Tid{}, {.kind = StopKind::no_resumed}});
  CHECK_FALSE(w.t(2).stop_pending);
  CHECK_FALSE(w.queue.has_stop_of(fake_tid(2)));
  CHECK(w.queue.has_kind(StopKind::no_resumed));
  CHECK(w.next() == 2);
  CHECK(w.queue.take_next(false)->stop.kind == StopKind::no_resumed);
}

TEST_CASE("report_queue: of two stops of a thread one can be taken out") {
  World w;
  w.stop(1, StopKind::signal, 0);
  w.stop(1, StopKind::breakpoint, SIGTRAP);
  const auto taken = w.queue.take_if(
      [](const StopReport& report) { return report.stop.kind == StopKind::breakpoint; });
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].stop.signal == SIGTRAP);
  CHECK(w.t(1).stop_pending);
  CHECK(w.next() == 1);
  CHECK_FALSE(w.t(1).stop_pending);
}

TEST_CASE(
    "report_queue: a thread that is gone has no stop; its report is still there to be judged") {
  World w;
  w.stop(2);
  w.table.erase(w.t(2));
  const auto report = w.queue.take_next(false);
  REQUIRE(report.has_value());
  CHECK(w.queue.thread_of(*report) == nullptr);
}

}  // namespace stub
