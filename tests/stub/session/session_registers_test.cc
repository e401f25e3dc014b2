#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

// The reply to `g` with its run lengths undone.
std::string expanded(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '*')
      result.push_back(text[i]);
    else
      result.append(static_cast<std::size_t>(text[++i] - 29), result.back());
  }
  return result;
}

TEST_CASE("session: all registers, written back as they were read") {
  Client c;
  c.speak_gdb();
  REQUIRE(c.ask("P0=8877665544332211") == "OK");
  CHECK(c.w.at(1).regs.rax == 0x1122334455667788);
  const std::string g = c.ask("g");
  CHECK(g.size() < 1000);  // mostly zeros, sent as run lengths
  const std::string plain = expanded(g);
  CHECK(plain.size() == 2 * x86::RegisterSet::get(x86::Mode::amd64).g_size());
  CHECK(plain.starts_with("8877665544332211"));
  std::string changed = plain;
  changed.replace(0, 16, "0100000000000000");
  CHECK(c.ask("G" + changed) == "OK");
  CHECK(c.w.at(1).regs.rax == 1);
  CHECK(c.ask("G00") == "E01");
}

TEST_CASE("session: one register") {
  Client c;
  CHECK(c.ask("p10") == "8010400000000000");
  CHECK(c.ask("P10=2010400000000000") == "OK");
  CHECK(c.w.at(1).regs.rip == emulate_site.value());
  CHECK(c.ask("P10=20") == "E01");
  CHECK(c.ask("pffff") == "E01");
  CHECK(c.ask("Pffff=00") == "E01");
}

TEST_CASE(
    "session: the registers that gdb takes for granted, for a client that reads no description") {
  const std::size_t full = 2 * x86::RegisterSet::get(x86::Mode::amd64).g_size();
  struct Row {
    const char* features;  // null: nothing was negotiated
    bool described;
  };
  const Row rows[] = {
      {nullptr, false},
      {"multiprocess+", false},
      {"xmlRegisters=arm", false},
      {"xmlRegisters=i386", true},
      {"xmlRegisters=i386,arm,mips,arc", true},
  };
  for (const Row& row : rows) {
    Client c;
    if (row.features != nullptr) c.ask(std::string("qSupported:") + row.features);
    INFO((row.features != nullptr ? row.features : "nothing"));
    const std::string g = expanded(c.ask("g"));
    CHECK(g.size() == (row.described ? full : 2 * 560));
    CHECK(c.ask("p39").size() == 16);                 // orig_rax
    CHECK((c.ask("p3c") != "E01") == row.described);  // after gs_base: AVX's
    CHECK(c.ask("G" + g) == "OK");
    const std::string xml = c.ask("qXfer:features:read:target.xml:0,fff");
    CHECK((xml.find("<reg ") != std::string::npos) == row.described);
    CHECK(xml.find("<architecture>i386:x86-64</architecture>") != std::string::npos);
  }
}

TEST_CASE("session: registers of the selected thread, or of the one in the suffix") {
  Client c(2);
  REQUIRE(c.ask("P0=2200000000000000;thread:" + wire_tid(2) + ";") == "OK");
  CHECK(c.w.at(2).regs.rax == 0x22);
  CHECK(c.ask("p0;thread:" + wire_tid(2) + ";") == "2200000000000000");
  CHECK(c.ask("p0").starts_with("0000"));
  CHECK(c.ask("Hg" + wire_tid(2)) == "OK");
  CHECK(c.ask("p0") == "2200000000000000");
  CHECK(c.ask("p0;thread:7;") == "E01");
}

TEST_CASE("session: the selected thread may exit; memory is still that of its process") {
  Client c(2);
  REQUIRE(c.ask("Hg" + wire_tid(2)) == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.exit(c.w.t(2));
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  REQUIRE(c.event().starts_with("T1e"));
  CHECK(c.ask("Hg" + wire_tid(2)) == "E01");
  CHECK(c.ask("p0").size() == 16);
}

TEST_CASE("session: register states are saved and brought back, a bounded number of them") {
  Client c;
  REQUIRE(c.ask("P1=0500000000000000") == "OK");
  const std::string id = c.ask("QSaveRegisterState");
  REQUIRE(c.ask("P1=0900000000000000") == "OK");
  CHECK(c.w.at(1).regs.rbx == 9);
  CHECK(c.ask("QRestoreRegisterState:" + id) == "OK");
  CHECK(c.w.at(1).regs.rbx == 5);
  CHECK(c.ask("QRestoreRegisterState:" + id) == "E01");
  const std::string first = c.ask("QSaveRegisterState");
  for (int i = 0; i < 100; ++i) REQUIRE(c.ask("QSaveRegisterState") != "E01");
  CHECK(c.ask("QRestoreRegisterState:" + first) == "E01");
}

}  // namespace
}  // namespace stub
