// Whoever talks to the daemon can do what its user can, so on one machine, where users are known,
// only that user (and root, who can anyway) may talk to it.
//
// A unix socket knows its peer (SO_PEERCRED). A TCP socket does not, but if the peer is on this
// machine its own socket is, and the kernel tells whose it is: socket diagnostics (sock_diag(7)),
// asked for the connection seen from the other end; where netlink is not to be had,
// /proc/net/tcp{,6}, which is the same table as text. (The identification protocol, RFC 1413, would
// need a server and its honesty.)
//
// A socket that its owner has closed is nobody's: the kernel says inode 0 then, and user 0.
// Somebody who sends commands and closes at once must not be taken for root, so such a peer is
// refused.
#include "stub/transport/peer_user.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "stub/base/number.h"
#include "stub/base/unique_fd.h"

namespace stub {
namespace {

// One end of a TCP connection. IPv4 addresses that came through an IPv6 socket are plain ones here.
struct End {
  int family = AF_INET;
  std::array<std::uint32_t, 4> address{};  // network byte order
  std::uint16_t port = 0;                  // network byte order
  bool operator==(const End&) const = default;
};

End end_of(const sockaddr_storage& storage) {
  End end;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    end.address[0] = v4.sin_addr.s_addr;
    end.port = v4.sin_port;
    return end;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  end.port = v6.sin6_port;
  std::memcpy(end.address.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
    end.address = {end.address[3], 0, 0, 0};
  else
    end.family = AF_INET6;
  return end;
}

bool is_loopback(const End& end) {
  constexpr std::uint32_t v4_loopback_net = 127;
  if (end.family == AF_INET) return ntohl(end.address[0]) >> 24 == v4_loopback_net;
  return std::memcmp(end.address.data(), &in6addr_loopback, sizeof in6addr_loopback) == 0;
}

// ---- socket diagnostics ------------------------------------------------------------------------

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 request;
};

Question question_about(const End& theirs, const End& ours) {
  Question question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.request.sdiag_family = static_cast<std::uint8_t>(theirs.family);
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.idiag_states = ~0u;
  auto& id = question.request.id;
  id.idiag_sport = theirs.port;
  id.idiag_dport = ours.port;
  std::ranges::copy(theirs.address, id.idiag_src);
  std::ranges::copy(ours.address, id.idiag_dst);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return question;
}

enum class Search : std::uint8_t {
  found,
  closed,  // the socket is on this machine and has no owner any more
  absent,  // it is not on this machine, or cannot be found this way
};

struct Owner {
  Search search = Search::absent;
  uid_t user = 0;
};

Owner owner_by_netlink(const End& theirs, const End& ours) {
  const UniqueFd netlink(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  const Question question = question_about(theirs, ours);
  if (!netlink.valid() ||
      send(netlink.get(), &question, sizeof question, 0) != static_cast<ssize_t>(sizeof question))
    return {};
  alignas(nlmsghdr) std::array<char, 4096> buffer;
  const ssize_t size = recv(netlink.get(), buffer.data(), buffer.size(), 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (size < 0 || !NLMSG_OK(header, static_cast<std::size_t>(size))) return {};
  if (header->nlmsg_type == NLMSG_ERROR) return {};  // ENOENT: or no module
  const auto* answer = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
  if (header->nlmsg_len < NLMSG_LENGTH(sizeof *answer)) return {};
  // In place of a connection that is over the kernel tells of a socket that listens at its port.
  if (answer->id.idiag_dport != ours.port) return {};
  if (answer->idiag_inode == 0) return {Search::closed, 0};
  return {Search::found, answer->idiag_uid};
}

// ---- /proc/net/tcp -----------------------------------------------------------------------------

std::optional<End> end_from_text(const std::string& text) {  // 0100007F:1F90
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  sockaddr_storage storage{};
  std::array<std::uint32_t, 4> words{};
  for (std::size_t i = 0; i < colon / 8; ++i)
    std::from_chars(&text[i * 8], &text[i * 8] + 8, words[i], 16);
  std::uint16_t port = 0;
  std::from_chars(&text[colon] + 1, text.data() + text.size(), port, 16);
  if (colon == 8) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {words[0]}, .sin_zero = {}};
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, words.data(), sizeof v6.sin6_addr);
  }
  return end_of(storage);
}

Owner owner_by_table(const char* path, const End& theirs, const End& ours) {
  std::ifstream table(path);
  if (!table) return {};
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retransmits;
    uid_t user = 0;
    std::uint64_t timeout = 0, inode = 0;
    fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
        timeout >> inode;
    if (!fields || end_from_text(local) != theirs || end_from_text(remote) != ours) continue;
    return inode == 0 ? Owner{Search::closed, 0} : Owner{Search::found, user};
  }
  return {};
}

