// The same session as LLDB sees it.
#include <csignal>

#include "tests/stub/session/session_fixture.h"

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

  // Nor has a reason's name in its stop reply, as with lldb-server.
  CHECK(c.ask("qThreadStopInfo" + wire_tid(1)).find("reason") == std::string::npos);

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
  CHECK(c.ask("qPlatform_shell:6c73,0000000a").starts_with("F,0000007e,00000000,"));
}

TEST_CASE("session: a process that LLDB takes over is stopped by SIGSTOP, all of its threads") {
  Client fresh(1);
  fresh.speak_lldb();
  CHECK(fresh.ask("?").starts_with("T13"));
  CHECK(fresh.ask("?").ends_with("reason:signal;"));
  CHECK(fresh.ask("jThreadsInfo").find("\"signal\":19") != std::string::npos);
  REQUIRE(fresh.ask("vCont;c") == "(nothing)");
  CHECK(fresh.raw("\x03").find("$T13") != std::string::npos);
  CHECK(fresh.ask("qXfer:siginfo:read::0,4") == std::string("m\x13\0\0\0", 5));
  CHECK(fresh.ask("jThreadsInfo").find("\"signal\":19") != std::string::npos);

  // To GDB it is SIGTRAP as ever, and a Ctrl-C is SIGINT.
  Client gdb(1);
  gdb.speak_gdb();
  CHECK(gdb.ask("?").starts_with("T05"));
  REQUIRE(gdb.ask("vCont;c") == "(nothing)");
  CHECK(gdb.raw("\x03").find("$T02") != std::string::npos);
  CHECK(gdb.ask("qXfer:siginfo:read::0,4") == std::string("m\x02\0\0\0", 5));
}

TEST_CASE("session: an LLDB that comes back is told of the main thread first") {
  Client c(2);
  c.speak_lldb();
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  REQUIRE(c.event().starts_with("T0athread:" + wire_id(2)));
  c.session.disconnected();
  c.session.connected();
  c.speak_lldb();
  CHECK(c.ask("?").starts_with("T00thread:" + wire_id(1)));
  CHECK(c.ask("qThreadStopInfo" + wire_tid(2)).starts_with("T0a"));
  // GDB has one stop to look at.
  c.session.disconnected();
  c.session.connected();
  c.speak_gdb();
  const std::string stop = c.ask("?");
  CHECK(stop.starts_with("T1e"));
  CHECK(stop.find("thread:" + wire_id(2) + ";") != stop.npos);
}

TEST_CASE("session: LLDB is told why a fault's signal came") {
  Client c;
  c.speak_lldb();
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGSEGV, SEGV_MAPERR, Address(0x1234));
  const std::string text = "signal SIGSEGV: address not mapped to object (fault address: 0x1234)";
  const std::string stop = c.event();
  CHECK(stop.starts_with("T0b"));
  CHECK(stop.ends_with("reason:signal;description:" + rsp::to_hex(text) + ";"));
  CHECK(c.ask("jThreadsInfo").find("\"description\":\"" + text + "\"") != std::string::npos);
}

TEST_CASE("session: Z3 is an access watchpoint for LLDB, and not there for GDB") {
  Client c;
  CHECK(c.ask("Z3,7ff000,8").empty());
  c.speak_lldb();
  CHECK(c.ask("Z3,7ff000,8") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  CHECK_FALSE(c.w.at(1).user.empty());  // debug registers
  REQUIRE(c.raw("\x03").find("$T13") != std::string::npos);
  CHECK(c.ask("z3,7ff000,8") == "OK");
}

// LLDB, unlike GDB, sends each signal that the program shall have.
TEST_CASE("session: a signal that LLDB does not send is not delivered") {
  Client c;
  c.speak_lldb();
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  REQUIRE(c.event().starts_with("T0a"));
  REQUIRE(c.ask("D;" + wire_tid(1)) == "OK");
  CHECK(c.w.tracee.last("detach", c.w.leader)->signal == 0);

  Client gdb;
  gdb.speak_gdb();
  REQUIRE(gdb.ask("vCont;c") == "(nothing)");
  gdb.w.tracee.signal(gdb.w.leader, SIGUSR1);
  REQUIRE(gdb.event().starts_with("T1e"));
  REQUIRE(gdb.ask("D;" + wire_tid(1)) == "OK");
  CHECK(gdb.w.tracee.last("detach", gdb.w.leader)->signal == SIGUSR1);
}

TEST_CASE("session: with the registers LLDB restores what the thread had stopped for") {
  for (const bool signalled : {false, true}) {
    Client c;
    c.speak_lldb();
    if (signalled) {
      REQUIRE(c.ask("vCont;c") == "(nothing)");
      c.w.tracee.signal(c.w.leader, SIGUSR1);
      REQUIRE(c.event().starts_with("T0a"));
    }
    const std::string id = c.ask("QSaveRegisterState;thread:" + wire_id(1) + ";");
    REQUIRE(c.ask("vCont;c:" + wire_id(1)) == "(nothing)");
    c.w.tracee.signal(c.w.leader, SIGSEGV);  // the expression crashes
    REQUIRE(c.event().starts_with("T0b"));
    REQUIRE(c.ask("QRestoreRegisterState:" + id + ";thread:" + wire_id(1) + ";") == "OK");
    CHECK(c.ask("?").starts_with(signalled ? "T0a" : "T13"));
    c.session.disconnected();
    // Who comes next, or nobody: the expression's signal is gone.
    REQUIRE(c.w.engine.detach(c.w.pid).has_value());
    CHECK(c.w.tracee.last("detach", c.w.leader)->signal == (signalled ? SIGUSR1 : 0));
  }
}

TEST_CASE("session: LLDB's detach may leave the process stopped") {
  Client c;
  c.speak_lldb();
  CHECK(c.ask("D;" + wire_tid(1)) == "OK");
  CHECK(c.w.tracee.count("detach", c.w.leader) == 1);
}

}  // namespace
}  // namespace stub
