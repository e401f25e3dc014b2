#include <algorithm>
#include <string>

#include "tests/catch.h"
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

SessionSettings observed_settings() {
  SessionSettings settings = test_settings();
  settings.multi = true;
  settings.observe = true;
  return settings;
}

// A second client beside the first.
struct Onlooker {
  std::unique_ptr<Peer> peer;

  explicit Onlooker(Session& session) : peer(session.observer()) {
    peer->connected();
    ask("QStartNoAckMode");
    ask("qSupported:multiprocess+;swbreak+;vContSupported+;xmlRegisters=i386");
  }
  std::string ask(std::string_view payload) {
    peer->receive(rsp::as_bytes(rsp::frame_packet(payload)));
    std::string output;
    peer->take_output(output);
    return Client::payload_of(output);
  }
};

std::string hex(Address address) { return rsp::hex_number(address.value()); }

TEST_CASE("observer: sees the stop, the registers and the memory that the first client sees") {
  Client first(2, false, observed_settings());
  first.speak_gdb();
  first.ask("Z0," + hex(boost_site) + ",1");
  first.ask("vCont;c");
  first.w.tracee.execute_int3(fake_tid(1), boost_site);
  CHECK(first.event().starts_with("T05"));
  Onlooker second(first.session);
  CHECK(second.ask("?") == first.ask("?"));
  CHECK(second.ask("g") == first.ask("g"));
  CHECK(second.ask("qfThreadInfo") == first.ask("qfThreadInfo"));
  const std::string read = "m" + hex(boost_site) + ",4";
  CHECK(second.ask(read) == first.ask(read));
  CHECK(second.ask("Hg" + wire_id(2)) == "OK");
  CHECK(second.ask("qC") == "QC" + wire_id(2));
  CHECK(first.ask("qC") == "QC" + wire_id(1));  // each has a selection of its own
}

TEST_CASE("observer: of a program that runs, memory can be read and a place is known") {
  Client first(1, false, observed_settings());
  first.speak_gdb();
  first.ask("Z0," + hex(push_site) + ",1");
  first.ask("vCont;c");
  Onlooker second(first.session);
  CHECK(second.ask("?") ==
        "T00" + expedited_text(plain_code).substr(expedited_text({}).size() / 3 * 2) +
            "thread:" + wire_id(1) + ";");
  const std::string registers = second.ask("g");
  CHECK(registers.starts_with("xxxx"));
  CHECK(registers.size() > 1000);
  CHECK(second.ask("m" + hex(text) + ",4").size() == 8);
  CHECK(first.taken().empty());
  first.w.tracee.execute_int3(fake_tid(1), push_site);
  CHECK(first.event().starts_with("T05"));
}

TEST_CASE("observer: whatever would change something is refused") {
  Client first(2, false, observed_settings());
  first.speak_gdb();
  Onlooker second(first.session);
  const std::size_t calls = first.w.tracee.calls.size();
  const std::string at = hex(stack), site = hex(boost_site);
  for (const std::string& packet : {"M" + at + ",1:00",
                                    "X" + at + ",1:a",
                                    "G" + std::string(2000, '0'),
                                    std::string("P10=0000000000000000"),
                                    "Z0," + site + ",1",
                                    "z0," + site + ",1",
                                    "Z1," + site + ",1",
                                    "Z2," + at + ",4",
                                    std::string("c"),
                                    std::string("s"),
                                    std::string("vCont;c"),
                                    std::string("vCont;s:" + wire_id(1)),
                                    std::string("vCont;t"),
                                    std::string("vCtrlC"),
                                    std::string("vKill;") + wire_tid(1),
                                    std::string("vRun;"),
                                    std::string("vAttach;1"),
                                    std::string("QNonStop:1"),
                                    std::string("QPassSignals:e"),
                                    std::string("QCatchSyscalls:1"),
                                    std::string("QThreadEvents:1"),
                                    std::string("qRcmd,65786974"),
                                    std::string("QAgent:1"),
                                    std::string("_M1000,rwx"),
                                    std::string("QSaveRegisterState"),
                                    std::string("qXfer:siginfo:write::0:x"),
                                    std::string("QSetWorkingDir:2f"),
                                    std::string("QDisableRandomization:0")}) {
    INFO(packet);
    CHECK(second.ask(packet).starts_with("E"));
  }
  for (const char* looks : {"help", "sites", "stats"})
    CHECK(second.ask("qRcmd," + rsp::to_hex(looks)).ends_with("$OK#9a"));
  CHECK(second.ask("vFile:open:2f746d702f78,601,1ff") == "F-1,1");
  CHECK(second.ask("vFile:unlink:2f746d702f78").starts_with("E"));
  CHECK(second.ask("R00").starts_with("E"));
  second.peer->receive(rsp::as_bytes("\x03"));
  CHECK(first.w.tracee.calls.size() == calls);
  CHECK(second.peer->next() == Peer::Next::go_on);
  CHECK(first.session.next() == Peer::Next::go_on);
}

TEST_CASE("observer: leaves without a trace") {
  Client first(1, false, observed_settings());
  for (const char* leave : {"D", "k"}) {
    Onlooker second(first.session);
    CHECK(second.ask(leave) == (*leave == 'D' ? "OK" : "(nothing)"));
    CHECK(second.peer->next() == Peer::Next::hang_up);
    second.peer->disconnected();
    CHECK(first.session.next() == Peer::Next::go_on);
    CHECK(first.ask("?").starts_with("T05"));
  }
}

TEST_CASE("observer: what takes long is not for an observer") {
  Client first(1, false, observed_settings());
  Onlooker second(first.session);
  const std::string at = hex(text);
  for (const char* length : {"1000001", "ffffffffffffffff"}) {
    CHECK(second.ask("qCRC:" + at + "," + length) == "E01");
    CHECK(second.ask("qSearch:memory:" + at + ";" + length + ";abc") == "E01");
  }
  CHECK(first.ask("qCRC:" + at + ",10") == second.ask("qCRC:" + at + ",10"));
  CHECK(second.ask("qSearch:memory:" + at + ";10;abc") == "0");
}

TEST_CASE("observer: one request a turn when each takes the time of a turn") {
  SessionSettings settings = observed_settings();
  settings.turn = std::chrono::milliseconds(0);
  Client first(1, false, settings);
  Onlooker second(first.session);
  const std::string two = rsp::frame_packet("qC") + rsp::frame_packet("qC");
  second.peer->receive(rsp::as_bytes(two));
  CHECK(second.peer->has_more());
  CHECK_FALSE(first.session.has_more());
  second.peer->receive({});
  CHECK_FALSE(second.peer->has_more());
}

}  // namespace
}  // namespace stub
