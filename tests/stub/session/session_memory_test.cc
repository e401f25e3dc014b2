// Memory and points.
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

TEST_CASE("session: memory is the program's own, up to where it ends") {
  Client c;
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  CHECK(c.w.memory().byte(boost_site) == 0xcc);
  CHECK(c.ask("m401010,3") == "48ffc0");
  CHECK(c.ask("m401ffe,10") == "9090");
  CHECK(c.ask("m7ff000,40") == "0*~0*:");  // 1 + ('~' - 29) + 1 + (':' - 29) = 128 zeros
  CHECK(c.ask("m402000,10") == "E01");
  CHECK(c.ask("m401000,0").empty());
  CHECK(c.ask("m401000,ffffffffffffffff").size() == 0x2000);
}

TEST_CASE("session: writes, in hexadecimal and binary") {
  Client c;
  CHECK(c.ask("M7ff000,3:010203") == "OK");
  CHECK(c.w.memory().byte(Address(0x7ff001)) == 2);
  CHECK(c.raw(rsp::frame_packet("X7ff000,3:" + rsp::escaped("#$}"))) == "$OK#9a");
  CHECK(c.ask("m7ff000,3") == "23247d");
  CHECK(c.ask("X7ff000,0:") == "OK");
  CHECK(c.ask("M900000,1:00") == "E01");
  CHECK(c.ask("M7fffff,2:0000") == "E01");
  CHECK(c.ask("M7ff000,2:00") == "E01");
}

TEST_CASE("session: a write over a site goes under it") {
  Client c;
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("M401010,3:48ffc8") == "OK");
  CHECK(c.w.memory().byte(boost_site) == 0xcc);
  CHECK(c.ask("m401010,3") == "48ffc8");
  CHECK(c.ask("z0,401010,1") == "OK");
  CHECK(c.w.memory().byte(boost_site) == 0x48);
}

TEST_CASE("session: binary reads in the client's dialect") {
  Client gdb;
  gdb.speak_gdb();
  REQUIRE(gdb.ask("M7ff000,3:612362") == "OK");
  CHECK(gdb.raw(rsp::frame_packet("x7ff000,3")) == rsp::frame_packet("ba}\x03"
                                                                     "b"));
  CHECK(gdb.ask("x7ff000,0") == "b");
  Client lldb;
  lldb.speak_lldb();
  CHECK(lldb.ask("x0,0") == "OK");
  CHECK(lldb.ask("x401010,1") == "H");
}

TEST_CASE("session: search and checksum") {
  Client c;
  CHECK(c.ask("qSearch:memory:401000;1000;\x48\xff\xc0") == "1,401010");
  CHECK(c.ask("qSearch:memory:401000;1000;\x01\x02\x03") == "0");
  CHECK(c.ask("qSearch:memory:900000;10;a") == "E01");
  CHECK(c.ask("qCRC:401000,1000").starts_with("C"));
  CHECK(c.ask("qCRC:900000,10") == "E01");
}

TEST_CASE("session: breakpoints are idempotent in, and gone after one removal") {
  Client c;
  CHECK(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("Z0,401010,1") == "OK");
  CHECK(c.ask("z0,401010,1") == "OK");
  CHECK(c.w.memory().byte(boost_site) == 0x48);
  CHECK(c.ask("z0,401010,1") == "E01");
  CHECK(c.ask("Z0,900000,1") == "E01");
}

TEST_CASE("session: conditions are verified when they arrive") {
  Client c;
  CHECK(c.ask("Z0,401010,1;X2,2727") == "E01");   // nothing on the stack at `end`
  CHECK(c.ask("Z0,401010,1;X3,220127") == "OK");  // 1
  CHECK(c.ask("Z0,401010,1;X1,ff") == "E01");     // no such opcode
  CHECK(c.ask("Z0,401010,1;X2,0927") == "E01");   // invalid; never the empty reply
  CHECK(c.ask("Z0,401010,1;X3,220027X3,220127") == "OK");
}

TEST_CASE("session: a false condition is not told") {
  Client c;
  REQUIRE(c.ask("Z0,401010,1;X3,220027") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event() == "(nothing)");
  CHECK(c.w.is_running(1));
  // Set again without a condition while the program runs.
  CHECK(c.ask("Z0,401010,1") == "OK");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event().starts_with("T05"));
}

TEST_CASE("session: what x86 cannot watch, and too many points") {
  Client c;
  CHECK(c.ask("Z3,7ff000,8").empty());
  CHECK(c.ask("Z5,7ff000,8").empty());
  for (const char* address : {"7ff000", "7ff008", "7ff010", "7ff018"})
    CHECK(c.ask(std::string("Z2,") + address + ",8") == "OK");
  CHECK(c.ask("Z2,7ff020,8") == "E01");
  CHECK(c.ask("z2,7ff000,8") == "OK");
  CHECK(c.ask("Z1,401010,1") == "OK");
  CHECK(c.ask("z4,7ff000,8") == "E01");
}

TEST_CASE("session: printf of an agent goes to the client that waits for a stop") {
  // The bytecode gdb makes of dprintf "x=%d\n" with a constant: printf with one argument, 5.
  const std::string commands = ";cmds:0,X12,22052200220034010007783d25645c6e0027";
  Client c;
  REQUIRE(c.ask("Z0,401010,1" + commands) == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event() == "O" + rsp::to_hex(std::string_view("x=5\n")));
  CHECK(c.w.is_running(1));
  CHECK(c.console.empty());
}

TEST_CASE("session: in non-stop a printf of an agent goes to the daemon's own output") {
  Client c(1, true);
  REQUIRE(c.ask("Z0,401010,1;cmds:0,X12,22052200220034010007783d25645c6e0027") == "OK");
  REQUIRE(c.ask("vCont;c") == "OK");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event() == "(nothing)");
  CHECK(c.console == "x=5\n");
}

TEST_CASE("session: a printf in a loop cannot fill the memory; the client is told what it lost") {
  // printf("%1024d", 5): 1 KiB a hit.
  Client c;
  REQUIRE(c.ask("Z0,401010,1;cmds:0,X12,220522002200340100072531303234640027") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  const auto hits = [&](int count) {
    for (int i = 0; i < count; ++i) {
      c.w.tracee.execute_int3(c.w.leader, boost_site);
      c.session.on_child_event();
    }
  };
  std::string queue;  // the server's, of a client that does not read
  for (int i = 0; i < 40; ++i) {
    hits(100);
    c.session.take_output(queue);
  }
  CHECK(queue.size() > 1'000'000);
  CHECK(queue.size() < 2'000'000);
  CHECK(c.w.is_running(1));
  queue.clear();  // it reads
  c.session.take_output(queue);
  hits(1);
  const std::string told = c.taken();
  INFO(told.substr(0, 200));
  CHECK(told.find(rsp::to_hex(std::string_view(" bytes of output lost"))) != std::string::npos);
  hits(1);
  CHECK(c.taken().find(rsp::to_hex(std::string_view("lost"))) == std::string::npos);
}

}  // namespace
}  // namespace stub
