// Where clients come from: sockets listened on, or a line that is there from the start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stub/base/types.h"
#include "stub/base/unique_fd.h"
#include "stub/transport/endpoint.h"
#include "stub/transport/peer_user.h"

namespace stub {

// A connected client. Reading and writing are the same descriptor but for stdio.
struct Connection {
  UniqueFd in;
  UniqueFd out;          // not valid: `in` serves both
  std::string greeting;  // what is said when it is taken up
  std::string refusal;   // why it may not be taken up; empty: it may
  int writer() const { return out.valid() ? out.get() : in.get(); }
};

// An endpoint that is open. Every descriptor is non-blocking and closed on exec.
//
// A host name is listened on in all its addresses, `localhost` in both families, so that it does
// not matter which one the client tries first. An empty host means loopback only: whoever can
// connect can do everything this user can, so other machines must be let in on purpose.
class Listener {
 public:
  // `allowed`: who may connect besides our own user and root.
  // Errors carry gdbserver's sentence: "Can't bind address: Address already in use.",
  // "HOST:PORT: cannot resolve name: REASON", "Could not open remote device: REASON.".
  // `comm` is the endpoint as the user wrote it.
  static Result<Listener> open(const Endpoint& endpoint, const std::string& comm,
                               const AllowedUsers& allowed = {});
  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = default;
  ~Listener() { close_sockets(); }

  // Listening sockets; empty for stdio, tty and a connection that was passed to us.
  const std::vector<UniqueFd>& sockets() const { return sockets_; }
  // Whether there is but one client ever, who is connected already.
  bool is_connection() const { return connection_.valid(); }
  void close_sockets();
  // The line that tells where clients may connect; nothing for stdio and tty.
  std::optional<std::string> announcement() const;
  // A line about who can, for whoever expects otherwise; empty where there is nothing to say.
  std::string notice() const;
  std::optional<std::uint16_t> port() const { return port_; }

  // Takes a waiting client. Error: system, as accept(2) has it: the client has gone meanwhile
  // (EAGAIN, ECONNABORTED), or waits on because there is nothing to take it with (EMFILE, ENOMEM).
  Result<Connection> accept(int socket) const;
  // The only client of stdio or a tty, or the one passed to us.
  Result<Connection> line();

 private:
  Listener() = default;
  static Result<Listener> open_tcp(const TcpEndpoint& endpoint, const std::string& comm);
  static Result<Listener> open_unix(const UnixEndpoint& endpoint, const AllowedUsers& allowed);
  static Result<Listener> open_activated();

  Endpoint endpoint_;
  AllowedUsers allowed_;
  std::vector<UniqueFd> sockets_;
  UniqueFd connection_;  // passed by a service manager that accepts by itself
  std::optional<std::uint16_t> port_;
  std::string unlink_at_end_;  // path of a unix socket
};

}  // namespace stub
