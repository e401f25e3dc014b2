// Resuming and stopping as the client sees it, in both modes.
#include <csignal>
#include <utility>

#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

std::string stop_text(const std::string& reason, Address pc, int n) {
  return "T05" + reason + expedited_text(pc) + "thread:" + wire_id(n) + ";";
}

// ---- all-stop ----------------------------------------------------------------------------------

TEST_CASE("session: all-stop, the reply to a resume is the stop") {
  Client c(3);
  c.speak_gdb();
  CHECK(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.t(2), boost_site);
  CHECK(c.event() == stop_text("swbreak:;", boost_site, 2));
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("qC") == "QC" + wire_id(2));
  CHECK(c.ask("?") == stop_text("swbreak:;", boost_site, 2));
}

TEST_CASE("session: while the program runs, memory is answered and a second resume refused") {
  Client c(2);
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  CHECK(c.ask("m401010,3") == "48ffc0");
  CHECK(c.ask("vCont;c") == "E01");
  CHECK(c.ask("c") == "E01");
  CHECK(c.ask("g") == "E01");
  CHECK(c.ask("?") == "E01");
  CHECK(c.ask("QNonStop:1") == "E01");
  CHECK(c.ask("vRun;") == "E01");
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  CHECK(c.event().starts_with("T1e"));
}

TEST_CASE(
    "session: an interrupt stops one thread with SIGINT; when nothing runs, the next resume") {
  Client c(2);
  CHECK(c.raw("\x03").empty());
  CHECK(c.ask("vCont;c").starts_with("T02"));
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  CHECK(Client::payload_of(c.raw("\x03")).starts_with("T02"));
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  const std::string both = c.raw(rsp::frame_packet("vCtrlC"));
  CHECK(both.starts_with("$OK#9a$T02"));
}

TEST_CASE("session: which threads a vCont moves") {
  struct Row {
    std::string packet;
    const char* running;
  };
  const Row rows[] = {
      {"vCont;c", "123"},
      {"vCont;c:p-1.-1", "123"},
      {"vCont;c:" + wire_id(2), "2"},
      {"vCont;c:" + wire_tid(2), "2"},
      {"vCont;c:p" + wire_tid(1) + ".-1", "123"},
      {"vCont;c:p" + wire_tid(1), "123"},
      {"vCont;s:" + wire_id(1) + ";c:" + wire_id(3), "13"},
  };
  for (const Row& row : rows) {
    INFO(row.packet);
    Client c(3);
    CHECK(c.ask(row.packet) == "(nothing)");
    for (int n = 1; n <= 3; ++n)
      CHECK(c.w.is_running(n) ==
            (std::string(row.running).find(std::to_string(n)) != std::string::npos));
  }
}

TEST_CASE("session: the leftmost matching action wins, and signals are GDB's numbers") {
  Client c(2);
  CHECK(c.ask("vCont;C1e:" + wire_id(1) + ";s:" + wire_id(1) + ";c") == "(nothing)");
  const FakeCall* call = c.w.tracee.last("resume", c.w.leader);
  REQUIRE(call != nullptr);
  CHECK(call->how == ResumeHow::run);
  CHECK(call->signal == SIGUSR1);
  CHECK(c.w.tracee.last("resume", c.w.t(2))->signal == 0);
}

TEST_CASE("session: resumes that cannot be") {
  Client c(2);
  CHECK(c.ask("vCont;s:p0.0") == "E01");
  CHECK(c.ask("vCont;c:0") == "E01");
  CHECK(c.ask("vCont;c:7") == "E01");
  CHECK(c.ask("vCont;c:p7.-1") == "E01");
  CHECK(c.ask("vCont;t") == "E01");
  CHECK_FALSE(c.w.is_running(1));
}

TEST_CASE("session: the older packets, with and without Hc") {
  Client c(2);
  CHECK(c.ask("Hc" + wire_tid(2)) == "OK");
  CHECK(c.ask("s") == "(nothing)");
  CHECK_FALSE(c.w.is_running(1));
  CHECK(c.w.tracee.last("resume", c.w.t(2))->how == ResumeHow::step);
  c.w.tracee.trap(c.w.t(2), trap_trace);
  CHECK(c.event().starts_with("T05"));

  CHECK(c.ask("Hc-1") == "OK");
  CHECK(c.ask("C1e;401090") == "(nothing)");
  CHECK(c.w.is_running(1));
  CHECK(c.w.kernel_pc(2) == 0x401090);
  CHECK(c.w.tracee.last("resume", c.w.t(2))->signal == SIGUSR1);
  CHECK(c.w.tracee.last("resume", c.w.t(1))->signal == 0);
}

