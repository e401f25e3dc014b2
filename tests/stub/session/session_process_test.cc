// Starting and taking over processes.
#include <unistd.h>

#include <cstdlib>

#include "stub/kernel/proc_fs.h"
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

SessionSettings multi() {
  SessionSettings settings = test_settings();
  settings.multi = true;
  return settings;
}

std::string hex(std::string_view text) { return rsp::to_hex(text); }

TEST_CASE("session: vRun starts a program, with what the client said about it") {
  Client c(1, false, multi());
  c.speak_gdb();
  CHECK(c.ask("QDisableRandomization:0") == "OK");
  CHECK(c.ask("QStartupWithShell:0") == "OK");
  CHECK(c.ask("QEnvironmentHexEncoded:" + hex("A=b=c")) == "OK");
  CHECK(c.ask("QSetWorkingDir:" + hex("/tmp")) == "OK");
  CHECK(c.ask("vRun;" + hex("/bin/x") + ";" + hex("one") + ";;" + hex("two")).starts_with("T05"));
  REQUIRE(c.launched.size() == 1);
  const LaunchSpec& spec = c.launched.front();
  CHECK(spec.program == std::vector<std::string>{"/bin/x", "one", "", "two"});
  CHECK(spec.environment.entries() == std::vector<std::string>{"A=b=c"});
  CHECK(spec.working_directory == "/tmp");
  CHECK_FALSE(spec.startup_with_shell);
  CHECK_FALSE(spec.disable_randomization);
  CHECK(c.w.engine.processes().size() == 2);
  CHECK(c.ask("qC") == "QCp" + wire_tid(50) + "." + wire_tid(50));
  CHECK(c.ask("qAttached:" + wire_tid(50)) == "0");

  CHECK(c.ask("QEnvironmentReset") == "OK");
  CHECK(c.ask("vRun;").starts_with("T05"));
  CHECK(c.launched.back().program == std::vector<std::string>{"/bin/x"});
  CHECK(c.launched.back().environment.entries().empty());
}

TEST_CASE("session: a run that fails says why and leaves the connection as it was") {
  Client c(1, false, multi());
  c.speak_gdb();
  CHECK(c.ask("vRun;" + hex("/fails")) == "E.During startup program exited with code 127.");
  CHECK(c.ask("qC") == "QC" + wire_id(1));
  CHECK(c.ask("?").find("thread:" + wire_id(1)) != std::string::npos);
}

TEST_CASE("session: what a client has set for its programs is not the next one's") {
  Client c(1, false, multi());
  REQUIRE(c.ask("QSetWorkingDir:" + hex("/tmp")) == "OK");
  REQUIRE(c.ask("QEnvironmentHexEncoded:" + hex("A=1")) == "OK");
  c.session.disconnected();
  c.session.connected();
  c.speak_lldb();
  REQUIRE(c.ask("vRun;" + hex("/bin/x")).starts_with("T13"));
  CHECK(c.launched.back().working_directory.empty());
  CHECK(c.launched.back().environment.entries().empty());
}

TEST_CASE("session: R starts the program again, in extended mode only") {
  Client c;
  CHECK(c.ask("R00").empty());
  CHECK(c.launched.empty());
  CHECK(c.ask("!") == "OK");
  CHECK(c.ask("R00") == "(nothing)");
  REQUIRE(c.launched.size() == 1);
  CHECK(c.launched.front().program == std::vector<std::string>{"/bin/program"});
  CHECK(c.w.tracee.count("kill", c.w.leader) == 1);
  CHECK(c.ask("?").find("thread:" + wire_tid(50)) != std::string::npos);
}

TEST_CASE("session: in non-stop vRun still replies with the stop") {
  Client c(1, true, multi());
  CHECK(c.ask("vRun;").starts_with("T05"));
  CHECK(c.ask("vStopped") == "OK");
}

TEST_CASE("session: attaching to what is not there") {
  Client c(1, false, multi());
  CHECK(c.ask("vAttach;7fffffff").starts_with("E.Cannot attach to process 2147483647: "));
  CHECK(c.ask("vAttach;0") == "E01");
  CHECK(c.ask("vAttach;" + wire_tid(1)).starts_with("E."));
  CHECK(c.ask("vAttachName;" + hex("no process is called so")).starts_with("E."));
  CHECK(c.ask("qC") == "QC" + wire_tid(1));
}

TEST_CASE("session: waiting for a process by its name") {
  using namespace std::chrono_literals;
  Client c(1, false, multi());
  CHECK(c.ask("qVAttachOrWaitSupported") == "OK");
  CHECK(c.ask("vAttachWait;" + hex("no process is called so")) == "(nothing)");
  CHECK(c.session.poll_after() == 10ms);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("vAttachOrWait;" + hex("another")) == "E01");
  CHECK(c.raw("\x03") == rsp::frame_packet("E.Interrupted"));
  CHECK(c.session.poll_after() == std::nullopt);
  // Whoever is there is not waited for; it cannot be attached to here.
  const auto own_parent = proc_fs::comm(Tid{::getppid()});
  REQUIRE(own_parent);
  CHECK(c.ask("vAttachOrWait;" + hex(*own_parent)).starts_with("E."));
  CHECK(c.session.poll_after() == std::nullopt);
}

