// All threads of a process are attached to, or none.
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "stub/kernel/proc_fs.h"
#include "tests/stub/engine/engine_fixture.h"
#include "tests/stub/kernel/real_process.h"

namespace stub {
namespace {

// A process that traces one thread until it is killed.
class SecondTracer {
 public:
  explicit SecondTracer(Tid thread) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    id_ = fork();
    if (id_ == 0) {
      const bool seized = ptrace(PTRACE_SEIZE, raw(thread), 0, 0) == 0;
      (void)!write(ready[1], seized ? "y" : "n", 1);
      while (true) pause();
    }
    char answer = 0;
    REQUIRE(read(ready[0], &answer, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    REQUIRE(answer == 'y');
  }
  ~SecondTracer() {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  SecondTracer(const SecondTracer&) = delete;
  SecondTracer& operator=(const SecondTracer&) = delete;
  pid_t id() const { return id_; }

 private:
  pid_t id_ = 0;
};

// Two threads. The second one's seizure meets with the errors in `refusals`, one after the other;
// with EPERM a second tracer comes, if there is to be one.
class Contested : public FakeTracee {
 public:
  const RealProcess real{1};
  const Tid leader = real.leader();
  Tid second{};
  std::deque<int> refusals;
  bool is_taken = false;
  std::optional<SecondTracer> tracer;
  std::map<Tid, int> signals;  // that come to a thread before it takes an interrupt

  Contested() {
    const auto tids = proc_fs::threads(real.pid()).value();
    for (const Tid tid : tids)
      if (tid != leader) second = tid;
  }
  Result<void> seize(Tid tid, Lifetime lifetime) override {
    if (tid == second && !refusals.empty()) {
      calls.push_back({"seize", tid});
      const int error = refusals.front();
      if (refusals.size() > 1) refusals.pop_front();
      if (error == EPERM && is_taken && !tracer) tracer.emplace(second);
      if (error == 0) tracer.reset();
      if (error != 0) return fail(Errc::system, "PTRACE_SEIZE", error);
    }
    add(real.pid(), tid);
    return FakeTracee::seize(tid, lifetime);
  }
  Result<void> interrupt(Tid tid) override {
    if (signals.contains(tid) && at(tid).state == FakeThread::State::running)
      signal(tid, std::exchange(signals[tid], 0));
    return FakeTracee::interrupt(tid);
  }
};

std::string refusal(Engine& engine, const Contested& tracee) {
  const auto attached = engine.attach(tracee.real.pid());
  CHECK(engine.processes().empty());
  CHECK(engine.threads(tracee.real.pid()).empty());
  engine.on_child_event();
  CHECK_FALSE(engine.take_report().has_value());
  return attached ? "attached" : attached.error().text;
}

std::string traced_by(const Contested& tracee, pid_t tracer) {
  return "Cannot attach to process " + std::to_string(raw(tracee.real.pid())) +
         ": Operation not permitted (1), thread " + std::to_string(raw(tracee.second)) +
         " is already traced by process " + std::to_string(tracer) + " (" +
         proc_fs::comm(Tid{tracer}).value() + ")";
}

TEST_CASE("attach: a thread has another tracer, so no thread is touched") {
  for (const bool non_stop : {false, true}) {
    INFO(non_stop);
    Contested tracee;
    const NoBlunders no_blunders{tracee};
    Engine engine(tracee);
    engine.set_non_stop(non_stop);
    const SecondTracer strace(tracee.second);
    CHECK(refusal(engine, tracee) == traced_by(tracee, strace.id()));
    CHECK(tracee.calls.empty());
  }
}

TEST_CASE("attach: a thread is taken by another tracer in the middle, and the others are let go") {
  for (const bool non_stop : {false, true}) {
    // In the pass over the threads that seizes the leader, and in one after it has stopped.
    for (const auto& refusals : {std::deque{EPERM}, std::deque{ESRCH, ESRCH, EPERM}}) {
      INFO(non_stop);
      INFO(refusals.size());
      Contested tracee;
      const NoBlunders no_blunders{tracee};
      Engine engine(tracee);
      engine.set_non_stop(non_stop);
      tracee.refusals = refusals;
      tracee.is_taken = true;
      tracee.signals[tracee.leader] = SIGUSR1;
      const std::string said = refusal(engine, tracee);
      REQUIRE(tracee.tracer);
      CHECK(said == traced_by(tracee, tracee.tracer->id()));
      REQUIRE(tracee.count("detach", tracee.leader) == 1);
      CHECK(tracee.last("detach", tracee.leader)->signal == SIGUSR1);
      CHECK_FALSE(tracee.knows(tracee.second));
      // Not for ever.
      tracee.tracer.reset();
      tracee.refusals.clear();
      CHECK(engine.attach(tracee.real.pid()).has_value());
      CHECK(engine.threads(tracee.real.pid()).size() == 2);
    }
  }
}

TEST_CASE("attach: a thread is taken and let go by another tracer in the middle") {
  for (const bool non_stop : {false, true}) {
    Contested tracee;
    const NoBlunders no_blunders{tracee};
    Engine engine(tracee);
    engine.set_non_stop(non_stop);
    tracee.refusals = {EPERM, EPERM, 0};
    REQUIRE(engine.attach(tracee.real.pid()).has_value());
    CHECK(engine.threads(tracee.real.pid()).size() == 2);
    CHECK((tracee.at(tracee.second).state == FakeThread::State::running) == non_stop);
  }
}

TEST_CASE("attach: a thread that cannot be seized for no visible reason is not left out") {
  Contested tracee;
  const NoBlunders no_blunders{tracee};
  Engine engine(tracee);
  tracee.refusals = {EPERM};
  CHECK(refusal(engine, tracee).find("may be traced from another pid namespace") !=
        std::string::npos);
  CHECK(tracee.count("detach", tracee.leader) == 1);
}

TEST_CASE("attach: the signal that a thread was about to receive is in its siginfo") {
  Contested tracee;
  const NoBlunders no_blunders{tracee};
  Engine engine(tracee);
  tracee.signals[tracee.second] = SIGUSR1;
  REQUIRE(engine.attach(tracee.real.pid()).has_value());
  CHECK(engine.siginfo(tracee.second)->si_signo == SIGUSR1);
  CHECK(engine.siginfo(tracee.leader)->si_signo == SIGSTOP);
}

TEST_CASE("attach: a thread that has ended meanwhile is left out") {
  Contested tracee;
  const NoBlunders no_blunders{tracee};
  Engine engine(tracee);
  tracee.refusals = {ESRCH};
  REQUIRE(engine.attach(tracee.real.pid()).has_value());
  CHECK(engine.threads(tracee.real.pid()) == std::vector<Tid>{tracee.leader});
}

TEST_CASE("recovery: a thread that another tracer has for a moment is waited for and cleaned") {
  Contested tracee;
  const NoBlunders no_blunders{tracee};
  tracee.refusals = {EPERM, EPERM, EPERM, 0};
  tracee.is_taken = true;
  Journal journal;
  REQUIRE(journal.create());
  journal.processes.add({.pid = tracee.real.pid(), .space = SpaceId{1}, .mode = x86::Mode::amd64});
  Engine(tracee).clean_up_after(journal);
  ::close(journal.fd());
  REQUIRE(tracee.knows(tracee.second));
  for (const Tid tid : {tracee.leader, tracee.second}) {
    CHECK(tracee.count("detach", tid) == 1);
    CHECK_FALSE(tracee.at(tid).user.empty());  // its debug registers
  }
}

TEST_CASE("attach: a process that this server has already") {
  World w;
  CHECK(w.engine.attach(w.pid).error().text == "Cannot attach to process " +
                                                   std::to_string(raw(w.pid)) +
                                                   ": this server is attached to it already");
}

TEST_CASE("attach: a process that the server has not let go of completely") {
  World w;
  w.run();
  w.tracee.add(fake_pid(50), leader_of(fake_pid(50)));
  w.tracee.share_memory(fake_pid(50), w.pid);
  w.tracee.event(w.leader, PtraceEvent::vfork, static_cast<std::uint64_t>(raw(fake_pid(50))));
  w.engine.on_child_event();
  w.tracee.interrupt_stop(leader_of(fake_pid(50)));
  w.engine.on_child_event();
  const auto child = w.engine.attach(fake_pid(50));
  CHECK(child.error().text.find("runs in the memory of its parent") != std::string::npos);
}

}  // namespace
}  // namespace stub
