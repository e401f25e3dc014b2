#include "stub/transport/pending_clients.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

#include "protocol/framing.h"
#include "stub/base/log.h"
#include "stub/transport/first_bytes.h"
#include "stub/transport/write_some.h"

namespace stub {
namespace {

using asio::posix::descriptor_base;

std::string refusal_packet(const std::string& why) { return "+" + rsp::frame_packet("E." + why); }

// RFC 9112, section 4, and RFC 9110, section 15.5.1.
std::string bad_request() {
  constexpr std::string_view sentence =
      "This port speaks the GDB remote serial protocol; connect to it with a debugger.\n";
  return fmt::format(
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      sentence.size(), sentence);
}

}  // namespace

// Handlers keep what they wait for alive, and may run once more after it was closed.
struct PendingClients::Pending {
  Pending(asio::io_context& io, Connection its_connection)
      : socket(io, its_connection.in.release()), timer(io), connection(std::move(its_connection)) {}
  int fd() { return socket.native_handle(); }

  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;
  Connection connection;  // without its descriptor, which is the socket's
  std::string received;
  bool answered = false;  // and is waited for to close
};

void PendingClients::add(Connection connection) {
  constexpr std::size_t most = 16;
  if (pending_.size() == most) refuse(pending_.front());
  if (!connection.refusal.empty()) tell(connection, connection.refusal);
  const auto pending = std::make_shared<Pending>(io_, std::move(connection));
  pending_.push_back(pending);
  if (!owner_.refusal(pending->connection).empty()) limit_patience(pending);
  wait(pending);
}

void PendingClients::refuse_all() {
  while (!pending_.empty()) refuse(pending_.front());
}

void PendingClients::wait(const PendingPtr& pending) {
  pending->socket.async_wait(descriptor_base::wait_read,
                             [this, pending](const asio::error_code& error) {
                               if (!error && pending->socket.is_open()) on_input(pending);
                             });
}

void PendingClients::on_input(const PendingPtr& pending) {
  std::array<char, first_bytes_limit> bytes;
  const ssize_t got = ::read(pending->fd(), bytes.data(), bytes.size());
  if (got < 0 && (would_block(errno) || errno == EINTR)) return wait(pending);
  if (got <= 0) return dismiss(pending);
  if (pending->answered) return wait(pending);
  pending->received.append(bytes.data(), static_cast<std::size_t>(got));
  judge(pending);
}

void PendingClients::judge(const PendingPtr& pending) {
  const auto judged = judge_first_bytes(pending->received);
  if (!judged) return wait(pending);
  switch (*judged) {
    case FirstBytes::gdb:
    case FirstBytes::lldb:
      return on_packet(pending, *judged == FirstBytes::lldb);
    case FirstBytes::damaged:
      write_some(pending->fd(), "-");
      pending->received.clear();
      return wait(pending);
    case FirstBytes::http:
      tell(pending->connection, "it has sent an HTTP request");
      return answer(pending, bad_request());
    case FirstBytes::foreign:
      tell(pending->connection, "it has sent no packet");
      return dismiss(pending);
  }
}

void PendingClients::on_packet(const PendingPtr& pending, bool is_lldb) {
  const std::string why = owner_.refusal(pending->connection);
  if (!why.empty()) return is_lldb ? dismiss(pending) : answer(pending, refusal_packet(why));
  pending_.remove(pending);
  pending->timer.cancel();
  pending->connection.in = UniqueFd(pending->socket.release());
  owner_.admit(std::move(pending->connection), pending->received);
}

void PendingClients::answer(const PendingPtr& pending, std::string_view text) {
  write_some(pending->fd(), text);
  ::shutdown(pending->fd(), SHUT_WR);
  pending->answered = true;
  limit_patience(pending);
  wait(pending);
}

void PendingClients::limit_patience(const PendingPtr& pending) {
  constexpr auto patience = std::chrono::seconds(1);
  pending->timer.expires_after(patience);
  pending->timer.async_wait([this, pending](const asio::error_code& error) {
    if (!error && pending->socket.is_open()) on_patience_end(pending);
  });
}

void PendingClients::on_patience_end(const PendingPtr& pending) {
  const bool can_be_served = owner_.refusal(pending->connection).empty();
  if (!pending->answered && can_be_served) return;  // the client has gone meanwhile
  refuse(pending);
}

void PendingClients::refuse(PendingPtr pending) {
  const std::string why = owner_.refusal(pending->connection);
  if (!pending->answered && !why.empty()) write_some(pending->fd(), refusal_packet(why));
  dismiss(pending);
}

void PendingClients::dismiss(PendingPtr pending) {
  pending_.remove(pending);
  pending->timer.cancel();
  pending->socket.close();
  if (pending_.empty()) owner_.none_left();
}

// Those who may not connect can try as often as they like: they must not fill a log with it, nor a
// pipe that nobody reads, which we would wait for.
void PendingClients::tell(const Connection& connection, std::string_view why) {
  constexpr int most = 20;
  if (told_ > most) return;
  say(told_ < most ? fmt::format("{}: refused, {}", connection.greeting, why)
                   : "More are refused; no line for each of them before a client is connected.");
  ++told_;
}

}  // namespace stub