TEST_CASE("session: files in place of standard streams") {
  Client c(1, false, multi());
  CHECK(c.ask("QSetSTDIN:" + hex("/dev/null")) == "OK");
  CHECK(c.ask("QSetSTDOUT:" + hex("/tmp/out")) == "OK");
  CHECK(c.ask("QSetSTDERR:" + hex("/tmp/err")) == "OK");
  CHECK(c.ask("QSetSTDIN:zz") == "E01");
  REQUIRE(c.ask("vRun;").starts_with("T05"));
  CHECK(c.launched.front().streams ==
        std::array<std::string, 3>{"/dev/null", "/tmp/out", "/tmp/err"});
}

TEST_CASE("session: what one client says of streams and of its own loss is not the next one's") {
  Client c(1, false, multi());
  CHECK(c.ask("QSetSTDOUT:" + hex("/tmp/out")) == "OK");
  CHECK(c.ask("QSetDetachOnError:1") == "OK");
  CHECK(c.ask("QSetDetachOnError:0") == "OK");
  c.session.disconnected();
  CHECK(c.w.engine.processes().size() == 1);  // kept, as without a word

  c.session.connected();
  c.ask("QStartNoAckMode");
  c.raw("+");
  CHECK(c.ask("QSetDetachOnError:1") == "OK");
  REQUIRE(c.ask("vRun;").starts_with("T05"));
  CHECK(c.launched.front().streams == std::array<std::string, 3>{});
  c.session.disconnected();
  CHECK(c.w.engine.processes().empty());
}

TEST_CASE("session: `~` in a working directory is the user's home") {
  Client c(1, false, multi());
  const char* home = std::getenv("HOME");
  REQUIRE(home != nullptr);
  CHECK(c.ask("QSetWorkingDir:" + hex("~/x")) == "OK");
  CHECK(c.ask("qGetWorkingDir") == hex(std::string(home) + "/x"));
  CHECK(c.ask("QSetWorkingDir:" + hex("~")) == "OK");
  CHECK(c.ask("qGetWorkingDir") == hex(home));
  CHECK(c.ask("QSetWorkingDir:" + hex("~other/x")) == "OK");
  CHECK(c.ask("qGetWorkingDir") == hex("~other/x"));
}

TEST_CASE("session: plain `target remote` is over with its last program, also with --multi") {
  Client plain(1, false, multi());
  REQUIRE(plain.ask("vKill;" + wire_tid(1)) == "OK");
  CHECK(plain.session.next() == Peer::Next::go_on);
  plain.session.disconnected();
  CHECK(plain.session.next() == Peer::Next::quit);

  Client extended(1, false, multi());
  REQUIRE(extended.ask("!") == "OK");
  REQUIRE(extended.ask("vKill;" + wire_tid(1)) == "OK");
  extended.session.disconnected();
  CHECK(extended.session.next() == Peer::Next::go_on);
  // Nobody who only looked whether the port is open ends it.
  extended.session.connected();
  extended.session.disconnected();
  CHECK(extended.session.next() == Peer::Next::go_on);
}

TEST_CASE("session: LLDB's way to start a program") {
  Client c(1, false, multi());
  c.speak_lldb();
  CHECK(c.ask("A6,0,2f62696e") == "E01");  // LENGTH is that of the hexadecimal text
  CHECK(c.ask("A8,0,2f62696e,2,1,61") == "OK");
  CHECK(c.launched.back().program == std::vector<std::string>{"/bin", "a"});
  CHECK(c.ask("qLaunchSuccess") == "OK");
  CHECK(c.ask("A12,0,2f6661696c73") == "E01");
  CHECK(c.ask("qLaunchSuccess") == "EDuring startup program exited with code 127.");
  CHECK(c.ask("vRun;" + hex("/bin/x")).starts_with("T13"));
  CHECK(c.ask("qLaunchSuccess") == "OK");
  CHECK(c.ask("vRun;" + hex("/fails")) == "E01");
  CHECK(c.ask("qLaunchSuccess") == "EDuring startup program exited with code 127.");
  REQUIRE(c.ask("QEnableErrorStrings") == "OK");
  CHECK(c.ask("vRun;" + hex("/fails")) ==
        "E01;" + hex("During startup program exited with code 127."));
  // lldb-server uses no shell.
  for (const LaunchSpec& spec : c.launched) {
    CHECK_FALSE(spec.startup_with_shell);
    CHECK(spec.say_why);
  }
}

}  // namespace
}  // namespace stub
