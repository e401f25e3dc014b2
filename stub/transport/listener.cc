#include "stub/transport/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

#include "stub/transport/activation.h"

namespace stub {
namespace {

// All that the kernel allows: whoever finds the queue full waits for seconds, and whoever is in it
// is told at once that another client has the session.
constexpr int backlog = SOMAXCONN;
constexpr int socket_type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

// A peer whose machine vanished is noticed after about two minutes.
constexpr int keepalive_idle_s = 60, keepalive_interval_s = 15, keepalive_probes = 4;

tl::unexpected<Error> refused(const char* what, int error) {
  return fail(Errc::refused, fmt::format("{}: {}.", what, std::strerror(error)), error);
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);  // each of them is a comfort only
}

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

bool port_out_of_range(const std::string& port) {
  unsigned long value = 0;
  const char* const end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, value);
  if (error == std::errc::result_out_of_range) return true;
  return error == std::errc() && stop == end && value > 0xffff;
}

// Only unpaired ones are still there (endpoint.h).
std::optional<Error> bracket_error(const TcpEndpoint& endpoint, const std::string& comm) {
  const bool open = endpoint.host.starts_with('[') && endpoint.family != TcpEndpoint::Family::v4;
  if (!open && !endpoint.host.ends_with(']')) return std::nullopt;
  return Error{Errc::refused, 0,
               fmt::format("Missing {} bracket in hostname '{}'", open ? "close" : "open", comm)};
}

Result<AddressList> resolve(const TcpEndpoint& endpoint, const std::string& comm) {
  if (auto error = bracket_error(endpoint, comm)) return tl::unexpected(*error);
  addrinfo hints{};
  hints.ai_family = endpoint.family == TcpEndpoint::Family::v4   ? AF_INET
                    : endpoint.family == TcpEndpoint::Family::v6 ? AF_INET6
                                                                 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  // Without AI_PASSIVE no host means the loopback addresses (getaddrinfo(3)).
  hints.ai_flags = 0;
  addrinfo* found = nullptr;
  // getaddrinfo takes 99999 for 34463.
  const int error = endpoint.port.empty() || port_out_of_range(endpoint.port)
                        ? EAI_SERVICE
                        : getaddrinfo(endpoint.host.empty() ? nullptr : endpoint.host.c_str(),
                                      endpoint.port.c_str(), &hints, &found);
  if (error != 0)
    return fail(Errc::refused,
                fmt::format("{}: cannot resolve name: {}", comm, gai_strerror(error)));
  return AddressList(found, freeaddrinfo);
}

std::uint16_t port_of(const sockaddr* address) {
  return ntohs(address->sa_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(address)->sin_port);
}

void set_port(sockaddr* address, std::uint16_t port) {
  if (address->sa_family == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  else
    reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return port_of(reinterpret_cast<sockaddr*>(&address));
}

bool is_any_v6(const addrinfo& address) {
  return address.ai_family == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<sockaddr_in6*>(address.ai_addr)->sin6_addr);
}

Result<UniqueFd> listen_on(const addrinfo& address) {
  UniqueFd fd(socket(address.ai_family, socket_type, IPPROTO_TCP));
  if (!fd.valid()) return refused("Can't open socket", errno);
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  // [::] is every interface in both families; a specific address is itself only.
  if (address.ai_family == AF_INET6)
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, is_any_v6(address) ? 0 : 1);
  if (bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0)
    return refused("Can't bind address", errno);
  if (listen(fd.get(), backlog) != 0) return refused("Can't listen on socket", errno);
  return fd;
}

