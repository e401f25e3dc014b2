// The loop with real sockets: the test's client is a second thread.
#include "stub/transport/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "stub/transport/endpoint.h"
#include "stub/transport/listener.h"
#include "tests/catch.h"

using namespace stub;

namespace {

Listener opened(const std::string& comm) {
  auto listener = Listener::open(parse_endpoint(comm), comm);
  if (!listener) {
    INFO(listener.error().text);
    REQUIRE(listener);
  }
  return std::move(*listener);
}

std::string error_of(const std::string& comm) {
  auto listener = Listener::open(parse_endpoint(comm), comm);
  REQUIRE_FALSE(listener);
  return listener.error().text;
}

int connect_to(std::uint16_t port, const char* host = "127.0.0.1") {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4) == 0) return fd;
    close(fd);
    return -1;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  inet_pton(AF_INET6, host, &v6.sin6_addr);
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6) == 0) return fd;
  close(fd);
  return -1;
}

bool send_all(int fd, const std::string& text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

// Reads until `size` bytes are there, the connection ends or nothing comes for a while.
std::string receive(int fd, std::size_t size) {
  std::string text;
  char buffer[65536];
  while (text.size() < size) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 5000) != 1) break;
    const ssize_t n = recv(fd, buffer, std::min(sizeof buffer, size - text.size()), 0);
    if (n <= 0) break;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

// A client begins with a packet; the peer of these tests returns it.
constexpr const char* first_packet = "+$?#3f";

int begin_session(std::uint16_t port) {
  const int fd = connect_to(port);
  send_all(fd, first_packet);
  receive(fd, std::string(first_packet).size());
  return fd;
}

bool at_end(int fd) {
  pollfd ready{fd, POLLIN, 0};
  char byte;
  return poll(&ready, 1, 5000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

// Returns what it gets. 'q' quits, 'h' hangs up, 'k' starts a child that ends.
class Echo : public Peer {
 public:
  void connected() override {
    ++connections;
    next_ = Next::go_on;
  }
  void receive(std::span<const std::byte> bytes) override {
    for (const std::byte byte : bytes) {
      const char c = static_cast<char>(byte);
      if (c == 'q') next_ = Next::quit;
      if (c == 'h') next_ = Next::hang_up;
      if (c == 'k' && fork() == 0) _exit(0);
      pending_ += c;
    }
    received += bytes.size();
  }
  void on_child_event() override {
    ++child_events;
    if (poll && --polls_left == 0) poll.reset();
    while (waitpid(-1, nullptr, WNOHANG) > 0) pending_ += "child";
  }
  void disconnected() override { ++disconnections; }
  void take_output(std::string& into) override {
    into += pending_;
    pending_.clear();
  }
  Next next() const override { return next_; }
  std::optional<std::chrono::milliseconds> poll_after() const override { return poll; }

  std::optional<std::chrono::milliseconds> poll;

  int connections = 0, disconnections = 0, polls_left = 0;
  std::atomic<int> child_events = 0;
  std::atomic<std::size_t> received = 0;

 private:
  std::string pending_;
  Next next_ = Next::go_on;
};

// Runs the server here and the client in a thread; the signals the server blocks are given back.
int serve(Listener& listener, bool once, Echo& peer, const std::function<void()>& client) {
  sigset_t before;
  sigprocmask(SIG_SETMASK, nullptr, &before);
  int ended_by = 0;
  {
    Server server(listener, once);  // blocks the signals before the thread exists
    std::thread thread(client);
    ended_by = server.run(peer);
    thread.join();
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return ended_by;
}

}  // namespace

TEST_CASE("bytes in, bytes out, and the connection ends with once") {
  Listener listener = opened("localhost:0");
  const std::uint16_t port = *listener.port();
  CHECK(listener.announcement() == "Listening on port " + std::to_string(port));
  CHECK(listener.notice().empty());
  Echo peer;
  std::string answer;
  bool second_refused = false;
  const int ended_by = serve(listener, true, peer, [&] {
    const int client = connect_to(port);
    send_all(client, "+$?#3f");
    answer = receive(client, 6);
    second_refused = connect_to(port) < 0;  // once: nobody listens any more
    close(client);
  });
  CHECK(ended_by == 0);
  CHECK(answer == "+$?#3f");
  CHECK(second_refused);
  CHECK(peer.connections == 1);
  CHECK(peer.disconnections == 1);
}

TEST_CASE("without once the port is opened again, until the peer quits") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::vector<std::string> answers;
  serve(listener, false, peer, [&] {
    for (const char* text : {"abc", "def", "q"}) {
      const int client = begin_session(*listener.port());
      send_all(client, text);
      answers.push_back(receive(client, std::string(text).size()));
      close(client);
    }
  });
  CHECK(answers == std::vector<std::string>{"abc", "def", "q"});
  CHECK(peer.connections == 3);
}

TEST_CASE("the peer hangs up after its last words") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string answer;
  bool ended = false;
  serve(listener, true, peer, [&] {
    const int client = begin_session(*listener.port());
    send_all(client, "bye h");
    answer = receive(client, 5);
    ended = at_end(client);
    close(client);
  });
  CHECK(answer == "bye h");
  CHECK(ended);
}

