// The same with the real kernel: requests about a real process fail once, in turn, from attaching
// to letting go, and the process goes on.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "stub/engine/engine.h"
#include "stub/kernel/linux_tracee.h"
#include "stub/kernel/retrying_tracee.h"
#include "tests/catch.h"
#include "tests/stub/kernel/faulty_tracee.h"

namespace stub {
namespace {

struct Shared {
  volatile std::uint64_t calls = 0, wrong = 0;
};

[[gnu::noinline]] std::uint64_t hot(Shared& shared, std::uint64_t n) {
  shared.calls = shared.calls + 1;
  return n * 3 + 1;
}

// A child of this process that calls hot() for ever and checks what it returns.
class Runner {
 public:
  Runner() {
    shared_ = new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0)) Shared;
    pid_ = fork();
    if (pid_ != 0) return;
    for (std::uint64_t n = 0;; ++n)
      if (hot(*shared_, n) != n * 3 + 1) shared_->wrong = 1;
  }
  ~Runner() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(shared_, sizeof(Shared));
  }
  Pid pid() const { return Pid{pid_}; }
  std::uint64_t calls() const { return shared_->calls; }
  bool right() const { return shared_->wrong == 0 && waitpid(pid_, nullptr, WNOHANG) == 0; }
  // Waits as long as it lives.
  void run_on(std::uint64_t more) const {
    for (const std::uint64_t wanted = calls() + more; calls() < wanted && right();) usleep(50);
  }

 private:
  Shared* shared_ = nullptr;
  pid_t pid_ = 0;
};

struct Faults {
  int while_running = -1, while_leaving = -1;
  int error = EIO;
};

// Number of requests of each phase.
struct Requests {
  int running = 0, leaving = 0;
};

Requests debug(const Runner& runner, const Faults& faults) {
  LinuxTracee kernel;
  FaultyTracee faulty(kernel);
  RetryingTracee tracee(faulty);
  Engine engine(tracee);
  faulty.error = faults.error;
  faulty.fail_at = faults.while_running;
  INFO(faults.while_running << " " << faults.while_leaving << " " << std::strerror(faults.error));
  if (!engine.attach(runner.pid())) return {.running = faulty.calls};
  const Address at(reinterpret_cast<std::uintptr_t>(&hot));
  // Two sites in a row, so that a slot is used whatever the first instruction is.
  (void)engine.insert_breakpoint(runner.pid(), at, {});
  (void)engine.insert_hardware(runner.pid(), rsp::PointType::write_watchpoint, Address(0x1000), 4,
                               {});
  const ResumeAction run;
  for (int i = 0; i < 4; ++i) {
    (void)engine.resume({&run, 1});
    for (int wait = 0; wait < 100 && !engine.take_report(); ++wait) {
      engine.on_child_event();
      usleep(100);
    }
  }
  Requests requests{.running = faulty.calls};
  faulty.calls = 0;
  faulty.fail_at = faults.while_leaving;
  CHECK(engine.detach(runner.pid()).has_value());
  requests.leaving = faulty.calls;
  return requests;
}

void check_all(Faults faults, int Faults::*phase, int Requests::*count) {
  static constexpr int errors[] = {EIO, EPERM, EFAULT, ENOMEM, EINTR};
  const Runner runner;
  const int requests = debug(runner, faults).*count;
  for (int n = 0; n < requests; ++n) {
    faults.*phase = n;
    faults.error = errors[n % std::size(errors)];
    debug(runner, faults);
    runner.run_on(100);
    INFO("request " << n << " of " << requests);
    REQUIRE(runner.right());
  }
  const auto* code = reinterpret_cast<const std::byte*>(&hot);
  std::byte now[16] = {};
  REQUIRE(LinuxTracee().read_memory(runner.pid(), Address(reinterpret_cast<std::uintptr_t>(code)),
                                    now) == sizeof now);
  CHECK(std::memcmp(code, now, sizeof now) == 0);
}

TEST_CASE("fault injection: a real process, a request fails while it is debugged") {
  check_all({}, &Faults::while_running, &Requests::running);
}

TEST_CASE("fault injection: a real process, a request fails while it is let go") {
  check_all({}, &Faults::while_leaving, &Requests::leaving);
}

}  // namespace
}  // namespace stub