// A machine without IPv6 still resolves localhost to ::1; that address may be missed, a port that
// somebody else has may not.
bool may_be_missed(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

// /etc/hosts may give a name the same address twice.
bool is_repetition(const addrinfo* list, const addrinfo* address) {
  for (; list != address; list = list->ai_next)
    if (list->ai_addrlen == address->ai_addrlen &&
        std::memcmp(list->ai_addr, address->ai_addr, address->ai_addrlen) == 0)
      return true;
  return false;
}

// All addresses of the list, on one port. With port 0 the first address chooses it.
Result<std::vector<UniqueFd>> listen_on_all(addrinfo* list) {
  std::vector<UniqueFd> sockets;
  std::optional<Error> missed;
  std::uint16_t port = 0;
  for (addrinfo* address = list; address != nullptr; address = address->ai_next) {
    if (port != 0) set_port(address->ai_addr, port);
    if (is_repetition(list, address)) continue;
    auto socket = listen_on(*address);
    if (socket) {
      port = bound_port(socket->get());
      sockets.push_back(std::move(*socket));
    } else if (may_be_missed(socket.error().sys_errno)) {
      missed = socket.error();
    } else {
      return tl::unexpected(socket.error());
    }
  }
  if (sockets.empty() && missed) return tl::unexpected(*missed);
  return sockets;
}

// Whether there is a socket behind the file, of any process in any network namespace. Nobody is
// disturbed: servers listen for streams, and a datagram socket is refused with EPROTOTYPE by a
// socket of another type. ECONNREFUSED means that there is none (net/unix/af_unix.c,
// unix_find_bsd).
bool has_socket(const sockaddr_un& address, socklen_t size) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return true;  // unknown: better to fail than to take a server's socket away
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;
  return errno != ECONNREFUSED;
}

// A socket file without its socket was left by a server that was killed.
void remove_stale_socket(const sockaddr_un& address, socklen_t size) {
  struct stat info;
  if (stat(address.sun_path, &info) == 0 && S_ISSOCK(info.st_mode) && !has_socket(address, size))
    unlink(address.sun_path);
}

sockaddr_storage own_address(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

std::string unix_path(const sockaddr_storage& address) {
  const auto* const local = reinterpret_cast<const sockaddr_un*>(&address);
  return local->sun_path[0] != '\0' ? local->sun_path : std::string("@") + &local->sun_path[1];
}

std::string tcp_greeting(const sockaddr_storage& peer, socklen_t size) {
  char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
  getnameinfo(reinterpret_cast<const sockaddr*>(&peer), size, host, sizeof host, port, sizeof port,
              NI_NUMERICHOST | NI_NUMERICSERV);
  return fmt::format("Remote debugging from host {}, port {}", host, port);
}

void tune_tcp(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
}

Connection connection_from(UniqueFd socket, const sockaddr_storage& peer, socklen_t size,
                           const AllowedUsers& allowed) {
  Connection connection;
  const auto address = own_address(socket.get());
  if (address.ss_family == AF_UNIX) {
    connection.greeting = "Remote debugging using " + unix_path(address);
  } else {
    tune_tcp(socket.get());
    connection.greeting = tcp_greeting(peer, size);
  }
  connection.refusal = refusal_of_peer(socket.get(), allowed).value_or("");
  connection.in = std::move(socket);
  return connection;
}

Result<Connection> open_tty(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return refused("Could not open remote device", errno);
  termios settings{};
  if (tcgetattr(fd.get(), &settings) != 0) return refused("Could not open remote device", errno);
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL;
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  tcsetattr(fd.get(), TCSANOW, &settings);
  return Connection{std::move(fd), UniqueFd(), "Remote debugging using " + path, {}};
}

Result<Connection> take_stdio() {
  UniqueFd in(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  UniqueFd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!in.valid() || !out.valid()) return refused("Could not open remote device", errno);
  return Connection{std::move(in), std::move(out), "Remote debugging using stdio", {}};
}

}  // namespace

Result<Listener> Listener::open_tcp(const TcpEndpoint& endpoint, const std::string& comm) {
  // Port 0: the port that is free in one family may be taken in the other.
  constexpr int attempts = 8;
  for (int attempt = 1;; ++attempt) {
    const auto addresses = resolve(endpoint, comm);
    if (!addresses) return tl::unexpected(addresses.error());
    const bool any_port = port_of((*addresses)->ai_addr) == 0;
    auto sockets = listen_on_all(addresses->get());
    if (sockets) {
      Listener listener;
      listener.sockets_ = std::move(*sockets);
      listener.port_ = bound_port(listener.sockets_.front().get());
      return listener;
    }
    if (!any_port || sockets.error().sys_errno != EADDRINUSE || attempt == attempts)
      return tl::unexpected(sockets.error());
  }
}

