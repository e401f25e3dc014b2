// One write(2) to a descriptor that is not waited for.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace stub {

inline bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// How much was written, or -1 and errno as write(2) has it, but for EINTR.
inline ssize_t write_some(int fd, std::string_view bytes) {
  ssize_t written;
  do {
    written = ::write(fd, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  return written;
}

}  // namespace stub
