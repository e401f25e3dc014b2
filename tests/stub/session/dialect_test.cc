#include "stub/session/dialect.h"

#include <csignal>
#include <string>

#include "protocol/parse.h"
#include "tests/catch.h"

namespace stub {
namespace {

TEST_CASE("dialect: LLDB is known by packets that only it sends") {
  struct Row {
    const char* packet;
    bool lldb;
  };
  const Row rows[] = {
      {"qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+", true},
      {"qSupported:multiprocess+;swbreak+;xmlRegisters=i386", false},
      {"qSupported:multiprocess+", false},
      {"qSupported", false},
      {"QThreadSuffixSupported", true},
      {"QListThreadsInStopReply", true},
      {"qHostInfo", true},
      {"QStartNoAckMode", false},  // GDB sends it too, after qSupported
      {"QSaveRegisterState", false},
      {"?", false},
  };
  for (const Row& row : rows) {
    INFO(row.packet);
    const auto request = rsp::parse(row.packet);
    REQUIRE(request);
    CHECK(only_lldb_sends(*request) == row.lldb);
  }
}

TEST_CASE("dialect: signal numbers are GDB's own, or the host's for LLDB") {
  using enum Dialect;
  CHECK(wire_signal(gdb, SIGUSR1) == 30);
  CHECK(wire_signal(lldb, SIGUSR1) == SIGUSR1);
  CHECK(host_signal(gdb, 30) == SIGUSR1);
  CHECK(host_signal(lldb, SIGUSR1) == SIGUSR1);
  CHECK(host_signal(lldb, 64) == 64);
  CHECK(host_signal(lldb, 65) == 0);
  CHECK(host_signal(lldb, 255) == 0);
}

TEST_CASE("dialect: to LLDB a stop that the debugger has made is SIGSTOP") {
  using enum Dialect;
  struct Row {
    Stop stop;
    int gdb, lldb;
  };
  const Row rows[] = {
      {{.signal = SIGINT, .interrupt = true}, SIGINT, SIGSTOP},
      {{.signal = SIGINT}, SIGINT, SIGINT},
      {{.signal = SIGTRAP, .taken_over = true}, SIGTRAP, SIGSTOP},
      {{.signal = 0, .taken_over = true}, 0, SIGSTOP},
      {{.signal = SIGUSR1, .taken_over = true}, SIGUSR1, SIGUSR1},  // attached into it
      {{.signal = SIGUSR1}, SIGUSR1, SIGUSR1},
      {{}, 0, 0},
      {{.kind = StopKind::breakpoint, .signal = SIGTRAP}, SIGTRAP, SIGTRAP},
  };
  for (const Row& row : rows) {
    CHECK(told_signal(Dialect::gdb, row.stop) == row.gdb);
    CHECK(told_signal(Dialect::lldb, row.stop) == row.lldb);
  }
}

}  // namespace
}  // namespace stub
