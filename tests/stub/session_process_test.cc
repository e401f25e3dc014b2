// Starting and taking over processes.
#include "tests/stub/session_fixture.h"

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

TEST_CASE("session: LLDB's way to start a program") {
  Client c(1, false, multi());
  c.speak_lldb();
  CHECK(c.ask("A6,0,2f62696e") == "E01");  // LENGTH is that of the hexadecimal text
  CHECK(c.ask("A8,0,2f62696e,2,1,61") == "OK");
  CHECK(c.launched.back().program == std::vector<std::string>{"/bin", "a"});
  CHECK(c.ask("qLaunchSuccess") == "OK");
  CHECK(c.ask("A12,0,2f6661696c73") == "E01");
  CHECK(c.ask("qLaunchSuccess") == "EDuring startup program exited with code 127.");
}

}  // namespace
}  // namespace stub
