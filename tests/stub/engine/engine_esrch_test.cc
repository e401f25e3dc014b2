// SIGKILL comes at any moment. A whole session, again and again, each time with the thread found
// dying at another kernel call: whatever call that is, the session comes to its end, the death is
// told once, and nothing is told after it.
#include <algorithm>
#include <chrono>

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

using Kind = ResumeAction::Kind;

enum class Doom { process, thread };

struct Session {
  World w{3};
  std::vector<std::string> told;

  void drain() {
    for (int i = 0; i < 50; ++i) {
      w.engine.on_child_event();
      if (const auto report = w.engine.take_report())
        told.push_back(World::describe(*report));
      else if (!w.tracee.pending())
        return;
    }
    told.push_back("no end");
  }
  // Until nothing is told any more.
  void resume(Kind kind = Kind::run, int signal = 0) {
    std::size_t before = ~std::size_t{0};
    for (int i = 0; i < 8 && before != told.size(); ++i) {
      before = told.size();
      (void)w.resume(i == 0 ? kind : Kind::run, {}, i == 0 ? signal : 0);
      drain();
    }
  }
  void hit(int n, Address site) {
    if (running(n) && w.memory().byte(site) == 0xcc) w.tracee.execute_int3(w.t(n), site);
    drain();
  }
  bool running(int n) {
    return w.tracee.knows(w.t(n)) && w.at(n).state == FakeThread::State::running;
  }
  void finish_slot(int n) {
    if (!running(n) || w.engine.processes().empty()) return;
    const Slot* slot = w.space().areas.at(Address(w.kernel_pc(n)));
    if (slot != nullptr && slot->ending == x86::Ending::trap)
      w.tracee.execute_int3(w.t(n), slot->address + slot->code.executed);
    drain();
  }
  // Whoever takes a step of ours arrives.
  void finish_steps() {
    for (int n = 1; n <= 4; ++n) {
      const FakeCall* last = running(n) ? w.tracee.last("resume", w.t(n)) : nullptr;
      if (last == nullptr || last->how != ResumeHow::step) continue;
      w.at(n).regs.rip = plain_code.value();
      w.tracee.trap(w.t(n), trap_trace);
    }
    drain();
  }

  void play() {
    for (const Address site : {boost_site, trap_site, in_place_site, push_site})
      (void)w.engine.insert_breakpoint(w.pid, site, {});
    resume();
    hit(2, trap_site);
    resume();
    finish_slot(2);
    if (running(1)) w.announce_clone(w.leader, 4);
    drain();
    if (running(2)) w.tracee.execute_int3(w.t(2), boost_site);
    hit(3, in_place_site);
    resume();
    resume();
    finish_steps();
    if (running(1)) w.tracee.signal(w.leader, SIGUSR1);
    drain();
    resume(Kind::run, SIGUSR1);
    hit(1, push_site);
    resume(Kind::step);
    finish_steps();
    (void)w.engine.interrupt(w.t(3));
    drain();
    resume();
    if (running(1)) {
      const Pid child = fake_pid(50);
      w.tracee.add(child, leader_of(child));
      w.tracee.copy_memory(child, w.pid);
      w.tracee.event(w.leader, PtraceEvent::fork, static_cast<std::uint64_t>(raw(child)));
      w.tracee.interrupt_stop(leader_of(child));
    }
    drain();
    if (running(2)) w.tracee.syscall_stop(w.t(2), 1, true);
    if (running(3)) w.tracee.group_stop(w.t(3));
    drain();
    for (const Pid pid : w.engine.processes()) (void)w.engine.detach(pid);
    drain();
  }

  // The thread that is named in the fatal call.
  void doom(Tid tid, Doom doom) {
    if (doom == Doom::thread && tid != w.leader && w.tracee.alive(tid))
      w.tracee.die(tid);
    else if (w.tracee.knows(tid))
      w.tracee.die_all(w.tracee.at(tid).pid);
  }
};

void play_all(Doom doom, bool follow) {
  for (int n = 0; n < 2000; ++n) {
    INFO("fatal call " << n);
    Session s;
    s.w.engine.interest().events = {
        .fork = follow, .vfork = follow, .exec = follow, .threads = follow};
    s.w.tracee.fatal_call = n;
    s.w.tracee.mortal = [&](Tid tid) { s.doom(tid, doom); };
    const auto began = std::chrono::steady_clock::now();
    s.play();
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(2));
    const bool process_died =
        !s.w.tracee.alive(s.w.leader) && s.w.tracee.count("detach", s.w.leader) == 0;
    const auto deaths = std::count(s.told.begin(), s.told.end(), "1 process_killed 9");
    CHECK(s.w.engine.processes().empty());
    CHECK(std::count(s.told.begin(), s.told.end(), "no end") == 0);
    CHECK(deaths <= (process_died ? 1 : 0));
    if (deaths == 1) CHECK(s.told.back() == "1 process_killed 9");
    if (!process_died)
      for (const Address site : {boost_site, trap_site, in_place_site, push_site})
        CHECK(s.w.memory().byte(site) != 0xcc);
    if (s.w.tracee.calls_counted <= n) return;
  }
  FAIL("the session never got by without dying");
}

TEST_CASE("esrch: the process is killed at each kernel call of a session") {
  play_all(Doom::process, false);
}
TEST_CASE("esrch: the same with all events told") { play_all(Doom::process, true); }
TEST_CASE("esrch: a thread dies at each kernel call of a session") {
  play_all(Doom::thread, false);
}
TEST_CASE("esrch: the same, with all events told") { play_all(Doom::thread, true); }

}  // namespace
}  // namespace stub
