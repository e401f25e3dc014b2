#include "stub/base/log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <ctime>
#include <string>
#include <utility>

#include "stub/base/printable.h"

namespace stub {
namespace {

// Of stdin, never used, stdout and stderr.
std::array<std::size_t, 3> lost_bytes{};

// A pipe that is said to have room takes so much without blocking (pipe(7)), and so do sockets.
constexpr std::size_t piece = PIPE_BUF;

bool has_room(int fd, int patience_ms) {
  pollfd ready{fd, POLLOUT, 0};
  int found = 0;
  do found = ::poll(&ready, 1, patience_ms);
  while (found < 0 && errno == EINTR);
  return found != 0;  // an error is found by the write
}

// What could not be written of it.
std::string_view write_some(int fd, std::string_view text, int patience_ms) {
  while (!text.empty() && has_room(fd, patience_ms)) {
    const ssize_t written = ::write(fd, text.data(), std::min(text.size(), piece));
    // EAGAIN: somebody who shares this terminal or pipe has made it non-blocking.
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return {};  // nobody is left to be told
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return text;
}

std::string_view name(LogTopic topic) {
  switch (topic) {
    case LogTopic::threads:
      return "threads";
    case LogTopic::event_loop:
      return "event-loop";
    case LogTopic::remote:
      return "remote";
  }
  return "";
}

}  // namespace

void write_text(int fd, std::string_view text) {
  constexpr int patience_ms = 1000;
  if (fd >= static_cast<int>(lost_bytes.size())) {
    (void)write_some(fd, text, patience_ms);
    return;
  }
  std::size_t& lost = lost_bytes[static_cast<std::size_t>(fd)];
  const bool is_full = lost != 0;
  if (is_full && has_room(fd, 0))
    (void)write_some(fd, fmt::format("[{} bytes lost]\n", std::exchange(lost, 0)), 0);
  lost += write_some(fd, text, is_full ? 0 : patience_ms).size();
}

void say(std::string_view line) { write_text(STDERR_FILENO, printable(line) + "\n"); }

void Log::enable(LogTopic topic, bool on) {
  const auto bit = static_cast<unsigned>(topic);
  topics_ = on ? topics_ | bit : topics_ & ~bit;
}

bool Log::open_file(const char* path) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  if (fd_ != STDERR_FILENO) ::close(fd_);
  fd_ = fd;
  return true;
}

void Log::write(LogTopic topic, std::string_view line) const {
  std::string time;
  if (timestamps_) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    time = fmt::format("{}.{:06} ", now.tv_sec, now.tv_nsec / 1000);
  }
  write_text(fd_, fmt::format("{}[{}] {}\n", time, name(topic), printable(line)));
}

Log& debug_log() {
  static Log log;
  return log;
}

}  // namespace stub
