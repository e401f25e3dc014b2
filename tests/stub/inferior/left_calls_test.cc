// A thread stopped in a system call, used for something else, and put back.
#include "stub/inferior/left_calls.h"

#include <string>

#include "stub/kernel/syscall_restart.h"
#include "tests/catch.h"

namespace stub {
namespace {

constexpr std::uint64_t none = ~std::uint64_t{0};

// Behind a system call that a stop has interrupted.
x86::GeneralRegisters interrupted(std::int64_t result, bool amd64 = true) {
  x86::GeneralRegisters regs{};
  regs.rip = 0x401002;
  regs.rsp = 0x7fff0000;
  regs.rax = static_cast<std::uint64_t>(result);
  regs.orig_rax = 35;
  regs.cs = amd64 ? 0x33 : 0x23;
  return regs;
}

x86::GeneralRegisters moved(x86::GeneralRegisters regs) {
  regs.rip = 0x402000;
  regs.rsp -= 0x100;
  return regs;
}

TEST_CASE("left_calls: each restart code, for each kind of client, in both modes") {
  const bool amd64 = GENERATE(true, false);
  const std::int64_t code = GENERATE(-512, -513, -514, -516);
  const auto stopped = interrupted(code, amd64);
  REQUIRE(awaits_restart(stopped));
  LeftCalls calls;
  auto regs = moved(stopped);
  calls.leave(stopped, std::nullopt);
  CHECK(calls.settle(regs, false));
  CHECK(regs.orig_rax == none);  // the kernel must not go back two bytes from the function
  regs = stopped;
  SECTION("all registers are written back") {
    calls.settle(regs, false);
    CHECK(regs == stopped);
  }
  SECTION("all but orig_rax, which the client does not know") {
    regs.orig_rax = none;
    CHECK(calls.settle(regs, false));
    CHECK(regs == stopped);
  }
  SECTION("the client has withheld orig_rax by itself") {
    LeftCalls own;
    own.leave(stopped, std::nullopt);
    auto function = moved(stopped);
    function.orig_rax = none;
    CHECK_FALSE(own.settle(function, false));
    CHECK(function.orig_rax == none);
    CHECK_FALSE(own.settle(regs, false));
    CHECK(regs == stopped);
  }
}

TEST_CASE("left_calls: nothing is touched of a thread that") {
  LeftCalls calls;
  SECTION("is resumed as it stopped") {
    auto regs = interrupted(-512);
    CHECK_FALSE(calls.settle(regs, false));
    CHECK(regs == interrupted(-512));
  }
  SECTION("was moved away from a call that is over") {
    calls.leave(interrupted(0), std::nullopt);
    auto regs = moved(interrupted(0));
    CHECK_FALSE(calls.settle(regs, false));
  }
  SECTION("was moved and put back at the same stop") {
    calls.leave(interrupted(-512), std::nullopt);
    calls.leave(moved(interrupted(-512)), std::nullopt);
    auto regs = interrupted(-512);
    CHECK_FALSE(calls.settle(regs, false));
    CHECK(regs == interrupted(-512));
  }
  SECTION("has the restart of a call of its own before it") {
    calls.leave(interrupted(-516), std::nullopt);
    auto regs = moved(interrupted(-516));
    calls.settle(regs, false);
    auto inner = interrupted(-516);  // the function that was called sleeps as well
    inner.rip = 0x403002;
    inner.rsp -= 0x200;
    const auto before = inner;
    CHECK_FALSE(calls.settle(inner, false));
    CHECK(inner == before);
  }
}

TEST_CASE("left_calls: a call in a call") {
  LeftCalls calls;
  const auto outer = interrupted(-516);
  auto inner = outer;
  inner.rip = 0x403002;
  inner.rsp -= 0x200;
  calls.leave(outer, std::nullopt);
  auto regs = moved(outer);
  calls.settle(regs, false);
  calls.leave(inner, std::nullopt);
  regs = moved(inner);
  CHECK(calls.settle(regs, false));
  CHECK(regs.orig_rax == none);
  regs = inner;
  regs.orig_rax = none;
  CHECK(calls.settle(regs, false));
  CHECK(regs == inner);
  regs = outer;
  regs.orig_rax = none;
  CHECK(calls.settle(regs, false));
  CHECK(regs == outer);
}

TEST_CASE("left_calls: inside of fork") {
  const auto stopped = interrupted(-38);  // ENOSYS, until the call returns
  LeftCalls calls;
  calls.leave(stopped, 4711);
  SECTION("put back at the same stop: the kernel sets the result itself") {
    auto regs = stopped;
    CHECK_FALSE(calls.settle(regs, true));
    CHECK(regs == stopped);
  }
  SECTION("put back later") {
    auto regs = moved(stopped);
    CHECK_FALSE(calls.settle(regs, true));
    regs = stopped;
    CHECK(calls.settle(regs, false));
    CHECK(regs.rax == 4711);
  }
}

TEST_CASE("left_calls: what awaits a restart, and where") {
  CHECK_FALSE(awaits_restart(interrupted(-515)));
  CHECK_FALSE(awaits_restart(interrupted(-4)));
  CHECK_FALSE(awaits_restart(interrupted(0)));
  auto regs = interrupted(-512);
  CHECK(restart_state(regs).rax == 35);
  CHECK(restart_state(regs).rip == 0x401000);
  CHECK(restart_state(interrupted(-516)).rax == 219);
  CHECK(restart_state(interrupted(-516, false)).rax == 0);
  regs.orig_rax = none;
  CHECK_FALSE(awaits_restart(regs));
}

}  // namespace
}  // namespace stub