TEST_CASE("a second client is told at once and the first is not disturbed") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string refusal, answer;
  bool ended = false;
  serve(listener, false, peer, [&] {
    const int first = begin_session(*listener.port());
    const int second = connect_to(*listener.port());
    send_all(second, "+$qSupported:multiprocess+#c6");
    refusal = receive(second, 1000);
    ended = at_end(second);
    close(second);
    send_all(first, "2q");
    answer = receive(first, 2);
    close(first);
  });
  CHECK(refusal == "+$E.another client is connected#d2");
  CHECK(ended);
  CHECK(answer == "2q");
  CHECK(peer.connections == 1);
}

TEST_CASE("a second client that is LLDB finds the connection closed, without a reply") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string refusal, answer;
  bool ended = false;
  serve(listener, false, peer, [&] {
    const int first = begin_session(*listener.port());
    const int second = connect_to(*listener.port());
    send_all(second, "+$QStartNoAck");
    send_all(second, "Mode#b0");
    refusal = receive(second, 1000);
    ended = at_end(second);
    close(second);
    send_all(first, "2q");
    answer = receive(first, 2);
    close(first);
  });
  CHECK(refusal == "");
  CHECK(ended);
  CHECK(answer == "2q");
}

TEST_CASE("a second client that says nothing is told in the end") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string refusal;
  serve(listener, false, peer, [&] {
    const int first = begin_session(*listener.port());
    const int second = connect_to(*listener.port());
    refusal = receive(second, 1000);
    close(second);
    send_all(first, "q");
    receive(first, 1);
    close(first);
  });
  CHECK(refusal == "+$E.another client is connected#d2");
}

TEST_CASE("strangers are no clients: a session begins with the first that sends a packet") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string web, junk, silent, damaged, answer;
  const int ended_by = serve(listener, true, peer, [&] {
    const std::uint16_t port = *listener.port();
    close(connect_to(port));  // a port scanner
    const int mute = connect_to(port);
    const int browser = connect_to(port);
    send_all(browser, "POST / HTTP/1.1\r\n");
    send_all(browser, "Content-Length: 5\r\n\r\n$?#3f");
    web = receive(browser, 1000);
    close(browser);
    const int other = connect_to(port);
    send_all(other, "hello\n$?#3f");
    junk = receive(other, 1000);
    close(other);
    const int client = connect_to(port);
    send_all(client, "+$?#00");
    damaged = receive(client, 1);
    send_all(client, first_packet);
    answer = receive(client, 6);
    silent = receive(mute, 1000);
    close(mute);
    close(client);
  });
  CHECK(ended_by == 0);
  CHECK(web.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  CHECK(web.find("\r\n\r\nThis port speaks the GDB remote serial protocol") != std::string::npos);
  CHECK(junk == "");
  CHECK(damaged == "-");
  CHECK(answer == first_packet);
  CHECK(silent == "+$E.another client is connected#d2");
  CHECK(peer.connections == 1);
  CHECK(peer.received == 6);
}