TEST_CASE("session: the end of the process is told and nothing is left") {
  Client c;
  c.speak_gdb();
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.exit(c.w.leader, 7);
  CHECK(c.event() == "W7;process:" + wire_tid(1));
  CHECK(c.ask("?") == "W00");
  CHECK(c.ask("vCont;c") == "E01");
  CHECK(c.ask("g") == "E01");

  Client d;
  REQUIRE(d.ask("c") == "(nothing)");
  d.w.tracee.die(d.w.leader, SIGSEGV);
  CHECK(d.event() == "X0b");
}

TEST_CASE("session: a process that died while it was stopped is told by the next resume") {
  Client c;
  c.w.tracee.die(c.w.leader, SIGKILL);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("vCont;c") == "X09");
}

// ---- non-stop ----------------------------------------------------------------------------------

TEST_CASE("session: non-stop, one notification at a time") {
  Client c(3, true);
  c.speak_gdb();
  CHECK(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("vCont;c") == "OK");
  c.w.tracee.execute_int3(c.w.t(2), boost_site);
  c.w.tracee.execute_int3(c.w.t(3), boost_site);
  c.session.on_child_event();
  CHECK(c.taken() == rsp::frame_notification("Stop:" + stop_text("swbreak:;", boost_site, 2)));
  CHECK(c.event() == "(nothing)");
  CHECK(c.w.is_running(1));
  CHECK(c.ask("vStopped") == stop_text("swbreak:;", boost_site, 3));
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("vStopped") == "OK");
}

TEST_CASE("session: non-stop, a stop that was not told yet cannot be resumed past") {
  Client c(3, true);
  REQUIRE(c.ask("vCont;c") == "OK");
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  c.w.tracee.signal(c.w.t(3), SIGUSR1);
  REQUIRE(c.event().starts_with("%Stop:T1e"));
  CHECK(c.ask("vCont;c") == "OK");
  CHECK(c.ask("vCont;s:" + wire_tid(2)) == "OK");
  CHECK_FALSE(c.w.is_running(2));
  CHECK_FALSE(c.w.is_running(3));
  CHECK(c.ask("vStopped").starts_with("T1e"));
  CHECK(c.ask("vCont;c") == "OK");
  CHECK(c.w.is_running(2));
  CHECK_FALSE(c.w.is_running(3));
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("vCont;c") == "OK");
  CHECK(c.w.is_running(3));
}

// The only frame in `output` after the reply OK.
std::string after_ok(const std::string& output) {
  REQUIRE(output.starts_with("$OK#9a"));
  return output.substr(6);
}

TEST_CASE("session: non-stop, what `?` has still to tell stays stopped too") {
  Client c(3, true);
  REQUIRE(c.ask("?").starts_with("T"));
  REQUIRE(c.ask("vStopped") == "OK");
  CHECK(after_ok(c.raw(rsp::frame_packet("vCont;c"))).starts_with("%Stop:T"));
  CHECK(c.w.is_running(1));
  CHECK_FALSE(c.w.is_running(2));
  CHECK_FALSE(c.w.is_running(3));
  CHECK(c.ask("vStopped").starts_with("T"));
  CHECK(c.ask("vStopped") == "OK");
}

TEST_CASE("session: non-stop `?` tells one stopped thread, notifications tell the others later") {
  Client c(3, true);
  c.speak_gdb();
  CHECK(c.ask("?").find("thread:" + wire_id(1)) != std::string::npos);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("QPassSignals:") == "OK");
  CHECK(c.event() == "(nothing)");
  const std::string second = after_ok(c.raw(rsp::frame_packet("Hg" + wire_id(1))));
  CHECK(second.starts_with("%Stop:T"));
  CHECK(second.find("thread:" + wire_id(2)) != std::string::npos);
  CHECK(c.ask("vStopped").find("thread:" + wire_id(3)) != std::string::npos);
  CHECK(c.ask("vStopped") == "OK");
  REQUIRE(c.ask("vCont;c") == "OK");
  CHECK(c.ask("?") == "OK");
  c.w.tracee.signal(c.w.leader, SIGUSR1);  // nothing was told: nothing has to be waited for
  CHECK(c.event().starts_with("%Stop:T1e"));
}

TEST_CASE("session: between QNonStop:1 and `?` nothing is notified") {
  Client c(3, true);
  REQUIRE(c.ask("vCont;c") == "OK");
  REQUIRE(c.ask("QNonStop:1") == "OK");
  c.w.tracee.signal(c.w.t(3), SIGUSR1);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("qXfer:threads:read::0,1000").starts_with("l<threads>"));
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("?").starts_with("T1e"));
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.raw(rsp::frame_packet("qAttached")).find("%Stop:T1e") != std::string::npos);
}