Owner owner_of(const End& theirs, const End& ours) {
  Owner owner = owner_by_netlink(theirs, ours);
  // A connection over IPv4 may belong to an IPv6 socket.
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"})
    if (owner.search == Search::absent) owner = owner_by_table(path, theirs, ours);
  return owner;
}

// ---- the verdict -------------------------------------------------------------------------------

std::string name_of(uid_t user) {
  const passwd* entry = getpwuid(user);
  return entry == nullptr ? std::to_string(user) : fmt::format("{} ({})", entry->pw_name, user);
}

std::optional<std::string> refusal_of(uid_t user, const AllowedUsers& allowed) {
  if (allowed.allows(user)) return std::nullopt;
  return fmt::format("user {} may not debug here; --allow-user={} lets in", name_of(user), user);
}

// To an address of this machine the kernel sends from that very address. True where it cannot be
// found out.
bool is_of_this_machine(sockaddr_storage peer) {
  const End theirs = end_of(peer);
  if (theirs.family == AF_INET)  // it may be a mapped one
    reinterpret_cast<sockaddr_in&>(peer) = {.sin_family = AF_INET,
                                            .sin_port = theirs.port,
                                            .sin_addr = {theirs.address[0]},
                                            .sin_zero = {}};
  const UniqueFd probe(socket(theirs.family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return true;
  socklen_t size = theirs.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&peer), size) != 0) return false;
  sockaddr_storage source{};
  size = sizeof source;
  getsockname(probe.get(), reinterpret_cast<sockaddr*>(&source), &size);
  return end_of(source).address == theirs.address;
}

// Where address translation stands between the two ends, or routes lead to 127.0.0.1 from outside
// (net.ipv4.conf.*.route_localnet), nobody's socket has these two addresses. Only who comes from
// another machine to an address that other machines can use is taken for what he seems.
std::optional<std::string> refusal_of_tcp_peer(const sockaddr_storage& peer,
                                               const sockaddr_storage& own,
                                               const AllowedUsers& allowed) {
  const End theirs = end_of(peer), ours = end_of(own);
  const Owner owner = owner_of(theirs, ours);
  if (owner.search == Search::found) return refusal_of(owner.user, allowed);
  if (owner.search == Search::closed) return "it is closed already, and nobody's";
  if (!is_loopback(theirs) && !is_loopback(ours) && !is_of_this_machine(peer)) return std::nullopt;
  return "the user of this connection cannot be found out; --allow-user=* lets everybody in";
}

// All users that a user namespace does not know have one number in it (user_namespaces(7),
// "Unmapped user and group IDs"). Whoever has that number, we too, may be somebody else.
bool stands_for_others(uid_t user) {
  uid_t overflow = 65534;
  std::ifstream("/proc/sys/kernel/overflowuid") >> overflow;
  if (user != overflow) return false;
  constexpr std::uint64_t all = 0xffffffff;  // the last number is no user
  std::ifstream map("/proc/self/uid_map");
  std::uint64_t known = 0;
  for (std::uint64_t inside, outside, count; map >> inside >> outside >> count;) known += count;
  return known < all;
}

}  // namespace

bool AllowedUsers::allows(uid_t user) const {
  return everybody || std::find(users.begin(), users.end(), user) != users.end() ||
         ((user == 0 || user == geteuid()) && !stands_for_others(user));
}

Result<void> allow_user(const std::string& text, AllowedUsers& allowed) {
  if (text == "*") {
    allowed.everybody = true;
    return {};
  }
  auto user = whole_number<uid_t>(text);
  if (!user) {
    const passwd* entry = getpwnam(text.c_str());
    if (entry == nullptr) return fail(Errc::refused, "No such user: " + text);
    user = entry->pw_uid;
  }
  allowed.users.push_back(*user);
  return {};
}

std::optional<std::string> refusal_of_peer(int socket, const AllowedUsers& allowed) {
  if (allowed.everybody) return std::nullopt;
  sockaddr_storage peer{}, own{};
  socklen_t size = sizeof peer;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
    return "the connection is closed already";
  if (peer.ss_family == AF_UNIX) {
    ucred credentials{};
    size = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
      return "the user of this connection cannot be found out";
    return refusal_of(credentials.uid, allowed);
  }
  size = sizeof own;
  getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size);
  return refusal_of_tcp_peer(peer, own, allowed);
}

}  // namespace stub