Result<Listener> Listener::open_unix(const UnixEndpoint& endpoint, const AllowedUsers& allowed) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.empty() || endpoint.path.size() >= sizeof address.sun_path)
    return refused("Can't bind address", ENAMETOOLONG);
  std::memcpy(address.sun_path, endpoint.path.data(), endpoint.path.size());
  const bool abstract = endpoint.path.front() == '@';
  if (abstract) address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + endpoint.path.size() +
                                           (abstract ? 0 : 1));
  if (!abstract) remove_stale_socket(address, size);

  UniqueFd fd(socket(AF_UNIX, socket_type, 0));
  if (!fd.valid()) return refused("Can't open socket", errno);
  // The file keeps others off before they are asked; where some may, all may ask.
  const mode_t before = umask(allowed == AllowedUsers() ? 0077 : 0);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  umask(before);
  if (bound != 0) return refused("Can't bind address", error);
  if (listen(fd.get(), backlog) != 0) return refused("Can't listen on socket", errno);
  Listener listener;
  listener.sockets_.push_back(std::move(fd));
  if (!abstract) listener.unlink_at_end_ = endpoint.path;
  return listener;
}

Result<Listener> Listener::open_activated() {
  auto passed = take_activation_sockets();
  if (!passed) return tl::unexpected(passed.error());
  Listener listener;
  if (is_listening(passed->front().get()))
    listener.sockets_ = std::move(*passed);
  else
    listener.connection_ = std::move(passed->front());
  for (const UniqueFd& socket : listener.sockets_) {
    const auto address = own_address(socket.get());
    if (address.ss_family != AF_UNIX && !listener.port_)
      listener.port_ = port_of(reinterpret_cast<const sockaddr*>(&address));
  }
  return listener;
}

Result<Listener> Listener::open(const Endpoint& endpoint, const std::string& comm,
                                const AllowedUsers& allowed) {
  Result<Listener> listener = Listener();
  if (const auto* tcp = std::get_if<TcpEndpoint>(&endpoint))
    listener = open_tcp(*tcp, comm);
  else if (const auto* local = std::get_if<UnixEndpoint>(&endpoint))
    listener = open_unix(*local, allowed);
  else if (std::holds_alternative<ActivatedEndpoint>(endpoint))
    listener = open_activated();
  else if (const auto* tty = std::get_if<TtyEndpoint>(&endpoint))
    // Opened again when the session begins; here, before anything is started, only tried.
    if (auto line = open_tty(tty->path); !line) return tl::unexpected(line.error());
  if (!listener) return listener;
  listener->endpoint_ = endpoint;
  listener->allowed_ = allowed;
  return listener;
}

void Listener::close_sockets() {
  if (!unlink_at_end_.empty()) unlink(unlink_at_end_.c_str());
  unlink_at_end_.clear();
  sockets_.clear();
}

std::optional<std::string> Listener::announcement() const {
  if (const auto* local = std::get_if<UnixEndpoint>(&endpoint_))
    return "Listening on socket " + local->path;
  if (std::holds_alternative<ActivatedEndpoint>(endpoint_) && !sockets_.empty())
    return port_ ? fmt::format("Listening on port {}", *port_)
                 : "Listening on socket " + unix_path(own_address(sockets_.front().get()));
  if (!std::holds_alternative<TcpEndpoint>(endpoint_)) return std::nullopt;
  return fmt::format("Listening on port {}", *port_);
}

std::string Listener::notice() const {
  const auto* tcp = std::get_if<TcpEndpoint>(&endpoint_);
  if (tcp == nullptr || !tcp->host.empty()) return {};
  return fmt::format("Only this machine can connect; 0.0.0.0:{0} or [::]:{0} lets others in.",
                     tcp->port);
}

Result<Connection> Listener::accept(int socket) const {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  UniqueFd fd(
      accept4(socket, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) return fail(Errc::system, std::strerror(errno), errno);
  return connection_from(std::move(fd), peer, size, allowed_);
}

Result<Connection> Listener::line() {
  if (connection_.valid()) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    getpeername(connection_.get(), reinterpret_cast<sockaddr*>(&peer), &size);
    Connection connection = connection_from(std::move(connection_), peer, size, allowed_);
    if (!connection.refusal.empty()) return fail(Errc::refused, connection.refusal);
    return connection;
  }
  if (std::holds_alternative<ActivatedEndpoint>(endpoint_))
    return fail(Errc::refused, "The connection is over.");
  if (const auto* tty = std::get_if<TtyEndpoint>(&endpoint_)) return open_tty(tty->path);
  return take_stdio();
}

}  // namespace stub
