// COMM of the command line: where the client is expected.
#pragma once

#include <string>
#include <string_view>
#include <variant>

namespace stub {

struct TcpEndpoint {
  enum class Family { any, v4, v6 };

  std::string host;  // empty: loopback only, in both families
  std::string port;  // a number or a service name, as getaddrinfo(3) takes it
  Family family = Family::any;

  bool operator==(const TcpEndpoint&) const = default;
};

struct UnixEndpoint {
  std::string path;  // a leading '@' names a socket of the abstract namespace (unix(7))
  bool operator==(const UnixEndpoint&) const = default;
};

struct TtyEndpoint {
  std::string path;
  bool operator==(const TtyEndpoint&) const = default;
};

struct StdioEndpoint {
  bool operator==(const StdioEndpoint&) const = default;
};

// Sockets of a service manager (activation.h).
struct ActivatedEndpoint {
  bool operator==(const ActivatedEndpoint&) const = default;
};

using Endpoint =
    std::variant<TcpEndpoint, UnixEndpoint, TtyEndpoint, StdioEndpoint, ActivatedEndpoint>;

// gdbserver's grammar: HOST:PORT, :PORT, [V6]:PORT, V6:PORT (the last colon separates), each with
// an optional tcp:, tcp4: or tcp6:; `-` or `stdio`; anything else is a tty device. Ours besides: a
// bare number is a port, unix:PATH is a socket, `systemd` is what a service manager has opened, and
// a name that starts with `/` is a device even when it has colons (/dev/serial/by-path/...). Every
// text means something; whether it can be opened is found out by opening it.
Endpoint parse_endpoint(std::string_view comm);

}  // namespace stub
