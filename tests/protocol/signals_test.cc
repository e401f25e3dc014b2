#include "protocol/signals.h"

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/catch.h"

TEST_CASE("signals: every Linux signal goes to GDB's number and back") {
  for (int host = 1; host <= 64; ++host) {
    INFO(host);
    const int gdb = rsp::gdb_from_host(host);
    CHECK((gdb == rsp::gdb_signal_unknown) == (host == SIGSTKFLT));
    CHECK(rsp::host_from_gdb(gdb) == host);
  }
}

TEST_CASE("signals: one of Linux that is two of GDB's is always told by the same number") {
  std::vector<int> aliases;
  for (int gdb = 1; gdb <= 255; ++gdb) {
    const int host = rsp::host_from_gdb(gdb);
    if (host != 0 && rsp::gdb_from_host(host) != gdb) aliases.push_back(gdb);
  }
  CHECK(aliases == std::vector<int>{33});  // SIGPOLL is SIGIO; glibc's SIGCLD has no number in GDB
}

TEST_CASE("signals: the names are the C library's") {
  for (int host = 1; host < 32; ++host) {
    if (host == SIGSTKFLT) continue;
    INFO(host);
    const std::string name = std::string("SIG") + sigabbrev_np(host);
    CHECK((rsp::gdb_signal_name(rsp::gdb_from_host(host)) == name || host == SIGPOLL));
  }
}

TEST_CASE("signals: GDB's own numbers") {
  CHECK(rsp::gdb_from_host(SIGUSR1) == 0x1e);
  CHECK(rsp::gdb_from_host(SIGCHLD) == 0x14);
  CHECK(rsp::gdb_from_host(SIGPOLL) == 23);
  CHECK(rsp::gdb_from_host(32) == 77);
  CHECK(rsp::gdb_from_host(33) == 45);
  CHECK(rsp::gdb_from_host(63) == 75);
  CHECK(rsp::gdb_from_host(64) == 78);
  CHECK(rsp::host_from_gdb(33) == SIGPOLL);
  CHECK(rsp::gdb_signal_name(77) == "SIG32");
  CHECK(rsp::gdb_signal_name(141) == "SIG127");
  CHECK(rsp::gdb_signal_name(11) == "SIGSEGV");
  CHECK(rsp::gdb_signal_name(0) == "0");
}

TEST_CASE("signals: what the other side does not have") {
  for (const int gdb : {0, 7, 29, 44, 76, 79, 141, 142, 144, 152, 255, -1, 100000})
    CHECK(rsp::host_from_gdb(gdb) == 0);
  CHECK(rsp::gdb_from_host(0) == 0);
  CHECK(rsp::gdb_from_host(65) == rsp::gdb_signal_unknown);
  CHECK(rsp::gdb_from_host(-3) == rsp::gdb_signal_unknown);
  CHECK(rsp::gdb_signal_name(-1) == "?");
  CHECK(rsp::gdb_signal_name(143) == "?");
}
