#include "stub/session/monitor.h"

#include <fmt/format.h>

#include "stub/base/log.h"
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

struct Monitor {
  World w;
  TlsOptions tls;
  PastSites past;
  bool no_run = false;
  bool gdb_16 = false;
  MonitorResult run(std::string_view command) {
    return run_monitor_command(command, {w.engine, tls, past, w.pid, no_run, gdb_16});
  }
};

TEST_CASE("monitor: gdbserver's help, by which gdb's tests know a gdbserver") {
  Monitor m;
  const std::string help = m.run("help").output;
  CHECK(help.starts_with("The following monitor commands are supported:\n  set debug <0|1>\n"));
  CHECK(help.find("Quit GDBserver") != help.npos);
}

TEST_CASE("monitor: texts of gdbserver") {
  Monitor m;
  struct Row {
    const char* command;
    const char* text;
  };
  const Row rows[] = {
      {"set debug 0", "Debug output disabled.\n"},
      {"set debug on", "General debug output enabled.\n"},
      {"set debug threads on", "Debug output for 'threads' enabled.\n"},
      {"set debug all off", "Debug output for 'all' disabled.\n"},
      {"set debug off", "All debug output disabled.\n"},
      {"set remote-debug 0", "Protocol debug output disabled.\n"},
      {"set event-loop-debug 0", "Event loop debug output disabled.\n"},
      {"set debug-hw-points 0", "H/W point debugging output disabled.\n"},
      {"set debug-format none", "All extra debug format options disabled.\n"},
      {"set debug-format timestamp,none",
       "Timestamps will be added to debug output.\nAll extra debug format options disabled.\n"},
      {"set libthread-db-search-path", "libthread-db-search-path set to `$sdir:$pdir'\n"},
      {"set libthread-db-search-path /x", "libthread-db-search-path set to `/x'\n"},
      {"exit", ""},
  };
  for (const Row& row : rows) {
    INFO(row.command);
    const MonitorResult result = m.run(row.command);
    CHECK(result.output == row.text);
    CHECK_FALSE(result.failed);
    CHECK(result.exit == (std::string(row.command) == "exit"));
  }
  CHECK(m.tls.library_path == "/x");
}

TEST_CASE("monitor: set debug 0 and 1 in the words of the client's own gdbserver") {
  Monitor m;
  CHECK(m.run("set debug 1").output == "Debug output enabled.\n");
  CHECK(m.run("set debug 0").output == "Debug output disabled.\n");
  m.gdb_16 = true;
  CHECK(m.run("set debug 1").output == "General debug output enabled.\n");
  CHECK(debug_log().enabled(LogTopic::threads));
  CHECK(m.run("set debug 0").output == "All debug output disabled.\n");
  CHECK_FALSE(debug_log().enabled(LogTopic::threads));
}

TEST_CASE("monitor: set debug says what is wrong with its arguments, as gdbserver 16 does") {
  Monitor m;
  struct Row {
    const char* arguments;
    const char* text;
  };
  const Row rows[] = {
      {" ", "No debug component name found.\n"},
      {"-remote on", "Invalid character found in debug component name.\n"},
      {"all,remote on", "Invalid character found in debug component name.\n"},
      {"on sometimes", "Junk 'sometimes' found at end of 'set debug on' command.\n"},
      {"0 x y", "Junk 'x y' found at end of 'set debug 0' command.\n"},
      {"yeah", "Missing value for 'set debug yeah' command.\n"},
      {"2", "Missing value for 'set debug 2' command.\n"},
      {"all yeah", "Invalid value 'yeah' for 'set debug all'.\n"},
      {"all on sometimes", "Junk 'sometimes' found at end of 'set debug all on' command.\n"},
      {"none on", "Error: unknown debug option 'none'\n"},
  };
  for (const bool gdb_16 : {false, true}) {
    m.gdb_16 = gdb_16;
    for (const Row& row : rows) {
      INFO(row.arguments);
      const MonitorResult result = m.run(std::string("set debug ") + row.arguments);
      CHECK(result.failed);
      CHECK(result.output == row.text + m.run("help").output);
    }
  }
  CHECK(m.run("set debug  remote   off ").output == "Debug output for 'remote' disabled.\n");
}

