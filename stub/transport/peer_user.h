// Which user is at the other end of a connection.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "stub/base/types.h"

namespace stub {

// Users that may connect besides the daemon's own and root.
struct AllowedUsers {
  std::vector<uid_t> users;
  bool everybody = false;

  bool operator==(const AllowedUsers&) const = default;
  bool allows(uid_t user) const;
};

// NAME, UID or `*`. Error: refused, no such user.
Result<void> allow_user(const std::string& text, AllowedUsers& allowed);

// Why the peer of a unix or TCP socket may not have the session; nothing if it may. Peers on other
// machines have no user that could be asked for: whoever listens for them lets them in.
std::optional<std::string> refusal_of_peer(int socket, const AllowedUsers& allowed);

}  // namespace stub
