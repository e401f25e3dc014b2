// The same session as LLDB sees it.
#include <csignal>

#include "tests/stub/session_fixture.h"

namespace stub {
namespace {

TEST_CASE("session: LLDB gets general registers, thread list, its own reasons and host signals") {
  Client c(2);
  c.speak_lldb();
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.t(2), boost_site);
  const std::string stop = c.event();
  CHECK(stop.starts_with("T05thread:" + wire_id(2) + ";"));
  CHECK(stop.find("threads:" + wire_id(1) + "," + wire_id(2) + ";") != stop.npos);
  CHECK(stop.find("thread-pcs:401080,401010;") != stop.npos);
  CHECK(stop.find(";10:1010400000000000;") != stop.npos);
  CHECK(stop.ends_with("reason:breakpoint;"));

  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  CHECK(c.event().starts_with("T0a"));
  REQUIRE(c.ask("vCont;C0a:" + wire_id(1) + ";c") == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == SIGUSR1);
  c.w.tracee.die_all(c.w.pid, SIGBUS);
  CHECK(c.event() == "X07;process:" + wire_tid(1));
}

TEST_CASE("session: a number that is no signal of the host's is no signal") {
  Client c;
  c.speak_lldb();
  REQUIRE(c.ask("QProgramSignals:0;1;2") == "OK");
  REQUIRE(c.ask("vCont;C41:" + wire_id(1)) == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == 0);
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  REQUIRE(c.event().starts_with("T0a"));
  REQUIRE(c.ask("vCont;C40:" + wire_id(1)) == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == 64);
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  REQUIRE(c.event().starts_with("T0a"));
  REQUIRE(c.ask("vCont;Cff:" + wire_id(1)) == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == 0);
}

TEST_CASE("session: a thread that was only held has no reason of its own") {
  Client c(2);
  c.speak_lldb();
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  REQUIRE(c.event().starts_with("T0a"));
  CHECK(c.ask("qThreadStopInfo" + wire_tid(2)).starts_with("T0a"));
  CHECK(c.ask("qThreadStopInfo" + wire_tid(1)).starts_with("T00"));
  const std::string json = c.ask("jThreadsInfo");
  CHECK(json.find("\"reason\":\"signal\"") != json.npos);
  CHECK(json.find("\"reason\"") == json.rfind("\"reason\""));

  // Asking about a thread does not select it.
  CHECK(c.ask("qC") == "QC" + wire_id(2));

  // A thread that is not resumed keeps its reason.
  REQUIRE(c.ask("vCont;c:" + wire_id(1)) == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGUSR2);
  REQUIRE(c.event().starts_with("T0c"));
  CHECK(c.ask("qThreadStopInfo" + wire_tid(2)).starts_with("T0a"));
}

TEST_CASE("session: LLDB is told of all threads that stopped at once, with one stop") {
  Client c(3);
  c.speak_lldb();
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.t(2), boost_site);
  c.w.tracee.execute_int3(c.w.t(3), boost_site);
  REQUIRE(c.event().starts_with("T05"));
  for (int n = 2; n <= 3; ++n) {
    const std::string stop = c.ask("qThreadStopInfo" + wire_tid(n));
    CHECK(stop.starts_with("T05"));
    CHECK(stop.ends_with("reason:breakpoint;"));
  }
  CHECK(c.ask("qThreadStopInfo" + wire_tid(1)).starts_with("T00"));
  // Told is told: the next stop is a new one.
  CHECK(c.ask("vCont;c") == "(nothing)");
  CHECK(c.event() == "(nothing)");
}

TEST_CASE("session: what LLDB asks besides") {
  Client c;
  c.speak_lldb();
  CHECK(c.ask("qHostInfo").find("triple:") != std::string::npos);
  CHECK(c.ask("qRegisterInfo0").starts_with("name:rax;"));
  CHECK(c.ask("qRegisterInfofff") == "E45");
  CHECK(c.ask("qWatchpointSupportInfo:") == "num:4;");
  CHECK(c.ask("qMemoryRegionInfo:") == "OK");
  CHECK(c.ask("qStepPacketSupported") == "OK");
  CHECK(c.raw(rsp::frame_packet("qEcho:a}]b")) == rsp::frame_packet("qEcho:a}]b"));
  CHECK(c.ask("qUserName:0") == rsp::to_hex(std::string_view("root")));
  CHECK(c.ask("qXfer:features:read:target.xml:0,ffff").find("generic=") != std::string::npos);
  CHECK(c.ask("qGetWorkingDir").size() > 1);
}

TEST_CASE("session: LLDB's detach may leave the process stopped") {
  Client c;
  c.speak_lldb();
  CHECK(c.ask("D;" + wire_tid(1)) == "OK");
  CHECK(c.w.tracee.count("detach", c.w.leader) == 1);
}

}  // namespace
}  // namespace stub
