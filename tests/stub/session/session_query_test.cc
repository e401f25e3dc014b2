// Negotiation, threads, objects, files, monitor.
#include <unistd.h>

#include <cstdio>

#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

TEST_CASE("session: what is announced") {
  Client c;
  const std::string plain = c.ask("qSupported");
  CHECK(plain.starts_with("PacketSize=20000;"));
  CHECK(plain.find("error-message") == plain.npos);
  CHECK(plain.find("binary-upload+") != plain.npos);
  CHECK(plain.find("native-signals") == plain.npos);
  const std::string lldb = c.ask("qSupported:xmlRegisters=i386,arm,mips,arc");
  CHECK(lldb.find("binary-upload") == lldb.npos);
  CHECK(lldb.find("native-signals+") != lldb.npos);
}

TEST_CASE("session: threads") {
  Client c(3);
  c.speak_gdb();
  CHECK(c.ask("qfThreadInfo") == "m" + wire_id(1) + "," + wire_id(2) + "," + wire_id(3));
  CHECK(c.ask("qsThreadInfo") == "l");
  CHECK(c.ask("T" + wire_id(2)) == "OK");
  CHECK(c.ask("T" + wire_id(4)) == "E01");
  CHECK(c.ask("Tp7." + wire_tid(2)) == "E01");
  CHECK(c.ask("T-1") == "E01");
  CHECK(c.ask("Hgp0.0") == "OK");
  CHECK(c.ask("Hg" + wire_id(4)) == "E01");
  CHECK(c.ask("Hg" + wire_id(3)) == "OK");
  CHECK(c.ask("Hgp0.0") == "OK");
  CHECK(c.ask("qC") == "QC" + wire_id(3));
  CHECK(c.ask("Hgp" + wire_tid(1) + ".-1") == "OK");
  CHECK(c.ask("qC") == "QC" + wire_id(3));
  CHECK(c.ask("qAttached:" + wire_tid(1)) == "0");
  CHECK(c.ask("qAttached:7") == "E01");
  CHECK(c.ask("qXfer:threads:read::0,10000") ==
        "l<threads>\n<thread id=\"" + wire_id(1) + "\"/>\n<thread id=\"" + wire_id(2) +
            "\"/>\n<thread id=\"" + wire_id(3) + "\"/>\n</threads>\n");
}

TEST_CASE("session: ten thousand threads are listed in pieces that fit") {
  Client c(2);
  for (int n = 3; n <= 5000; ++n) {
    c.w.tracee.add(c.w.pid, c.w.t(n), FakeThread::State::stopped);
  }
  const std::string reply = c.ask("qfThreadInfo");
  CHECK(reply.size() <= packet_size);
}

TEST_CASE("session: siginfo is that of now, at any offset") {
  Client c;
  c.speak_gdb();
  const std::string before = c.ask("qXfer:siginfo:read::0,80");
  REQUIRE(before.starts_with("l"));
  REQUIRE(c.ask("qXfer:siginfo:write::8:A") != "E01");
  CHECK(c.ask("qXfer:siginfo:read::8,1") == "mA");
  CHECK(c.ask("qXfer:siginfo:write::8:B") != "E01");
  CHECK(c.ask("qXfer:siginfo:read::8,1") == "mB");
}

TEST_CASE("session: objects") {
  Client c;
  CHECK(c.ask("qXfer:features:read:target.xml:0,10") == "m<target><archite");
  CHECK(c.ask("qXfer:features:read:other.xml:0,10") == "E01");
  CHECK(c.ask("qXfer:features:read:target.xml:ffffff,10") == "l");
  CHECK(c.ask("qXfer:nothing:read::0,10").empty());
  CHECK(c.ask("qXfer:auxv:write::0:a").empty());
  CHECK(c.ask("qXfer:auxv:read:annex:0,10") == "E01");
  CHECK(c.ask("qXfer:exec-file:read:zz:0,10") == "E01");
  CHECK(c.ask("qXfer:libraries-svr4:read:start=1,prev=2:0,10") == "E01");
  CHECK(c.ask("qXfer:osdata:read::0,10").starts_with("m<"));
}

TEST_CASE("session: a document stays as it was while it is read") {
  Client c(2);
  const std::string whole = c.ask("qXfer:threads:read::0,10000");
  const std::string first = c.ask("qXfer:threads:read::0,20");
  REQUIRE(first.starts_with("m"));
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.exit(c.w.t(2));
  c.w.tracee.signal(c.w.leader, SIGUSR1);
  c.event();
  const std::string rest = c.ask("qXfer:threads:read::20,10000");
  CHECK(first.substr(1) + rest.substr(1) == whole.substr(1));
}

