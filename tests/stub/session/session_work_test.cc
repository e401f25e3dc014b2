// Requests that take long: one piece of one in each turn here, and what else is done between them.
#include <memory>
#include <string>

#include "tests/catch.h"
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

SessionSettings one_piece_a_turn() {
  SessionSettings settings = test_settings();
  settings.turn = std::chrono::milliseconds(0);
  settings.multi = true;
  settings.observe = true;
  return settings;
}

// Two clients of one session; the first has it.
struct Two {
  Client first{2, false, one_piece_a_turn()};
  std::unique_ptr<Peer> second = first.session.observer();

  Two() {
    while (first.session.has_more()) first.raw("");
    first.taken();
    second->connected();
    send(*second, "QStartNoAckMode");
    last_words(*second);
    second->receive(rsp::as_bytes("+"));
  }
  static void send(Peer& peer, std::string_view payload) {
    peer.receive(rsp::as_bytes(rsp::frame_packet(payload)));
  }
  static std::string taken(Peer& peer) {
    std::string output;
    peer.take_output(output);
    return output;
  }
  // What it says until it has nothing more to do.
  static std::string last_words(Peer& peer) {
    while (peer.has_more()) peer.receive({});
    return Client::payload_of(taken(peer));
  }
  std::string ask(Peer& peer, std::string_view payload) {
    send(peer, payload);
    return last_words(peer);
  }
};

// Memory of the process that takes many pieces to go through; the pattern is not in it.
std::string long_search(World& world) {
  const Address at(0x40000000);
  constexpr std::uint64_t size = 1u << 20;
  world.tracee.memory(fake_pid(1)).map(at, size);
  return "qSearch:memory:" + rsp::hex_number(at.value()) + ";" + rsp::hex_number(size) + ";needle";
}

TEST_CASE(
    "long requests: an observer's is worked on in pieces, and the other client comes between") {
  Two clients;
  const std::string search = long_search(clients.first.w);
  Two::send(*clients.second, search);
  for (int i = 0; i < 5; ++i) {
    clients.second->receive({});
    CHECK(Two::taken(*clients.second).empty());
    CHECK(clients.ask(clients.first.session, "qC") == "QC" + wire_tid(1));
  }
  CHECK(clients.second->has_more());
  CHECK(Two::last_words(*clients.second) == "0");
}

TEST_CASE("long requests: of several documents each client gets its own") {
  Two clients;
  const std::string types = "qXfer:osdata:read::0,40",
                    processes = "qXfer:osdata:read:processes:0,40";
  Two::send(*clients.second, processes);
  Two::send(clients.first.session, types);
  CHECK(Two::last_words(clients.first.session).starts_with("m<osdata type=\"types\">"));
  CHECK(Two::last_words(*clients.second).starts_with("m<osdata type=\"processes\">"));
  // What is read on is of the document that was made.
  CHECK(clients.ask(*clients.second, "qXfer:osdata:read:processes:8,4") == "mtype");
}

TEST_CASE("long requests: the replies of a client are in order") {
  Two clients;
  const std::string search = long_search(clients.first.w);
  clients.first.session.receive(rsp::as_bytes(rsp::frame_packet(search) + rsp::frame_packet("qC")));
  CHECK(Two::last_words(clients.first.session) ==
        rsp::frame_packet("0") + rsp::frame_packet("QC" + wire_tid(1)));
}

TEST_CASE("long requests: ^C does not wait for one") {
  Two clients;
  Peer& first = clients.first.session;
  Two::send(first, "vCont;c");
  CHECK(Two::last_words(first) == "(nothing)");
  Two::send(first, long_search(clients.first.w));
  first.receive({});
  CHECK(first.has_room());
  first.receive(rsp::as_bytes("\x03"));
  CHECK(Two::taken(first).starts_with("$T02"));
  CHECK(first.has_more());
  CHECK(Two::last_words(first) == "0");
}

TEST_CASE("long requests: ^C behind another packet comes after it") {
  Two clients;
  Peer& first = clients.first.session;
  first.receive(rsp::as_bytes(rsp::frame_packet(long_search(clients.first.w)) +
                              rsp::frame_packet("vCont;c") + "\x03"));
  CHECK(Two::last_words(first).starts_with(rsp::frame_packet("0") + "$T02"));
}

TEST_CASE("long requests: a client that has gone is not worked for") {
  Two clients;
  const std::string search = long_search(clients.first.w);
  for (Peer* peer : {static_cast<Peer*>(&clients.first.session), clients.second.get()}) {
    Two::send(*peer, search);
    peer->receive({});
    CHECK(peer->has_more());
    peer->disconnected();
    CHECK_FALSE(peer->has_more());
  }
}

TEST_CASE("long requests: a process that ends in the middle is the end of the search in it") {
  Two clients;
  Peer& first = clients.first.session;
  Two::send(*clients.second, long_search(clients.first.w));
  clients.second->receive({});
  CHECK(clients.ask(first, "vKill;" + wire_tid(1)) == "OK");
  CHECK(Two::last_words(*clients.second).starts_with("E"));
}

TEST_CASE("long requests: the list of threads is of the time at which it is sent") {
  Two clients;
  Peer& first = clients.first.session;
  Two::send(*clients.second, "qXfer:threads:read::0,1000");
  clients.second->receive({});
  CHECK(clients.second->has_more());
  CHECK(clients.ask(first, "vKill;" + wire_tid(1)) == "OK");
  CHECK(Two::last_words(*clients.second) == "l<threads>\n</threads>\n");
}

TEST_CASE("long requests: whatever may be long is worked on in pieces") {
  Two clients;
  for (const std::string& request :
       {std::string("qfProcessInfo"), std::string("vAttachName;") + rsp::to_hex("no such name"),
        std::string("qXfer:osdata:read:cpus:0,10"), std::string("qXfer:osdata:read:files:0,10"),
        std::string("qXfer:osdata:read:threads:0,10"),
        std::string("qXfer:osdata:read:procgroups:0,10"), std::string("qXfer:threads:read::0,10"),
        std::string("jThreadsInfo"), std::string("vFile:MD5:") + rsp::to_hex("/proc/self/exe")}) {
    CAPTURE(request);
    Peer& first = clients.first.session;
    Two::send(first, request);
    first.receive({});
    CHECK(first.has_more());
    CHECK(Two::taken(first).empty());
    CHECK(Two::last_words(first) != "(nothing)");
  }
}

}  // namespace
}  // namespace stub
