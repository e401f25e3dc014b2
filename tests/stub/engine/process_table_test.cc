#include "stub/engine/process_table.h"

#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

struct World {
  FakeTracee tracee;
  ProcessTable table;
  std::shared_ptr<AddressSpace> space() {
    return std::make_shared<AddressSpace>(tracee, x86::Mode::amd64);
  }
  Inferior& add(int n) {
    Inferior& process = table.add_process(fake_pid(n), space(), Lifetime::exit_kill);
    table.add_thread(process, leader_of(fake_pid(n)));
    return process;
  }
};

}  // namespace

TEST_CASE("process_table: processes and threads are found by id") {
  World w;
  Inferior& process = w.add(1);
  Thread& second = w.table.add_thread(process, fake_tid(2));
  CHECK(w.table.process(fake_pid(1)) == &process);
  CHECK(w.table.process(fake_pid(2)) == nullptr);
  CHECK(w.table.thread(fake_tid(2)) == &second);
  CHECK(w.table.thread(fake_tid(3)) == nullptr);
  CHECK(second.process == &process);
  CHECK(second.newborn);
  CHECK(second.running);
  second.newborn = false;
  CHECK(&w.table.add_thread(process, fake_tid(2)) == &second);
  CHECK_FALSE(second.newborn);  // the one that was there
}

TEST_CASE("process_table: hidden processes are there and not shown; order is that of arrival") {
  World w;
  w.add(3);
  w.add(1);
  Inferior& hidden = w.add(2);
  hidden.hidden = true;
  CHECK(w.table.order() == std::vector{fake_pid(3), fake_pid(1), fake_pid(2)});
  CHECK(w.table.shown_processes() == std::vector{fake_pid(3), fake_pid(1)});
  CHECK(w.table.process(fake_pid(2)) == &hidden);
  CHECK(w.table.shown_process(fake_pid(2)) == nullptr);
  CHECK(w.table.thread(fake_tid(2)) != nullptr);
  CHECK(w.table.shown_thread(fake_tid(2)) == nullptr);
  CHECK(w.table.shown_thread(fake_tid(1)) != nullptr);
}

TEST_CASE("process_table: what is erased is gone from everywhere") {
  World w;
  Inferior& process = w.add(1);
  const auto space = process.space;
  Thread& second = w.table.add_thread(process, fake_tid(2));
  w.table.erase(second);
  CHECK(w.table.thread(fake_tid(2)) == nullptr);
  CHECK(process.threads.size() == 1);
  w.table.erase(process);
  CHECK(w.table.empty());
  CHECK(w.table.order().empty());
  CHECK(w.table.thread(fake_tid(1)) == nullptr);
  CHECK(space->users.empty());
}

TEST_CASE("process_table: a thread moves to another process with its state") {
  World w;
  Inferior& from = w.add(1);
  Inferior& to = w.add(5);
  Thread& moved = w.table.add_thread(from, fake_tid(2));
  w.table.move_thread(moved, to);
  CHECK(moved.process == &to);
  CHECK(w.table.thread(fake_tid(2)) == &moved);
  CHECK(from.threads.size() == 1);
  CHECK(to.threads.size() == 2);
}

TEST_CASE("process_table: a process is a user of one memory at a time") {
  World w;
  Inferior& process = w.add(1);
  const auto former = process.space;
  const auto next = w.space();
  join(process, next);
  CHECK(former->users.empty());
  CHECK(next->users == std::vector{&process});
  CHECK(process.space == next);
}

}  // namespace stub
