// The connection itself: frames, acknowledgements, hostile input, the client's leaving.
#include "stub/session/session.h"

#include <random>

#include "protocol/parse.h"
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

struct Fresh {
  World w;
  Session session{w.engine, test_settings()};
  Fresh() { session.connected(); }
  std::string raw(std::string_view bytes) {
    session.receive(rsp::as_bytes(bytes));
    std::string output;
    session.take_output(output);
    return output;
  }
};

TEST_CASE("session: acknowledgements until they are switched off") {
  Fresh c;
  CHECK(c.raw("$?#3f").starts_with("+$T05"));
  CHECK(c.raw("+").empty());
  CHECK(c.raw("$qAttached#00") == "-");
  CHECK(c.raw("$qAttached#8f") == "+$0#30");
  CHECK(c.raw("-") == "$0#30");
  CHECK(c.raw("$QStartNoAckMode#b0") == "+$OK#9a");
  CHECK(c.raw("+").empty());
  CHECK(c.raw("$qAttached#8f") == "$0#30");
  CHECK(c.raw("-").empty());
}

TEST_CASE("session: requests may come in any pieces") {
  Fresh c;
  CHECK(c.raw("$qAtt").empty());
  CHECK(c.raw("ached#8").empty());
  CHECK(c.raw("f$qAttached#8f") == "+$0#30+$0#30");
}

TEST_CASE("session: unknown is empty, malformed is an error, too long is an error") {
  Client c;
  CHECK(c.raw("$vMustReplyEmpty#3a") == "$#00");
  CHECK(c.raw(rsp::frame_packet("qPlatform_mkdir:1ff,2f")) == "$#00");
  CHECK(c.raw(rsp::frame_packet("mzz,1")) == "$E01#a6");
  CHECK(c.raw(rsp::frame_packet("vFile:open:zz,0,0")) == "$F-1,16#37");
  CHECK(c.raw(rsp::frame_packet("X" + std::string(packet_size, 'a'))) == "$E01#a6");
  CHECK(c.ask("qAttached") == "0");
}

TEST_CASE("session: text in errors only for a client that takes it") {
  Client c;
  CHECK(c.ask("T7") == "E01");
  CHECK(c.ask("qSupported:error-message+").find("error-message+") != std::string::npos);
  CHECK(c.ask("T7") == "E.No such thread");
  CHECK(c.ask("QEnableErrorStrings") == "OK");
  CHECK(c.ask("T7") == "E01;" + rsp::to_hex(std::string_view("No such thread")));
}

TEST_CASE("session: --disable-packet") {
  SessionSettings settings = test_settings();
  settings.disabled = {.vcont = true,
                       .thread_in_stop = true,
                       .current_thread = true,
                       .thread_list = true,
                       .stop_with_details = false};
  Client c(1, false, settings);
  CHECK(c.ask("vCont?").empty());
  CHECK(c.ask("qC").empty());
  CHECK(c.ask("qfThreadInfo").empty());
  CHECK(c.ask("?") == "T05" + expedited_text(plain_code));
}

// ---- one reply per request ---------------------------------------------------------------------

// Frames in the output that answer something: not notifications, not console output.
int replies_in(std::string_view output) {
  int count = 0;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = output.find('#', at);
    REQUIRE(end != output.npos);
    REQUIRE((output[at] == '$' || output[at] == '%'));
    const bool console = output[at] == '$' && output[at + 1] == 'O' && end - at > 3;
    if (output[at] == '$' && !console) ++count;
    at = end + 3;
  }
  return count;
}

// Requests that run, end or replace the process, or the daemon, are left out: what they answer
// depends on it.
bool is_harmless(std::string_view payload) {
  for (const std::string_view start : {"vCont;", "c", "C", "s", "S", "k", "vKill;", "D", "R",
                                       "vRun;", "vAttach", "A", "QNonStop:", "qRcmd,"})
    if (payload.starts_with(start)) return false;
  return true;
}

TEST_CASE("session: every request gets exactly one reply, whatever it holds") {
  for (const bool non_stop : {false, true}) {
    Client c(2, non_stop);
    std::mt19937 random(7);
    constexpr std::string_view alphabet = "0123456789abcdef;:,.-pXrw=";
    const auto table = rsp::packet_table();
    for (int round = 0; round < 20000; ++round) {
      std::string payload(table[random() % table.size()].name);
      for (std::size_t n = random() % 20; n > 0; --n)
        payload.push_back(alphabet[random() % alphabet.size()]);
      if (!is_harmless(payload) || payload.starts_with("vFile:")) continue;
      if (payload.starts_with("qXfer:osdata") || payload.starts_with("qfProcessInfo")) continue;
      INFO(payload);
      REQUIRE(replies_in(c.raw(rsp::frame_packet(payload))) == 1);
    }
    CHECK(c.session.next() == Peer::Next::go_on);
  }
}

