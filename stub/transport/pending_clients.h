// Connections whose first packet has not come yet.
//
// There is no session, and no line about one, before it. So a probe that only connects takes no
// client's place and does not end a server that serves one client, and a web page cannot make a
// browser speak to the program.
//
// One that cannot be served, because another client is connected or its user may not debug, gets an
// error packet and is closed. The packet is read by gdb as the reply to its first request, so its
// user sees the sentence. To be seen it must not be overtaken by a reset, which is what closing a
// socket with unread input sends (tcp(7)); so we wait for the other side to close, but not for
// long. LLDB takes any reply to its first request for a session's beginning and waits for ever for
// the next one; a connection that is closed it reports at once. So LLDB gets no reply.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "stub/transport/listener.h"

namespace stub {

class PendingClients {
 public:
  struct Owner {
    // Why a connection cannot be served now; empty: it can.
    std::function<std::string(const Connection&)> refusal;
    // Takes one that can be, with what it has sent: its first packet, perhaps more.
    std::function<void(Connection, std::string_view received)> admit;
    // The last one has gone, and was not admitted.
    std::function<void()> none_left;
  };

  PendingClients(asio::io_context& io, Owner owner) : io_(io), owner_(std::move(owner)) {}

  // Of too many the oldest gives way: a client speaks at once, so it is not one.
  void add(Connection connection);
  // Nobody will be served any more.
  void refuse_all();
  // From now on there is a line again for each that is refused.
  void restart_log() { told_ = 0; }

 private:
  struct Pending;
  using PendingPtr = std::shared_ptr<Pending>;

  void wait(const PendingPtr& pending);
  void on_input(const PendingPtr& pending);
  void judge(const PendingPtr& pending);
  void on_packet(const PendingPtr& pending, bool is_lldb);
  void answer(const PendingPtr& pending, std::string_view text);
  void limit_patience(const PendingPtr& pending);
  void on_patience_end(const PendingPtr& pending);
  void refuse(PendingPtr pending);
  void dismiss(PendingPtr pending);
  void tell(const Connection& connection, std::string_view why);

  asio::io_context& io_;
  Owner owner_;
  std::list<PendingPtr> pending_;  // the oldest first
  int told_ = 0;                   // lines about those that were refused
};

}  // namespace stub