TEST_CASE("monitor: with --no-run a client names no library for the server to load") {
  Monitor m;
  m.no_run = true;
  const MonitorResult result = m.run("set libthread-db-search-path /x");
  CHECK(result.failed);
  CHECK(result.output.find("--no-run") != std::string::npos);
  CHECK(m.tls.library_path == TlsOptions{}.library_path);
  CHECK_FALSE(m.run("set libthread-db-search-path").failed);
}

TEST_CASE("monitor: what is no command is an error with the help") {
  Monitor m;
  for (const char* command :
       {"", "hello", "set debug", "set debug-hw-points 2", "sites now", "exit now", "set"}) {
    INFO(command);
    const MonitorResult result = m.run(command);
    CHECK(result.failed);
    CHECK_FALSE(result.exit);
    CHECK(result.output.starts_with("Unknown monitor command.\n\nThe following"));
  }
  CHECK(m.run("set debug-format x").output.starts_with("Unknown debug-format argument: \"x\"\n"));
}

TEST_CASE("monitor: sites and their statistics outlive the sites") {
  Monitor m;
  m.w.insert(boost_site);
  m.w.insert(in_place_site);
  CHECK(m.run("sites").output.find("boost") != std::string::npos);
  CHECK(m.run("sites").output.find("in place") != std::string::npos);
  m.w.space().sites.find(boost_site)->statistics = {
      .hits = 41, .false_hits = 40, .total_ns = 400'000};
  m.past.add(m.w.pid, *m.w.space().sites.find(boost_site));
  m.w.remove(boost_site);
  std::string stats = m.run("stats").output;
  CHECK(stats.find("41") != stats.npos);
  CHECK(stats.find(" 10.0 ") != stats.npos);
  m.w.insert(boost_site);
  m.w.space().sites.find(boost_site)->statistics.hits = 1;
  stats = m.run("stats").output;
  CHECK(stats.find("42") != stats.npos);
}

TEST_CASE("monitor: conditions are set on numbers and addresses, and stay") {
  Monitor m;
  m.w.insert(boost_site);
  m.w.insert(emulate_site);
  CHECK(m.run("condition").output == "No conditions are set.\n");
  CHECK(m.run("condition 2 every=3").output.find("0x0000000000401020") != std::string::npos);
  CHECK(m.run("condition 0x401010 every=2").output.find("every=2") != std::string::npos);
  REQUIRE(m.w.space().sites.find(emulate_site)->filter != nullptr);
  m.w.remove(emulate_site);
  m.w.insert(emulate_site);  // as gdb does at each stop
  CHECK(m.w.space().sites.find(emulate_site)->number == 2);
  CHECK(m.w.space().sites.find(emulate_site)->filter->text() == "every=3");
  CHECK(m.run("condition 2").output.find("every=3") != std::string::npos);
  CHECK_FALSE(m.run("condition 2 off").failed);
  CHECK(m.w.space().sites.find(emulate_site)->filter == nullptr);
  for (const char* wrong : {"condition 3 every=2", "condition 0 off", "condition x every=2",
                            "condition 0x every=2", "condition 1 ever=2", "condition 2"}) {
    INFO(wrong);
    CHECK(m.run(wrong).failed);
  }
  CHECK(m.w.space().sites.find(boost_site)->filter->text() == "every=2");
}

TEST_CASE("monitor: there is an end to conditions") {
  Monitor m;
  for (std::size_t n = 1; n <= most_filters; ++n)
    REQUIRE_FALSE(m.run(fmt::format("condition {:#x} every=2", n)).failed);
  CHECK(m.run("condition 0x401010 every=2").output.starts_with("1024 conditions are set already."));
  CHECK_FALSE(m.run("condition 0x1 every=3").failed);  // in the place of the one there
  CHECK_FALSE(m.run("condition 0x2 off").failed);
  CHECK_FALSE(m.run("condition 0x401010 every=2").failed);
}

TEST_CASE("monitor: a hit is told when the server's condition holds as well as the client's") {
  Monitor m;
  m.w.insert(boost_site);
  REQUIRE_FALSE(m.run("condition 1 every=3").failed);
  m.w.run();
  for (int i = 0; i < 2; ++i) {
    m.w.tracee.execute_int3(m.w.t(1), boost_site);
    CHECK(m.w.report() == "nothing");
    REQUIRE(m.w.is_running(1));
  }
  m.w.tracee.execute_int3(m.w.t(1), boost_site);
  CHECK(m.w.report() == "1 breakpoint");
  CHECK(m.w.space().sites.find(boost_site)->statistics.false_hits == 2);
}

TEST_CASE("monitor: statistics outlive the process") {
  Monitor m;
  m.w.engine.set_departure_observer([&](const Inferior& left) { m.past.end(left); });
  m.w.insert(boost_site);
  REQUIRE_FALSE(m.run("condition 1 every=100").failed);
  m.w.run();
  m.w.tracee.execute_int3(m.w.t(1), boost_site);
  CHECK(m.w.report() == "nothing");
  m.w.tracee.exit(m.w.t(1), 3);
  CHECK(m.w.report() == "1 process_exited");
  CHECK(m.run("stats").output.find("        1          1 ") != std::string::npos);
  CHECK(m.run("condition 1 every=2").failed);  // no process
}

TEST_CASE("monitor: processes that have ended are one row for each address") {
  Monitor m;
  FakeTracee tracee;
  const auto lines = [](const std::string& table) {
    return std::count(table.begin(), table.end(), '\n');
  };
  for (int n = 100; n < 4100; ++n) {
    Inferior child;
    child.pid = fake_pid(n);
    tracee.add(child.pid, leader_of(child.pid));
    World::fill(tracee.memory(child.pid));
    join(child, std::make_shared<AddressSpace>(tracee, x86::Mode::amd64));
    for (const Address at : {boost_site, emulate_site}) {
      REQUIRE(child.space->sites.insert_client(child.pid, at, {}).has_value());
      child.space->sites.find(at)->statistics.hits = 3;
    }
    m.past.end(child);
    if (n == 100)
      CHECK(m.run("sites").output.find(" " + std::to_string(first_fake_id + 100) + " ") !=
            std::string::npos);
    child.space->users.clear();
    tracee.vanish(leader_of(child.pid));
  }
  const std::string stats = m.run("stats").output, sites = m.run("sites").output;
  INFO(stats << sites);
  CHECK(lines(stats) == 3);  // with the heading
  CHECK(lines(sites) == 3);
  CHECK(stats.find(" 12000 ") != std::string::npos);
  CHECK(stats.find(" 4000 ended\n") != std::string::npos);
  CHECK(sites.find(" 4000 ended ") != std::string::npos);
}

TEST_CASE("monitor: what was taken out of a process is added up with the rest when it ends") {
  Monitor m;
  m.w.engine.set_departure_observer([&](const Inferior& left) { m.past.end(left); });
  m.w.insert(boost_site);
  m.w.space().sites.find(boost_site)->statistics.hits = 40;
  m.past.add(m.w.pid, *m.w.space().sites.find(boost_site));
  m.w.remove(boost_site);
  m.w.insert(boost_site);
  m.w.space().sites.find(boost_site)->statistics.hits = 2;
  m.w.run();
  m.w.tracee.exit(m.w.t(1), 0);
  CHECK(m.w.report() == "1 process_exited");
  const std::string stats = m.run("stats").output;
  INFO(stats);
  CHECK(stats.find(" 42 ") != std::string::npos);
  CHECK(std::count(stats.begin(), stats.end(), '\n') == 2);
}

}  // namespace
}  // namespace stub
