#include "stub/daemon/command_line.h"

#include <string>
#include <vector>

#include "stub/base/log.h"
#include "tests/catch.h"

using namespace stub;
using Words = std::vector<std::string>;

namespace {

Options accepted(const Words& words) {
  auto options = parse_command_line(words);
  if (!options) {
    INFO(options.error().err);
    REQUIRE(options);
  }
  return *options;
}

EarlyExit refused(const Words& words) {
  auto options = parse_command_line(words);
  REQUIRE_FALSE(options);
  return options.error();
}

bool is_usage(const EarlyExit& exit) {
  return exit.code == 1 && exit.out.empty() && exit.err.starts_with("Usage:\t");
}

}  // namespace

TEST_CASE("everything after PROG belongs to PROG") {
  const Options options = accepted({"--once", ":0", "/bin/x", "--multi", "-v", "--", "--help"});
  CHECK(options.once);
  CHECK_FALSE(options.multi);
  CHECK(options.comm == ":0");
  CHECK(options.endpoint == Endpoint(TcpEndpoint{"", "0", TcpEndpoint::Family::any}));
  CHECK(options.program == Words{"/bin/x", "--multi", "-v", "--", "--help"});
}

TEST_CASE("defaults are gdbserver's") {
  const Options options = accepted({"localhost:1", "prog"});
  CHECK_FALSE(options.once);
  CHECK_FALSE(options.multi);
  CHECK_FALSE(options.attach.has_value());
  CHECK(options.wrapper.empty());
  CHECK(options.disable_randomization);
  CHECK(options.startup_with_shell);
  CHECK_FALSE(options.on_disconnect.has_value());
  CHECK(options.port_file.empty());
  CHECK(options.disabled == DisabledPackets{});
  CHECK(options.debug.topics == 0u);
}

TEST_CASE("switches, the last one wins") {
  CHECK_FALSE(accepted({"--no-disable-randomization", ":0", "p"}).disable_randomization);
  CHECK_FALSE(accepted({"--no-startup-with-shell", ":0", "p"}).startup_with_shell);
  CHECK(
      accepted({"--no-startup-with-shell", "--startup-with-shell", ":0", "p"}).startup_with_shell);
  CHECK_FALSE(
      accepted({"--startup-with-shell", "--no-startup-with-shell", ":0", "p"}).startup_with_shell);
  CHECK(accepted({"--once", "--once", "--multi", ":0"}).once);
}

TEST_CASE("attach before and after COMM") {
  CHECK(accepted({"--attach", ":0", "123"}).attach == 123);
  CHECK(accepted({"--once", "localhost:0", "--attach", "123"}).attach == 123);
  CHECK(accepted({"--multi", "--attach", ":0", "0x10"}).attach == 16);
  CHECK(accepted({"--attach", ":0", "123"}).program.empty());
}

TEST_CASE("stdio ends with its only connection") {
  CHECK(accepted({"-", "prog"}).once);
  CHECK(accepted({"stdio", "prog"}).once);
  CHECK(accepted({"--multi", "-"}).endpoint == Endpoint(StdioEndpoint{}));
}

TEST_CASE("wrapper runs up to --") {
  const Options options =
      accepted({"--once", "--wrapper", "env", "-u", "X", "A=1", "--", "--multi", ":0", "prog"});
  CHECK(options.wrapper == Words{"env", "-u", "X", "A=1"});
  CHECK(options.multi);
  CHECK(options.program == Words{"prog"});
}

TEST_CASE("debug options of both generations") {
  const unsigned threads = static_cast<unsigned>(LogTopic::threads);
  const unsigned loop = static_cast<unsigned>(LogTopic::event_loop);
  const unsigned remote = static_cast<unsigned>(LogTopic::remote);
  CHECK(accepted({"--debug", ":0", "p"}).debug.topics == threads);
  CHECK(accepted({"--debug", "--once", ":0", "p"}).once);
  CHECK(accepted({"--remote-debug", ":0", "p"}).debug.topics == remote);
  CHECK(accepted({"--event-loop-debug", "--debug", ":0", "p"}).debug.topics == (loop | threads));
  CHECK(accepted({"--debug=remote,event-loop", ":0", "p"}).debug.topics == (remote | loop));
  CHECK(accepted({"--debug=all,-remote", ":0", "p"}).debug.topics == (threads | loop));
  CHECK(accepted({"--debug-format=all", ":0", "p"}).debug.timestamps);
  CHECK_FALSE(accepted({"--debug-format=all,none", ":0", "p"}).debug.timestamps);
  CHECK(accepted({"--debug-file=/x", ":0", "p"}).debug.file == "/x");
  CHECK(accepted({"--debug-file=", "--debug-format=", ":0", "p"}).debug.file.empty());
  CHECK(refused({"--debug=foo", ":0", "p"}).err == "gdbserver: unknown debug option 'foo'\n");
  CHECK(refused({"--debug-format=x", ":0", "p"}).err == "Unknown debug-format argument: \"x\"\n");
}

