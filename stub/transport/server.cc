// asio is used as an event loop and for nothing else: it says when a descriptor is ready, and the
// reading and writing is done here. So TCP, unix sockets, pipes and ttys are one case, and a reply
// is written at once instead of taking a turn through the loop first.
//
// The output queue is bounded by not reading: a client that does not take its replies is not read
// from until it has taken most of them. What else there may be much of, output of breakpoint
// commands, the peer bounds: it leaves some out, and says so.
#include "stub/transport/server.h"

#include <fmt/core.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "stub/base/log.h"
#include "stub/base/time_share.h"
#include "stub/kernel/daemon_signals.h"
#include "stub/kernel/self.h"
#include "stub/transport/pending_clients.h"
#include "stub/transport/write_some.h"

namespace stub {
namespace {

using Descriptor = asio::posix::stream_descriptor;
using asio::posix::descriptor_base;

constexpr std::size_t read_size = 256 * 1024;
constexpr std::size_t output_limit = 1024 * 1024;  // no more is read from the client above this

bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

UniqueFd open_signals() {
  hold_daemon_signals();
  const sigset_t set = daemon_signals();
  return UniqueFd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

// A terminal or pipe we share with others must be left as it was found.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) : fd_(fd), before_(fcntl(fd, F_GETFL)) {
    fcntl(fd, F_SETFL, before_ | O_NONBLOCK);
  }
  ~NonBlocking() { fcntl(fd_, F_SETFL, before_); }
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;

 private:
  int fd_;
  int before_;
};

}  // namespace

class Server::Loop {
  using Clock = std::chrono::steady_clock;

 public:
  Loop(Listener& listener, bool once)
      : listener_(listener), once_(once), signals_(io_, open_signals().release()) {
    std::signal(SIGPIPE, SIG_IGN);
  }

  int run(Peer& peer) {
    peer_ = &peer;
    wait_for_signals();
    peer.on_child_event();  // what happened before anybody waited
    if (const std::string notice = listener_.notice(); !notice.empty()) say(notice);
    open();
    after_event();
    io_.run();
    return ended_by_;
  }

 private:
  // Handlers keep what they wait for alive, and may run once more after it was closed.
  struct Client {
    Client(asio::io_context& io, Connection connection, Peer& its_peer)
        : peer(its_peer), in(io, connection.in.release()), out(io) {
      in_mode.emplace(in.native_handle());
      if (!connection.out.valid()) return;
      out.assign(connection.out.release());
      out_mode.emplace(out.native_handle());
    }
    ~Client() { close(); }
    Descriptor& writer() { return out.is_open() ? out : in; }
    bool alive() const { return in.is_open(); }
    void close() {
      out_mode.reset();
      in_mode.reset();
      asio::error_code ignored;
      out.close(ignored);
      in.close(ignored);
    }

    Peer& peer;
    std::unique_ptr<Peer> observer;  // that peer, if it is this client's alone
    Descriptor in;
    Descriptor out;  // not open: `in` serves both directions
    std::optional<NonBlocking> in_mode, out_mode;
    std::string queue;     // output
    std::size_t sent = 0;  // of the queue
    bool writing = false;  // waiting until more can be sent
    bool reading = false;
  };

  using ClientPtr = std::shared_ptr<Client>;

  void wait_for_signals() {
    signals_.async_wait(descriptor_base::wait_read, [this](const asio::error_code& error) {
      if (!error) on_signals();
    });
  }

  void on_signals() {
    // Each of them can be pending once: one read takes all.
    std::array<signalfd_siginfo, 5> pending;
    const ssize_t got = ::read(signals_.native_handle(), pending.data(), sizeof pending);
    bool child = false;
    for (std::size_t i = 0; i < std::max<ssize_t>(got, 0) / sizeof pending[0]; ++i) {
      if (pending[i].ssi_signo == SIGCHLD) {
        child = true;
      } else {
        ended_by_ = static_cast<int>(pending[i].ssi_signo);
        return io_.stop();
      }
    }
    if (child) {
      client_share_.on_demand(Clock::now());
      observers_share_.on_demand(Clock::now());
      peer_->on_child_event();
      after_event();
    }
    wait_for_signals();
  }

  // Announces and waits for clients; a line has its client already.
  void open() {
    if (const auto where = listener_.announcement()) {
      say(*where);
    } else {
      const bool is_passed = listener_.is_connection();
      auto line = listener_.line();
      if (line && is_passed) return pending_.add(std::move(*line));
      if (line) return take_up(std::move(*line), {});
      say(line.error().text);
      return io_.stop();
    }
    if (!acceptors_.empty()) return;
    for (const UniqueFd& socket : listener_.sockets()) {
      Descriptor& acceptor = acceptors_.emplace_back(io_, dup_of(socket.get()));
      wait_for_client(acceptor);
    }
  }