TEST_CASE("session: siginfo is read and written in place") {
  Client c;
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.signal(c.w.leader, SIGSEGV, 1, Address(0x1234));
  REQUIRE(c.event().starts_with("T0b"));
  const std::string info = c.ask("qXfer:siginfo:read::0,100");
  REQUIRE(info.size() == 1 + sizeof(siginfo_t));
  CHECK(info[1] == SIGSEGV);
  CHECK(c.ask("qXfer:siginfo:write::8:\x02") == "1");
  CHECK(c.w.at(1).info.si_code == 2);
  CHECK(c.ask("qXfer:siginfo:write::80:a") == "E01");
  CHECK(c.ask("qXfer:siginfo:write::ffffffffffffffff:ab") == "E01");
}

TEST_CASE("session: files") {
  char path[] = "/tmp/sidestep-session-XXXXXX";
  const int fd = ::mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, "a#b", 3) == 3);
  ::close(fd);
  const std::string name = rsp::to_hex(std::string_view(path));
  Client c;
  const std::string opened = c.ask("vFile:open:" + name + ",2,0");
  REQUIRE(opened.starts_with("F"));
  const std::string number = opened.substr(1);
  CHECK(c.raw(rsp::frame_packet("vFile:pread:" + number + ",100,0")) ==
        rsp::frame_packet("F3;a}\x03"
                          "b"));
  CHECK(c.ask("vFile:pwrite:" + number + ",3,cd") == "F2");
  CHECK(c.ask("vFile:pread:" + number + ",2,3") == "F2;cd");
  CHECK(c.ask("vFile:fstat:" + number).starts_with("F40;"));
  CHECK(c.ask("vFile:close:" + number) == "F0");
  CHECK(c.ask("vFile:close:" + number) == "F-1,16");
  CHECK(c.ask("vFile:size:" + name) == "F5");
  CHECK(c.ask("vFile:exists:" + name) == "F,1");
  CHECK(c.ask("vFile:unlink:" + name) == "F0");
  CHECK(c.ask("vFile:exists:" + name) == "F,0");
  CHECK(c.ask("vFile:open:" + name + ",0,0") == "F-1,2");
  CHECK(c.ask("vFile:setfs:0") == "F0");
}

TEST_CASE("session: files may be forbidden") {
  SessionSettings settings = test_settings();
  settings.host_io = HostIoPolicy::off;
  Client c(1, false, settings);
  CHECK(c.ask("vFile:open:2f,0,0").starts_with("F-1,"));
}

TEST_CASE("session: monitor commands answer on the console") {
  Client c;
  CHECK(c.raw(rsp::frame_packet("qRcmd," + rsp::to_hex(std::string_view("set debug 0")))) ==
        rsp::frame_packet("O" + rsp::to_hex(std::string_view("Debug output disabled.\n"))) +
            "$OK#9a");
  CHECK(c.raw(rsp::frame_packet("qRcmd,6869")).ends_with("$E01#a6"));
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.raw(rsp::frame_packet("qRcmd," + rsp::to_hex(std::string_view("exit")))) == "$OK#9a");
  CHECK(c.session.next() == Peer::Next::quit);
  c.session.disconnected();
  CHECK(c.w.tracee.count("kill", c.w.leader) == 1);
}

TEST_CASE("session: tracing as far as conditions need it") {
  Client c;
  CHECK(c.ask("qTStatus").starts_with("T0;tnotrun:0"));
  CHECK(c.ask("qTfP") == "l");
  CHECK(c.ask("QTDP:1:401000:E:0:0").empty());
}

TEST_CASE(
    "session: trace state variables are defined, changed by conditions, listed and forgotten") {
  Client c;
  CHECK(c.ask("qTfV") == "l");
  CHECK(c.ask("QTDV:1:fffffffffffffffe:0:" + rsp::to_hex(std::string_view("n"))) == "OK");
  CHECK(c.ask("QTDV:2:5:0:") == "OK");
  CHECK(c.ask("qTfV") == "1:fffffffffffffffe:0:6e");
  CHECK(c.ask("qTsV") == "2:5:0:");
  CHECK(c.ask("qTsV") == "l");
  CHECK(c.ask("qTV:2") == "V5");
  CHECK(c.ask("qTV:3") == "U");
  // const8 7, setv 2, pop, const8 0, end
  REQUIRE(c.ask("Z0,401010,1;X9,22072d000229220027") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event() == "(nothing)");
  CHECK(c.ask("qTV:2") == "V7");
  CHECK(c.ask("QTinit") == "OK");
  CHECK(c.ask("qTV:2") == "U");
}

TEST_CASE("session: trace state variables that are forgotten leave nothing behind") {
  Client c;
  for (int n = 0; n < 1000; ++n) {
    REQUIRE(c.ask("QTDV:" + rsp::hex_number(static_cast<std::uint64_t>(n)) + ":5:0:") == "OK");
    if (n % 10 == 9) REQUIRE(c.ask("QTinit") == "OK");
  }
  CHECK(c.w.engine.conditions().variables().size() == 0);
  CHECK(c.w.engine.conditions().variables().get(5) == 0);
}

}  // namespace
}  // namespace stub