TEST_CASE("session: the same with no process at all") {
  SessionSettings settings = test_settings();
  settings.multi = true;
  Client c(1, false, settings);
  REQUIRE(c.ask("vKill;" + wire_tid(1)) == "OK");
  REQUIRE(c.w.engine.processes().empty());
  for (const rsp::PacketRow& row : rsp::packet_table()) {
    for (const std::string_view rest : {"", "0", "1", "0,1", "0,0,1", ";c", "p1.1", "1:"}) {
      const std::string payload = std::string(row.name) + std::string(rest);
      if (payload.starts_with("R") || payload.starts_with("k") || payload.starts_with("vRun;"))
        continue;
      INFO(payload);
      CHECK(replies_in(c.raw(rsp::frame_packet(payload))) == 1);
    }
  }
}

TEST_CASE("session: without a process") {
  SessionSettings settings = test_settings();
  settings.multi = true;
  Client c(1, false, settings);
  REQUIRE(c.ask("vKill;" + wire_tid(1)) == "OK");
  CHECK(c.ask("?") == "W00");
  CHECK(c.ask("g") == "E01");
  CHECK(c.ask("m401000,4") == "E01");
  CHECK(c.ask("vCont;c") == "E01");
  CHECK(c.ask("Hg0") == "E01");
  CHECK(c.ask("qXfer:threads:read::0,100") == "l<threads>\n</threads>\n");
}

// ---- the client leaves -------------------------------------------------------------------------

TEST_CASE("session: a lost client leaves no breakpoint behind, and finds its stop again") {
  Client c(2);
  c.speak_gdb();
  REQUIRE(c.ask("Z0,401010,1") == "OK");
  REQUIRE(c.ask("Z2,7ff000,8") == "OK");
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.t(2), boost_site);
  REQUIRE(c.event().starts_with("T05swbreak:;"));
  CHECK(c.w.memory().byte(boost_site) == 0xcc);
  c.session.disconnected();
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.w.memory().byte(boost_site) == 0x48);
  CHECK(c.w.space().hardware.empty());

  c.session.connected();
  CHECK(c.session.next() == Peer::Next::go_on);
  const std::string stop = Client::payload_of(c.raw("$?#3f"));
  CHECK(stop == "T05" + expedited_text(boost_site) + "thread:" + wire_tid(2) + ";");
}

TEST_CASE("session: a client that comes back to a running program finds it stopped by `?`") {
  Client c(2);
  REQUIRE(c.ask("vCont;c") == "(nothing)");
  c.session.disconnected();
  CHECK(c.w.is_running(1));
  c.session.connected();
  CHECK(c.w.is_running(1));
  CHECK(Client::payload_of(c.raw("$?#3f")).starts_with("T"));
  CHECK_FALSE(c.w.is_running(1));
  CHECK_FALSE(c.w.is_running(2));
}

TEST_CASE("session: --once ends with the connection and takes along what it started") {
  SessionSettings settings = test_settings();
  settings.once = true;
  Client c(1, false, settings);
  c.session.disconnected();
  CHECK(c.session.next() == Peer::Next::quit);
  CHECK(c.w.tracee.count("kill", c.w.leader) == 1);
  CHECK(c.w.engine.processes().empty());
}

TEST_CASE("session: --on-disconnect decides") {
  SessionSettings settings = test_settings();
  settings.once = true;
  settings.on_disconnect = OnDisconnect::detach;
  Client c(1, false, settings);
  c.session.disconnected();
  CHECK(c.w.tracee.count("detach", c.w.leader) == 1);
  CHECK(c.w.tracee.count("kill", c.w.leader) == 0);
}

TEST_CASE("session: nothing of the last connection is left in the next") {
  Client c;
  c.speak_gdb();
  c.ask("QNonStop:1");
  c.session.disconnected();
  c.session.connected();
  CHECK_FALSE(c.w.engine.non_stop());
  // Acknowledged again, ids without processes again.
  CHECK(c.raw("$qC#b4") == "+" + rsp::frame_packet("QC" + wire_tid(1)));
}

TEST_CASE("session: what is received at once is worked on in turns, and all of it") {
  SessionSettings settings = test_settings();
  settings.turn = std::chrono::milliseconds(0);
  Client c(1, false, settings);
  std::string input;
  for (int i = 0; i < 5; ++i) input += rsp::frame_packet("qC");
  input += "$qC#";  // and the beginning of one
  CHECK(replies_in(c.raw(input)) == 1);
  for (int i = 1; i < 5; ++i) {
    CHECK(c.session.has_more());
    CHECK(c.taken().empty());
    c.session.receive({});
    CHECK(replies_in(c.taken()) == 1);
  }
  c.session.receive({});
  CHECK_FALSE(c.session.has_more());
  CHECK(replies_in(c.raw("b4")) == 1);
}

TEST_CASE("session: no request is worked on while much has not been taken") {
  Client c;
  std::string input;
  const std::size_t count = 200;
  for (std::size_t i = 0; i < count; ++i) input += rsp::frame_packet("m401000,1000");
  std::size_t replies = 0;
  c.session.receive(rsp::as_bytes(input));
  while (true) {
    const std::string output = c.taken();
    CHECK(output.size() < (1u << 20) + 2 * packet_size);
    replies += static_cast<std::size_t>(replies_in(output));
    if (!c.session.has_more()) break;
    c.session.receive({});
  }
  CHECK(replies == count);
}

}  // namespace
}  // namespace stub