  // asio closes what it is given, and the listener keeps its sockets.
  static int dup_of(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 3); }

  void wait_for_client(Descriptor& acceptor) {
    acceptor.async_wait(descriptor_base::wait_read,
                        [this, &acceptor](const asio::error_code& error) {
                          if (!error) on_client(acceptor);
                        });
  }

  // A client that cannot be taken stays in the socket's queue, and the socket readable.
  void wait_for_client_later(Descriptor& acceptor) {
    constexpr auto pause = std::chrono::milliseconds(100);
    const auto timer = std::make_shared<asio::steady_timer>(io_, pause);
    timer->async_wait([this, timer, &acceptor](const asio::error_code& error) {
      if (!error) wait_for_client(acceptor);
    });
  }

  void on_client(Descriptor& acceptor) {
    if (!acceptor.is_open()) return;
    auto connection = listener_.accept(acceptor.native_handle());
    if (!connection)
      return is_shortage(connection.error().sys_errno) ? wait_for_client_later(acceptor)
                                                       : wait_for_client(acceptor);
    wait_for_client(acceptor);
    pending_.add(std::move(*connection));
  }

  std::string refusal(const Connection& connection) const {
    if (!connection.refusal.empty()) return connection.refusal;
    return client_ && !may_observe() ? "another client is connected" : "";
  }

  void admit(Connection connection, std::string_view received) {
    if (client_) return let_observe(std::move(connection), received);
    if (once_ && !peer_->observable()) close_door();
    take_up(std::move(connection), received);
  }

  void close_door() {
    for (Descriptor& each : acceptors_) each.close();
    listener_.close_sockets();
  }

  // There are no others to come: the only one was no debugger.
  void on_none_left() {
    if (listener_.sockets().empty() && !client_) open();
  }

  // `received`: what it has sent already.
  void take_up(Connection connection, std::string_view received) {
    say(connection.greeting);
    pending_.restart_log();
    client_ = std::make_shared<Client>(io_, std::move(connection), *peer_);
    if (listener_.sockets().empty()) pending_.refuse_all();
    begin(*client_, received);
    after_event();
  }

  void begin(Client& client, std::string_view received) {
    client.peer.connected();
    if (received.empty() || client.peer.next() != Peer::Next::go_on) return;
    if (server_was_killed()) return io_.stop();
    client.peer.receive(std::as_bytes(std::span(received)));
  }

  bool may_observe() const {
    constexpr std::size_t most = 8;
    return peer_->observable() && observers_.size() < most;
  }

  void let_observe(Connection connection, std::string_view received) {
    say(connection.greeting + ", to look on");
    auto peer = peer_->observer();
    auto client = std::make_shared<Client>(io_, std::move(connection), *peer);
    client->observer = std::move(peer);
    observers_.push_back(client);
    begin(*client, received);
    after_event(client);
  }

  void wait_for_input(const ClientPtr& client) {
    if (client->reading || client->queue.size() - client->sent > output_limit) return;
    client->reading = true;
    if (client->peer.has_more()) return go_on_with(client);
    client->in.async_wait(descriptor_base::wait_read,
                          [this, client](const asio::error_code& error) {
                            if (!error) give_turn(client);
                          });
  }

  // What takes more than a turn.
  void go_on_with(const ClientPtr& client) {
    if (client->observer) return asio::post(io_, [this, client] { give_turn(client); });
    turn_timer_.expires_at(std::max(Clock::now(), client_share_.next_turn()));
    turn_timer_.async_wait([this, client](const asio::error_code& error) {
      if (!error) give_turn(client);
    });
  }

  // Observers wait in a line for theirs.
  void give_turn(const ClientPtr& client) {
    if (!client->alive()) return;
    if (!client->observer) {
      observers_share_.on_demand(Clock::now());
      return take_turn(client, client_share_);
    }
    line_.push_back(client);
    if (line_.size() == 1) serve_line();
  }

  void serve_line() {
    turn_of_line_.expires_at(std::max(Clock::now(), observers_share_.next_turn()));
    turn_of_line_.async_wait([this](const asio::error_code& error) {
      if (error) return;
      if (line_.front()->alive()) take_turn(line_.front(), observers_share_);
      line_.pop_front();
      if (!line_.empty()) serve_line();
    });
  }

  void take_turn(const ClientPtr& client, TimeShare& share) {
    const auto began = Clock::now();
    take_turn(client);
    share.on_turn(began, Clock::now());
  }

  void take_turn(const ClientPtr& client) {
    client->reading = false;
    if (client->peer.has_room()) return on_input(client);
    client->peer.receive({});
    after_event(client);
  }

  void on_input(const ClientPtr& client) {
    const ssize_t got = ::read(client->in.native_handle(), input_.data(), input_.size());
    if (got < 0 && (errno == EINTR || would_block(errno))) {
      if (!client->peer.has_more()) return wait_for_input(client);
      client->peer.receive({});
      return after_event(client);
    }
    if (got > 0) {
      if (server_was_killed()) return io_.stop();
      client->peer.receive(std::as_bytes(std::span(input_.data(), static_cast<std::size_t>(got))));
      return after_event(client);
    }
    hang_up(client);
  }

  // Whoever kills what seems to be the server and then asks it something must get no answer, and
  // the guardian may not have come to die of the signal yet.
  bool server_was_killed() {
    if (!comes_after_a_pause() || !guardian_was_killed()) return false;
    ended_by_ = guardian_gone_signal();
    return true;
  }

  // Packets that follow each other at once were not sent after a kill(1).
  bool comes_after_a_pause() {
    constexpr auto pause = std::chrono::milliseconds(2);
    const auto before = std::exchange(last_input_, Clock::now());
    return last_input_ - before > pause;
  }

  void after_event(const ClientPtr& client) {
    if (!client->observer) return after_event();
    const bool flushed = flush(client);
    if (client->peer.next() == Peer::Next::go_on) return wait_for_input(client);
    if (flushed) hang_up(client);
  }

  // After everything that may have changed the peer's mind or produced output.
  void after_event() {
    const bool flushed = !client_ || flush(client_);
    schedule_poll();
    switch (peer_->next()) {
      case Peer::Next::go_on:
        if (client_) wait_for_input(client_);
        return;
      case Peer::Next::hang_up:
        if (client_ && flushed) hang_up(client_);
        return;
      case Peer::Next::quit:
        if (flushed) io_.stop();
        return;
    }
  }

  void schedule_poll() {
    const auto delay = peer_->poll_after();
    if (!delay) return;
    poll_timer_.expires_after(*delay);  // a wait that is under way ends with an error
    poll_timer_.async_wait([this](const asio::error_code& error) {
      if (error) return;
      peer_->on_child_event();
      after_event();
    });
  }

  // Sends what can be sent; true when nothing is left. May find the client gone.
  bool flush(const ClientPtr& client) {
    std::string& queue = client->queue;
    if (client->writing) {
      if (queue.size() < output_limit) client->peer.take_output(queue);
      return false;
    }
    do {
      client->peer.take_output(queue);
      if (client->sent == queue.size()) {
        queue.clear();
        client->sent = 0;
        return true;
      }
    } while (send_some(client));
    return queue.empty();
  }

  bool send_some(const ClientPtr& to) {
    Client& client = *to;
    const ssize_t sent = write_some(client.writer().native_handle(),
                                    std::string_view(client.queue).substr(client.sent));
    if (sent >= 0) {
      client.sent += static_cast<std::size_t>(sent);
      return true;
    }
    if (!would_block(errno)) {
      // The reading side will find the end of the connection; what is left has no reader.
      client.queue.clear();
      client.sent = 0;
      return false;
    }
    client.queue.erase(0, client.sent);
    client.sent = 0;
    client.writing = true;
    client.writer().async_wait(descriptor_base::wait_write,
                               [this, waiting = to](const asio::error_code& error) {
                                 if (error || !waiting->alive()) return;
                                 waiting->writing = false;
                                 after_event(waiting);
                               });
    return false;
  }

  void hang_up(ClientPtr client) {
    client->close();
    if (client->observer) {
      client->peer.disconnected();
      std::erase(observers_, client);
      return;
    }
    client_.reset();
    peer_->disconnected();
    if (once_ || peer_->next() == Peer::Next::quit) return io_.stop();
    say("Remote side has terminated connection.  GDBserver will reopen the connection.");
    open();
  }

  Listener& listener_;
  const bool once_;
  asio::io_context io_{1};
  Descriptor signals_;
  asio::steady_timer poll_timer_{io_};
  std::list<Descriptor> acceptors_;
  PendingClients pending_{
      io_,
      {.refusal = [this](const Connection& connection) { return refusal(connection); },
       .admit = [this](Connection connection,
                       std::string_view received) { admit(std::move(connection), received); },
       .none_left = [this] { on_none_left(); }}};
  ClientPtr client_;
  std::vector<ClientPtr> observers_;
  std::deque<ClientPtr> line_;  // observers with something to be done; the first is next
  asio::steady_timer turn_timer_{io_}, turn_of_line_{io_};
  // Of a client's long requests, while the program hits breakpoints; of all observers together,
  // then and while the client is served.
  TimeShare client_share_{1}, observers_share_{4};
  std::array<char, read_size> input_;
  Peer* peer_ = nullptr;
  Clock::time_point last_input_;
  int ended_by_ = 0;
};

Server::Server(Listener& listener, bool once) : loop_(std::make_unique<Loop>(listener, once)) {}
Server::~Server() = default;
int Server::run(Peer& peer) { return loop_->run(peer); }

}  // namespace stub
