#include "stub/kernel/remote_syscall.h"

#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

constexpr Address vdso(0x7fff0010);
constexpr int trap_trace = 2;
constexpr int user_dispatch = 2;  // SYS_USER_DISPATCH of asm-generic/siginfo.h

// A stopped thread in the middle of its own affairs, and a processor that executes system calls.
struct Caller {
  FakeTracee tracee;
  const Pid pid = fake_pid(1);
  const Tid tid = leader_of(fake_pid(1));
  x86::GeneralRegisters before{};
  x86::GeneralRegisters at_call{};
  std::uint64_t mask_at_call = 0;
  std::uint64_t result = 0;
  int calls = 0;

  Caller() {
    FakeThread& thread = tracee.add(pid, tid, FakeThread::State::stopped);
    thread.regs.rip = 0x401002;
    thread.regs.rax = static_cast<std::uint64_t>(-512);
    thread.regs.orig_rax = 0;
    thread.regs.rdi = 3;
    thread.regs.r10 = 4;
    thread.mask = 0x10;
    thread.info.si_signo = SIGUSR1;
    thread.info.si_value.sival_int = 99;
    before = thread.regs;
    tracee.on_resume = [this](Tid, ResumeHow how, int) {
      CHECK(how == ResumeHow::step);
      execute();
    };
  }
  void execute() {
    FakeThread& thread = tracee.at(tid);
    at_call = thread.regs;
    mask_at_call = thread.mask;
    ++calls;
    thread.regs.rip += 2;
    thread.regs.rcx = thread.regs.rip;
    thread.regs.rax = result;
    tracee.trap(tid, trap_trace);
  }
  void check_restored() {
    const FakeThread& thread = tracee.at(tid);
    CHECK(thread.regs == before);
    CHECK(thread.mask == 0x10);
    CHECK(thread.info.si_signo == SIGUSR1);
    CHECK(thread.info.si_value.sival_int == 99);
  }
};

TEST_CASE("remote_syscall: arguments, result, and everything as it was") {
  Caller c;
  c.result = 0x7f0000001000;
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    const auto value = remote.call(9, {1, 2, 3, 4, 5, 6});
    REQUIRE(value.has_value());
    CHECK(*value == c.result);
    CHECK(c.at_call.rip == vdso.value());
    CHECK(c.at_call.rax == 9);
    CHECK(c.at_call.rdi == 1);
    CHECK(c.at_call.rsi == 2);
    CHECK(c.at_call.rdx == 3);
    CHECK(c.at_call.r10 == 4);
    CHECK(c.at_call.r8 == 5);
    CHECK(c.at_call.r9 == 6);
    CHECK(static_cast<std::int64_t>(c.at_call.orig_rax) == -1);
    CHECK(c.mask_at_call ==
          ~(std::uint64_t{1} << (SIGTRAP - 1) | std::uint64_t{1} << (SIGSYS - 1)));
    CHECK(remote.call(11, {}).has_value());
    CHECK(c.at_call.rax == 11);
    CHECK(c.at_call.rdi == 3);  // nothing of the call before
    CHECK_FALSE(remote.death().has_value());
  }
  CHECK(c.calls == 2);
  c.check_restored();
}

TEST_CASE("remote_syscall: results that are errors") {
  const struct {
    x86::Mode mode;
    std::int64_t result;
    int error;  // 0: none
    std::uint64_t value;
  } rows[] = {
      {x86::Mode::amd64, -1, 1, 0},
      {x86::Mode::amd64, -4095, 4095, 0},
      {x86::Mode::amd64, -4096, 0, static_cast<std::uint64_t>(-4096)},
      {x86::Mode::amd64, 0, 0, 0},
      {x86::Mode::i386, 0xffffffff, 1, 0},
      {x86::Mode::i386, 0xf7ff0000, 0, 0xf7ff0000},
      {x86::Mode::i386, 0xfffff000, 0, 0xfffff000},
  };
  for (const auto& row : rows) {
    INFO(row.result);
    Caller c;
    c.result = static_cast<std::uint64_t>(row.result);
    {
      RemoteSyscall remote(c.tracee, c.tid, row.mode, vdso);
      const auto value = remote.call(9, {});
      CHECK(value.has_value() == (row.error == 0));
      if (value)
        CHECK(*value == row.value);
      else
        CHECK(value.error().sys_errno == row.error);
    }
    c.check_restored();
  }
}

TEST_CASE("remote_syscall: i386 registers") {
  Caller c;
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::i386, vdso);
    REQUIRE(remote.call(192, {1, 2, 3, 4, 5, 6}).has_value());
    CHECK(c.at_call.rbx == 1);
    CHECK(c.at_call.rcx == 2);
    CHECK(c.at_call.rdx == 3);
    CHECK(c.at_call.rsi == 4);
    CHECK(c.at_call.rdi == 5);
    CHECK(c.at_call.rbp == 6);
  }
  c.check_restored();
}

// The program was stopped by a signal meanwhile, and this thread has to stop with the others.
TEST_CASE("remote_syscall: a group-stop comes first") {
  Caller c;
  bool first = true;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    if (std::exchange(first, false))
      c.tracee.group_stop(tid);
    else
      c.execute();
  };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    CHECK(remote.call(9, {}).has_value());
  }
  CHECK(c.tracee.at(c.tid).interrupt_waiting);
  c.check_restored();
}