TEST_CASE("any number of silent connections takes no client's place") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string answer;
  serve(listener, false, peer, [&] {
    std::vector<int> silent;
    for (int i = 0; i < 50; ++i) silent.push_back(connect_to(*listener.port()));
    const int client = begin_session(*listener.port());
    send_all(client, "2q");
    answer = receive(client, 2);
    for (const int fd : silent) close(fd);
    close(client);
  });
  CHECK(answer == "2q");
  CHECK(peer.connections == 1);
}

TEST_CASE("a client that takes no replies is not read from for ever") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  constexpr std::size_t size = 64 * 1024 * 1024;
  std::string answer;
  std::size_t received_before_reading = 0;
  serve(listener, true, peer, [&] {
    const int client = begin_session(*listener.port());
    std::thread writer([&] { send_all(client, std::string(size, 'x')); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    received_before_reading = peer.received;
    answer = receive(client, size);
    writer.join();
    close(client);
  });
  // The queue's bound and what the kernel's socket buffers hold.
  CHECK(received_before_reading < size / 2);
  CHECK(answer.size() == size);
  CHECK(peer.received == size + std::string(first_packet).size());
}

// Is never done with what it has received.
class Busy : public Echo {
 public:
  bool has_more() const override { return received > 0; }
  void receive(std::span<const std::byte> bytes) override {
    ++turns;
    Echo::receive(bytes);
  }
  std::atomic<int> turns = 0;
};

TEST_CASE("a peer that is never done keeps nobody else from having a turn") {
  Listener listener = opened("127.0.0.1:0");
  Busy peer;
  std::string refusal;
  const int ended_by = serve(listener, false, peer, [&] {
    const int client = begin_session(*listener.port());
    const int second = connect_to(*listener.port());
    refusal = receive(second, 1000);
    close(second);
    send_all(client, "2");
    while (peer.turns < 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(getpid(), SIGTERM);
    at_end(client);
    close(client);
  });
  CHECK(refusal == "+$E.another client is connected#d2");
  CHECK(peer.received == std::string(first_packet).size());  // no more is read from it
  CHECK(ended_by == SIGTERM);
}

// Works for ever on what it has received, and takes more meanwhile.
class Working : public Busy {
 public:
  explicit Working(std::atomic<int>* ended = nullptr) : ended_(ended) {}
  bool has_room() const override { return true; }
  void disconnected() override {
    Busy::disconnected();
    if (ended_ != nullptr) ++*ended_;
  }

 private:
  std::atomic<int>* ended_;
};

TEST_CASE("a client that goes in the middle of its request is not worked for") {
  Listener listener = opened("127.0.0.1:0");
  Working peer;
  std::string second;
  const int ended_by = serve(listener, true, peer, [&] {
    const int client = begin_session(*listener.port());
    while (peer.turns < 10) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    send_all(client, "2");
    second = receive(client, 1);
    close(client);
  });
  CHECK(ended_by == 0);
  CHECK(second == "2");
  CHECK(peer.disconnections == 1);
}

class Observed : public Echo {
 public:
  bool observable() const override { return true; }
  std::unique_ptr<Peer> observer() override { return std::make_unique<Working>(&observers_gone); }
  std::atomic<int> observers_gone = 0;
};

TEST_CASE("observers that are never done: the client is served, and their leaving is noticed") {
  Listener listener = opened("127.0.0.1:0");
  Observed peer;
  std::string answers;
  serve(listener, false, peer, [&] {
    const int client = begin_session(*listener.port());
    std::vector<int> observers;
    for (int i = 0; i < 4; ++i) observers.push_back(begin_session(*listener.port()));
    for (const char* text : {"1", "2", "3"}) {
      send_all(client, text);
      answers += receive(client, 1);
    }
    for (const int observer : observers) close(observer);
    while (peer.observers_gone < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    send_all(client, "q");
    at_end(client);
    close(client);
  });
  CHECK(answers == "123");
}

TEST_CASE("children and signals are events") {
  Listener listener = opened("127.0.0.1:0");
  Echo peer;
  std::string answer;
  const int ended_by = serve(listener, false, peer, [&] {
    const int client = begin_session(*listener.port());
    send_all(client, "k");
    answer = receive(client, 6);
    kill(getpid(), SIGTERM);
    at_end(client);
    close(client);
  });
  CHECK(answer == "kchild");
  CHECK(ended_by == SIGTERM);
}

TEST_CASE("a peer that wants to be asked again is, until it does not") {
  Listener listener = opened("127.0.0.1:0");
  for (const int delay : {0, 5}) {
    Echo peer;
    peer.poll = std::chrono::milliseconds(delay);
    peer.polls_left = 20;
    std::string answer;
    serve(listener, false, peer, [&] {
      const int client = begin_session(*listener.port());
      send_all(client, "x");
      answer = receive(client, 1);
      while (peer.child_events < 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      send_all(client, "q");
      receive(client, 1);
      close(client);
    });
    CHECK(answer == "x");
    CHECK(peer.child_events == 20);
  }
}

TEST_CASE("no host is loopback in both families and says so") {
  Listener listener = opened(":0");
  CHECK(listener.announcement() == "Listening on port " + std::to_string(*listener.port()));
  CHECK(listener.notice().find("0.0.0.0:0") != std::string::npos);
  for (const UniqueFd& socket : listener.sockets()) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    if (address.ss_family == AF_INET)
      CHECK(reinterpret_cast<sockaddr_in*>(&address)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    else
      CHECK(IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr));
  }
  Listener everywhere = opened("0.0.0.0:0");
  CHECK(everywhere.notice().empty());
}

TEST_CASE("a unix socket is there while it is listened on") {
  const std::string path = "/tmp/sidestep-test-" + std::to_string(getpid());
  {
    Listener listener = opened("unix:" + path);
    CHECK(listener.announcement() == "Listening on socket " + path);
    CHECK_FALSE(listener.port().has_value());
    CHECK(error_of("unix:" + path) == "Can't bind address: Address already in use.");
    Echo peer;
    std::string answer;
    serve(listener, true, peer, [&] {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      path.copy(address.sun_path, sizeof address.sun_path - 1);
      const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address);
      send_all(client, first_packet);
      answer = receive(client, 6);
      close(client);
    });
    CHECK(answer == first_packet);
  }
  CHECK(access(path.c_str(), F_OK) != 0);

  // Left behind by one that was killed.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  close(dead);
  CHECK(opened("unix:" + path).sockets().size() == 1);
}

TEST_CASE("what cannot be opened is told in gdbserver's words") {
  Listener taken = opened("127.0.0.1:0");
  const std::string port = std::to_string(*taken.port());
  CHECK(error_of("127.0.0.1:" + port) == "Can't bind address: Address already in use.");
  CHECK(error_of("localhost:" + port) == "Can't bind address: Address already in use.");
  CHECK(error_of("tcp8:123:" + port) ==
        "tcp8:123:" + port + ": cannot resolve name: Name or service not known");
  CHECK(error_of("foo:bar:baz") ==
        "foo:bar:baz: cannot resolve name: Servname not supported for ai_socktype");
  CHECK(error_of("localhost:99999") ==
        "localhost:99999: cannot resolve name: Servname not supported for ai_socktype");
  CHECK(error_of("/no/such/device") == "Could not open remote device: No such file or directory.");
  CHECK(error_of("unix:/no/such/directory/socket") ==
        "Can't bind address: No such file or directory.");
}
