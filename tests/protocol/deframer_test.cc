#include "protocol/deframer.h"

#include <random>
#include <string>
#include <vector>

#include "protocol/framing.h"
#include "tests/catch.h"

namespace {

std::string name(const rsp::FrameEvent& event) {
  struct {
    std::string operator()(const rsp::ReceivedPacket& p) { return "packet " + p.payload; }
    std::string operator()(const rsp::ReceivedAck&) { return "ack"; }
    std::string operator()(const rsp::ReceivedNak&) { return "nak"; }
    std::string operator()(const rsp::ReceivedInterrupt&) { return "interrupt"; }
    std::string operator()(const rsp::BadChecksum&) { return "bad checksum"; }
    std::string operator()(const rsp::OverlongPacket&) { return "overlong"; }
  } visitor;
  return std::visit(visitor, event);
}

using Events = std::vector<std::string>;

Events events(rsp::Deframer& deframer, std::string_view input) {
  Events result;
  while (auto event = deframer.next(input)) result.push_back(name(*event));
  REQUIRE(input.empty());
  return result;
}

Events events(std::string_view input) {
  rsp::Deframer deframer(16);
  return events(deframer, input);
}

}  // namespace

TEST_CASE("deframer: byte streams and what they hold") {
  struct Row {
    std::string_view input;
    Events expected;
  };
  using namespace std::string_literals;
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"$OK#9a", {"packet OK"}},
      {"$OK#9A", {"packet OK"}},
      {"$#00", {"packet "}},
      {"+$OK#9a-", {"ack", "packet OK", "nak"}},
      {"$OK#9a\x03$OK#9a", {"packet OK", "interrupt", "packet OK"}},
      {"$OK#9b", {"bad checksum"}},
      {"$OK#zz", {"bad checksum"}},
      {"$OK#9a$OK#9a", {"packet OK", "packet OK"}},
      // Anything between packets is skipped.
      {"abc#12%\r\n$OK#9a\0x"sv, {"packet OK"}},
      // Inside a packet 0x03, + and - are data.
      {"$X\x03+-#b3"sv, {"packet X\x03+-"}},
      // Escapes; a lonely one at the end stays.
      {"$}\x03}\x04}]}\n#62", {"packet #$}*"}},
      {"$a}#de", {"packet a}"}},
      // No run-length encoding in this direction.
      {"$0*~#d8", {"packet 0*~"}},
      // A packet cut off by the next one, in the payload or in the checksum.
      {"$vCo$OK#9a", {"packet OK"}},
      {"$vCo#$OK#9a", {"packet OK"}},
      {"$OK}$OK#9a", {"packet OK"}},
      // 16 bytes are the limit here, escapes counted.
      {"$aaaaaaaaaaaaaaaa#10", {"packet aaaaaaaaaaaaaaaa"}},
      {"$aaaaaaaaaaaaaaaaa#71+", {"overlong", "ack"}},
      {"$}\x03}\x03}\x03}\x03}\x03}\x03}\x03}\x03#00", {"packet ########"}},
      {"$}\x03}\x03}\x03}\x03}\x03}\x03}\x03}\x03}\x03#80", {"overlong"}},
      {"$aaaaaaaaaaaaaaaaa#72", {"bad checksum"}},
      {"$half", {}},
      {"$half#3", {}},
  };
  for (const Row& row : rows) {
    INFO(row.input);
    CHECK(events(row.input) == row.expected);
  }
}

TEST_CASE("deframer: one byte at a time is the same") {
  const std::string_view input = "+$OK#9a\x03$a}]b#d3-$x#00$vCo$OK#9azz$aaaaaaaaaaaaaaaaaaaaaa#56+";
  rsp::Deframer deframer(16);
  Events bytewise;
  for (std::size_t i = 0; i < input.size(); ++i) {
    for (auto& event : events(deframer, input.substr(i, 1))) bytewise.push_back(event);
  }
  CHECK(bytewise == events(input));
  CHECK(bytewise.size() == 9);
}

TEST_CASE("deframer: without acks a wrong sum is no reason to drop a packet") {
  rsp::Deframer deframer(16);
  CHECK(events(deframer, "$OK#00") == Events{"bad checksum"});
  deframer.start_no_ack_mode();
  CHECK(events(deframer, "$OK#00$OK#zz") == Events{"packet OK", "packet OK"});
  CHECK(events(deframer, std::string("$") + std::string(17, 'a') + "#00") == Events{"overlong"});
}

TEST_CASE("deframer: ten megabytes in one packet, then an ordinary one") {
  rsp::Deframer deframer(1024);
  Events seen = events(deframer, "$");
  const std::string chunk(1 << 20, 'a');
  for (int i = 0; i < 10; ++i) CHECK(events(deframer, chunk).empty());
  CHECK(events(deframer, "#00") == Events{"overlong"});
  CHECK(events(deframer, "$OK#9a") == Events{"packet OK"});
}

TEST_CASE("deframer: what framing makes, the deframer reads, whatever the bytes") {
  std::mt19937 random(1);
  rsp::Deframer deframer(4096);
  for (int round = 0; round < 200; ++round) {
    std::string data(random() % 1000, ' ');
    for (char& c : data) c = static_cast<char>(random());
    std::string_view wire_view;
    const std::string wire = rsp::frame_packet(rsp::escaped(data));
    wire_view = wire;
    const auto event = deframer.next(wire_view);
    REQUIRE(event);
    CHECK(std::get<rsp::ReceivedPacket>(*event).payload == data);
  }
}

TEST_CASE("deframer: random bytes never make it stop understanding packets") {
  std::mt19937 random(2);
  constexpr std::string_view alphabet =
      "$#}*+-\x03"
      "0a";
  for (int round = 0; round < 2000; ++round) {
    rsp::Deframer deframer(16);
    std::string noise(random() % 64, ' ');
    for (char& c : noise) c = alphabet[random() % alphabet.size()];
    events(deframer, noise);
    // Two packets: the first may complete what the noise began.
    const Events last = events(deframer, "$OK#9a$OK#9a");
    REQUIRE_FALSE(last.empty());
    CHECK(last.back() == "packet OK");
  }
}