TEST_CASE("remote_syscall: another stop comes first") {
  Caller c;
  int resumes = 0;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    if (++resumes == 1)
      c.tracee.interrupt_stop(tid);
    else
      c.execute();
  };
  c.result = 42;
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    const auto value = remote.call(9, {});
    REQUIRE(value.has_value());
    CHECK(*value == 42);
  }
  CHECK(c.calls == 1);
  c.check_restored();
}

// What the kernel does in the place of a system call that the program has sent to itself.
TEST_CASE("remote_syscall: a signal instead of the system call is no result") {
  Caller c;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int signal) {
    CHECK(signal == 0);
    ++c.calls;
    c.tracee.at(tid).regs.rip += 2;
    c.tracee.signal(tid, SIGSYS, user_dispatch);
  };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    const auto value = remote.call(9, {});
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error().code == Errc::unsupported);
  }
  CHECK(c.calls == 1);
  c.check_restored();
  CHECK(c.tracee.at(c.tid).signals_waiting.empty());
}

TEST_CASE("remote_syscall: no other signal than the step's is its end") {
  Caller c;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    c.tracee.at(tid).regs.rip += 2;
    c.tracee.signal(tid, SIGSEGV, 1);
  };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    CHECK_FALSE(remote.call(9, {}).has_value());
  }
  c.check_restored();
}

TEST_CASE("remote_syscall: somebody's SIGSYS is not lost") {
  Caller c;
  int resumes = 0;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    if (++resumes == 1)
      c.tracee.signal(tid, SIGSYS, SI_TKILL);
    else
      c.execute();
  };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    CHECK(remote.call(9, {}).has_value());
  }
  c.check_restored();
  CHECK(c.tracee.at(c.tid).signals_waiting == std::deque<int>{SIGSYS});
}

// A breakpoint of somebody's was on it: what lies behind is not executed.
TEST_CASE("remote_syscall: the first stop for something else is the end") {
  const struct {
    const char* what;
    int signal, code;
    std::uint64_t offset;  // of the PC
  } rows[] = {
      {"an int3", SIGTRAP, 0x80, 1},
      {"a debug register", SIGTRAP, 4, 0},
      {"nothing is mapped there", SIGSEGV, 1, 0},
      {"another instruction", SIGTRAP, 2, 5},
      {"an interrupt somewhere else", 0, 0, 5},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Caller c;
    int resumes = 0;
    c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
      ++resumes;
      c.tracee.at(tid).regs.rip += row.offset;
      if (row.signal == 0) return c.tracee.interrupt_stop(tid);
      c.tracee.signal(tid, row.signal, row.code);
    };
    {
      RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
      const auto value = remote.call(9, {});
      REQUIRE_FALSE(value.has_value());
      CHECK(value.error().code == Errc::bad_address);
    }
    CHECK(resumes == 1);
    CHECK(c.tracee.at(c.tid).regs == c.before);
    CHECK(c.tracee.at(c.tid).mask == 0x10);
  }
}

TEST_CASE("remote_syscall: somebody's SIGTRAP is not lost") {
  Caller c;
  int resumes = 0;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) {
    if (++resumes == 1)
      c.tracee.signal(tid, SIGTRAP, SI_TKILL);
    else
      c.execute();
  };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    CHECK(remote.call(9, {}).has_value());
  }
  c.check_restored();
  CHECK(c.tracee.at(c.tid).signals_waiting == std::deque<int>{SIGTRAP});
}

TEST_CASE("remote_syscall: stops without end") {
  Caller c;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) { c.tracee.interrupt_stop(tid); };
  {
    RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
    CHECK_FALSE(remote.call(9, {}).has_value());
  }
  c.check_restored();
}

TEST_CASE("remote_syscall: the thread dies in the call") {
  Caller c;
  c.tracee.on_resume = [&](Tid tid, ResumeHow, int) { c.tracee.die(tid); };
  RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
  const auto value = remote.call(9, {});
  REQUIRE_FALSE(value.has_value());
  CHECK(value.error().code == Errc::thread_gone);
  REQUIRE(remote.death().has_value());
  CHECK(remote.death()->tid == c.tid);
  CHECK(remote.death()->status == SIGKILL);
  CHECK_FALSE(remote.call(9, {}).has_value());
}

TEST_CASE("remote_syscall: the thread is dying at each kernel call") {
  for (int n = 0;; ++n) {
    INFO(n);
    Caller c;
    c.tracee.fatal_call = n;
    c.tracee.mortal = [&](Tid tid) { c.tracee.die(tid); };
    c.tracee.calls_counted = 0;
    {
      RemoteSyscall remote(c.tracee, c.tid, x86::Mode::amd64, vdso);
      const auto value = remote.call(9, {});
      if (!value) CHECK(value.error().code == Errc::thread_gone);
    }
    CHECK(c.tracee.blunders.empty());
    if (c.tracee.calls_counted <= n) break;
  }
}

}  // namespace
}  // namespace stub
