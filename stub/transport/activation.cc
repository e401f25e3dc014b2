// The protocol is three variables of the environment and needs no library: LISTEN_PID says whom the
// descriptors are for (the variables are inherited by accident easily), LISTEN_FDS how many there
// are, LISTEN_FDNAMES what they are called, which is of no use here.
#include "stub/transport/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "stub/base/number.h"

namespace stub {
namespace {

constexpr int first_descriptor = 3;  // SD_LISTEN_FDS_START

std::optional<int> number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return whole_number<int>(text);
}

}  // namespace

Result<std::vector<UniqueFd>> take_activation_sockets() {
  const bool for_us = number_in("LISTEN_PID") == getpid();
  const int count = for_us ? number_in("LISTEN_FDS").value_or(0) : 0;
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(variable);
  std::vector<UniqueFd> sockets;
  for (int fd = first_descriptor; fd - first_descriptor < count; ++fd) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) break;  // fewer than was said
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets.emplace_back(fd);
  }
  if (sockets.empty()) return fail(Errc::refused, "No socket was passed by the service manager.");
  return sockets;
}

void inherit_activation(pid_t from) {
  if (number_in("LISTEN_PID") == from)
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), /*overwrite=*/1);
}

bool is_listening(int socket) {
  int listens = 0;
  socklen_t size = sizeof listens;
  return getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

}  // namespace stub
