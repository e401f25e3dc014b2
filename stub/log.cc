#include "stub/log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>

namespace stub {
namespace {

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // Somebody who shares this terminal or pipe has made it non-blocking.
      pollfd ready{fd, POLLOUT, 0};
      if (::poll(&ready, 1, -1) >= 0 || errno == EINTR) continue;
    }
    if (written <= 0) return;  // nobody is left to be told
    text.remove_prefix(static_cast<std::size_t>(written));
  }
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

void say(std::string_view line) { write_all(STDERR_FILENO, fmt::format("{}\n", line)); }

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
  write_all(fd_, fmt::format("{}[{}] {}\n", time, name(topic), line));
}

Log& debug_log() {
  static Log log;
  return log;
}

}  // namespace stub