TEST_CASE("session: vCont;t gives T00 for each thread, also for a dead one no error") {
  Client c(2, true);
  c.speak_gdb();
  REQUIRE(c.ask("vCont;c") == "OK");
  CHECK(c.raw(rsp::frame_packet("vCont;t")).starts_with("$OK#9a%Stop:T00"));
  CHECK(c.ask("vStopped").starts_with("T00"));
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("vCont;t:7") == "OK");
}

TEST_CASE("session: in non-stop a stop does not move the client's selection") {
  Client c(2, true);
  REQUIRE(c.ask("Hg" + wire_tid(1)) == "OK");
  REQUIRE(c.ask("vCont;c:" + wire_tid(2)) == "OK");
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  c.event();
  CHECK(c.ask("qC") == "QC" + wire_tid(1));
}

TEST_CASE("session: non-stop, what has gone may be told to stop, not to run") {
  Client c(1, true);
  c.speak_gdb();
  c.ask("?");
  REQUIRE(c.ask("vStopped") == "OK");
  REQUIRE(c.ask("vCont;c") == "OK");
  c.w.tracee.die_all(c.w.pid);
  REQUIRE(c.event().starts_with("%Stop:X9"));
  REQUIRE(c.ask("vStopped") == "OK");
  CHECK(c.ask("vCont;t:" + wire_id(1)) == "OK");
  CHECK(c.ask("vCont;c:" + wire_id(1)) == "E01");
}

TEST_CASE("session: non-stop, that nobody is left to wait for is a notification") {
  Client c(2, true);
  c.speak_gdb();
  REQUIRE(c.ask("?").starts_with("T"));
  REQUIRE(c.ask("vStopped") == "OK");
  REQUIRE(c.raw(rsp::frame_packet("qC")).find("%Stop:T") != std::string::npos);
  REQUIRE(c.ask("vStopped") == "OK");
  REQUIRE(c.ask("vCont;c:" + wire_id(2)) == "OK");
  SECTION("alone") {
    c.w.tracee.exit(c.w.t(2));
    CHECK(c.event() == rsp::frame_notification("Stop:N"));
  }
  SECTION("behind the exit") {
    REQUIRE(c.ask("QThreadOptions;2:" + wire_id(2)) == "OK");
    c.w.tracee.exit(c.w.t(2));
    CHECK(c.event() == rsp::frame_notification("Stop:w0;" + wire_id(2)));
    CHECK(c.ask("vStopped") == "N");
  }
  CHECK(c.ask("vStopped") == "OK");
  CHECK(c.ask("vCont;c") == "OK");
  CHECK(c.w.is_running(1));
}

TEST_CASE("session: QNonStop:0 stops everything without a notification") {
  Client c(2, true);
  REQUIRE(c.ask("vCont;c") == "OK");
  CHECK(c.ask("QNonStop:0") == "OK");
  CHECK_FALSE(c.w.is_running(1));
  CHECK_FALSE(c.w.is_running(2));
  CHECK(c.ask("?").starts_with("T"));
}

// ---- letting go --------------------------------------------------------------------------------

TEST_CASE("session: detach lets go clean and ends a server that has nothing left to do") {
  Client c(2);
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("D;7") == "E01");
  CHECK(c.ask("D;" + wire_tid(1)) == "OK");
  CHECK(c.w.memory().byte(boost_site) == 0x48);
  CHECK(c.w.tracee.count("detach", c.w.t(2)) == 1);
  CHECK(c.session.next() == Peer::Next::quit);
}

TEST_CASE("session: detach with a stop on its way lets the client ask for it") {
  Client c(2, true);
  REQUIRE(c.ask("vCont;c") == "OK");
  c.w.tracee.signal(c.w.t(2), SIGUSR1);
  REQUIRE(c.event().starts_with("%Stop:T"));
  CHECK(c.ask("D") == "OK");
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.ask("vStopped") == "OK");
  c.session.disconnected();
  CHECK(c.session.next() == Peer::Next::quit);
}

TEST_CASE("session: after `!` the server stays") {
  Client c;
  CHECK(c.ask("!") == "OK");
  CHECK(c.ask("D") == "OK");
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.ask("?") == "W00");
}

