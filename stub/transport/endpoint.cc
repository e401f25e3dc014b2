#include "stub/transport/endpoint.h"

#include <algorithm>

namespace stub {
namespace {

bool consume_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Brackets are for IPv6; where they don't belong they stay and cannot be resolved.
std::string_view without_brackets(std::string_view host, TcpEndpoint::Family family) {
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (!bracketed || family == TcpEndpoint::Family::v4) return host;
  return host.substr(1, host.size() - 2);
}

}  // namespace

Endpoint parse_endpoint(std::string_view comm) {
  using Family = TcpEndpoint::Family;
  if (comm == "-" || comm == "stdio") return StdioEndpoint{};
  if (comm == "systemd") return ActivatedEndpoint{};
  if (consume_prefix(comm, "unix:")) return UnixEndpoint{std::string(comm)};

  const std::string_view whole = comm;
  Family family = Family::any;
  if (consume_prefix(comm, "tcp4:"))
    family = Family::v4;
  else if (consume_prefix(comm, "tcp6:"))
    family = Family::v6;
  else
    consume_prefix(comm, "tcp:");

  const bool prefixed = comm.size() != whole.size();
  const std::size_t colon = comm.rfind(':');
  if (colon == std::string_view::npos) {
    if (prefixed || is_number(comm)) return TcpEndpoint{"", std::string(comm), family};
    return TtyEndpoint{std::string(comm)};
  }
  if (!prefixed && comm.front() == '/') return TtyEndpoint{std::string(comm)};

  const std::string_view host = comm.substr(0, colon);
  if (host.find(':') != std::string_view::npos && family == Family::any) family = Family::v6;
  return TcpEndpoint{std::string(without_brackets(host, family)),
                     std::string(comm.substr(colon + 1)), family};
}

}  // namespace stub