TEST_CASE("packets that are to be unknown") {
  const DisabledPackets some = accepted({"--disable-packet=T,qfThreadInfo", ":0", "p"}).disabled;
  CHECK(some.stop_with_details);
  CHECK(some.thread_list);
  CHECK_FALSE(some.vcont);
  const DisabledPackets threads = accepted({"--disable-packet=threads", ":0", "p"}).disabled;
  CHECK(threads == DisabledPackets{true, true, true, true, false});
  const EarlyExit unknown = refused({"--disable-packet=foo", ":0", "p"});
  CHECK(unknown.code == 1);
  CHECK(unknown.err.starts_with("Don't know how to disable \"foo\".\n\nDisableable packets:\n"));
  CHECK(accepted({"--disable-packet=,vCont,", ":0", "p"}).disabled.vcont);
  CHECK(accepted({"--disable-packet=", ":0", "p"}).disabled == DisabledPackets{});
  const EarlyExit list = refused({"--disable-packet"});
  CHECK(list.code == 0);
  CHECK(list.out.starts_with("Disableable packets:\n"));
}

TEST_CASE("our own options") {
  CHECK(accepted({"--on-disconnect=keep", ":0", "p"}).on_disconnect == OnDisconnect::keep);
  CHECK(accepted({"--on-disconnect=detach", ":0", "p"}).on_disconnect == OnDisconnect::detach);
  CHECK(accepted({"--on-disconnect=kill", ":0", "p"}).on_disconnect == OnDisconnect::kill);
  CHECK(refused({"--on-disconnect=forget", ":0", "p"}).err ==
        "--on-disconnect: forget not in {keep,detach,kill}\n");
  CHECK(accepted({"--port-file=/run/p", ":0", "p"}).port_file == "/run/p");
}

TEST_CASE("help and version go to stdout and end well") {
  const EarlyExit help = refused({"--help"});
  CHECK(help.code == 0);
  CHECK(help.out.starts_with("Usage:\tsidestep [OPTIONS] COMM PROG [ARGS ...]\n"));
  CHECK(help.err.empty());
  const EarlyExit version = refused({"--version", "--bogus"});
  CHECK(version.code == 0);
  CHECK(version.out.starts_with("sidestep "));
  CHECK(refused({"--selftest"}).out == "Selftests have been disabled for this build.\n");
  CHECK(refused({"--selftest=x"}).code == 0);
}

TEST_CASE("misuse is told on stderr with code 1") {
  const std::vector<Words> bad = {
      {},
      {":0"},
      {"--attach", ":0"},
      {"--attach", ":0", "x"},
      {"--attach", ":0", "0"},
      {"--attach", ":0", "12x"},
      {"--attach", ":0", "1", "2"},
      {"--attach", ":0", ""},
      {"--once"},
      {"--multi"},
      {"--wrapper", "env"},
      {"--wrapper", "--", ":0", "p"},
      {"--wrapper"},
  };
  for (const Words& words : bad) {
    INFO(words.size() << " words, the last: " << (words.empty() ? "" : words.back()));
    CHECK(is_usage(refused(words)));
  }
  // Numbers that cannot be a process: what gdbserver's attempt to attach says.
  for (const char* pid : {"-5", "99999999999999999999"}) {
    const EarlyExit exit = refused({"--attach", ":0", pid});
    CHECK(exit.code == 1);
    CHECK(exit.err.ends_with(": No such process (3)\nExiting\n"));
  }
  for (const char* unknown :
       {"--bogus", "-x", "--once=1", "--port-file", "--debug-format", "--", "--attach=3"}) {
    const EarlyExit exit = refused({"--multi", unknown, ":0", "p"});
    CHECK(exit.code == 1);
    CHECK(exit.err == std::string("Unknown argument: ") + unknown + "\n");
  }
}