TEST_CASE("session: kill has no reply, vKill has") {
  Client c;
  CHECK(c.ask("k") == "(nothing)");
  CHECK(c.w.tracee.count("kill", c.w.leader) == 1);
  CHECK(c.session.next() == Peer::Next::quit);
  Client d;
  CHECK(d.ask("vKill;7") == "E01");
  CHECK(d.ask("vKill;" + wire_tid(1)) == "OK");
  CHECK(d.session.next() == Peer::Next::go_on);
  Client lldb;
  lldb.speak_lldb();
  CHECK(lldb.ask("k") == "X09");  // LLDB waits for it
  CHECK(lldb.session.next() == Peer::Next::quit);
}

TEST_CASE("session: of a thread's options the last entry counts, and who has none keeps his own") {
  for (const auto& [packets, told] : {std::pair{"QThreadOptions;0;1:" + wire_id(1), true},
                                      std::pair{"QThreadOptions;1:" + wire_id(1) + ";0", false},
                                      std::pair{"QThreadOptions;1;0:" + wire_id(2), true},
                                      std::pair{"QThreadOptions;1;0:" + wire_id(1), false}}) {
    INFO(packets);
    Client c(2);
    c.speak_gdb();
    REQUIRE(c.ask(packets) == "OK");
    REQUIRE(c.ask("QThreadOptions;2:" + wire_id(2)) == "OK");
    REQUIRE(c.ask("vCont;c") == "(nothing)");
    c.w.announce_clone(c.w.leader, 3);
    CHECK((c.event().find("clone:") != std::string::npos) == told);
  }
}

TEST_CASE("session: commands that persist keep the process with the server, without a client") {
  SessionSettings settings = test_settings();
  Client c(1, false, settings);
  REQUIRE(c.ask("Z0,401010,1;cmds:1,X12,22052200220034010007783d25645c6e0027") == "OK");
  REQUIRE(c.ask("Z0,401020,1") == "OK");
  CHECK(c.ask("D") == "OK");
  CHECK(c.session.next() == Peer::Next::go_on);
  c.session.disconnected();
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.w.is_running(1));
  CHECK(c.w.memory().byte(boost_site) == 0xcc);
  CHECK(c.w.memory().byte(emulate_site) == 0xeb);
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  c.session.on_child_event();
  CHECK(c.console == "x=5\n");
  CHECK(c.w.is_running(1));
  // Signals are the program's own.
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  c.session.on_child_event();
  CHECK(c.w.is_running(1));
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == SIGUSR1);
  // A client that comes back finds it stopped.
  c.session.connected();
  CHECK(Client::payload_of(c.raw("$?#3f")).starts_with("T"));
  CHECK_FALSE(c.w.is_running(1));
}

TEST_CASE("session: lists of signals are by GDB's numbers, also where two mean one of Linux") {
  struct Row {
    const char* list;
    int signal;
    bool passes;
  };
  const Row rows[] = {
      {"21", SIGIO, false},  // POLL; the program's signal 29 is told as IO
      {"17", SIGIO, true},  {"21;17", SIGIO, true},  {"14", SIGCHLD, true},
      {"2d", 33, true},     {"4d", 32, true},        {"4e", 64, true},
      {"4e", 33, false},    {"8f", SIGSTKFLT, true}, {"10", SIGSTKFLT, false},
      {"10", SIGURG, true},
  };
  for (const Row& row : rows) {
    INFO(row.list << " " << row.signal);
    Client c;
    REQUIRE(c.ask(std::string("QPassSignals:") + row.list) == "OK");
    REQUIRE(c.ask("vCont;c") == "(nothing)");
    c.w.tracee.signal(c.w.leader, row.signal);
    CHECK((c.event() == "(nothing)") == row.passes);
  }
  Client lldb;  // lists by the host's
  lldb.speak_lldb();
  REQUIRE(lldb.ask("QPassSignals:1d") == "OK");
  REQUIRE(lldb.ask("vCont;c") == "(nothing)");
  lldb.w.tracee.signal(lldb.w.leader, SIGIO);
  CHECK(lldb.event() == "(nothing)");
}

TEST_CASE(
    "session: a signal without a name of GDB's is delivered when the client goes on with it") {
  Client c;
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGSTKFLT);
  REQUIRE(c.event().starts_with("T8f"));
  REQUIRE(c.ask("vCont;C8f") == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == SIGSTKFLT);
}

TEST_CASE("session: signals that pass without a word") {
  Client c;
  CHECK(c.ask("QPassSignals:1e;14") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  CHECK(c.event() == "(nothing)");
  CHECK(c.w.tracee.last("resume", c.w.leader)->signal == SIGUSR1);
  CHECK(c.ask("QPassSignals:") == "OK");
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  CHECK(c.event().starts_with("T1e"));
}

}  // namespace
}  // namespace stub
