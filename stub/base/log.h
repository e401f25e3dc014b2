// What the daemon writes on stderr: lines that scripts and IDEs wait for, and debug output.
//
// Every line is one write(2): nothing is buffered, so a line is out when the call returns, also
// into a pipe, and lines of the program being debugged cannot land in the middle of ours.
//
// Nobody may be reading: a pipe's reader has stopped, a terminal's line is dead. Threads that have
// hit a breakpoint wait for us meanwhile, and a SIGTERM does. So a full stream is waited for once,
// for a second; from then on what does not go into it at once is lost, and when there is room again
// it is said how much that was.
#pragma once

#include <string_view>

namespace stub {

// A line for the user, without its newline. Names and messages in it may be a client's or a
// program's: they can forge no second line and send a terminal no commands (printable.h).
void say(std::string_view line);

// Any text to stdout or stderr, or to a file. What cannot be written is lost.
void write_text(int fd, std::string_view text);

// The components of gdbserver 16's --debug=.
enum class LogTopic : unsigned { threads = 1, event_loop = 2, remote = 4 };
inline constexpr unsigned all_log_topics = 7;

class Log {
 public:
  bool enabled(LogTopic topic) const { return (topics_ & static_cast<unsigned>(topic)) != 0; }
  void enable(LogTopic topic, bool on);
  void set_topics(unsigned topics) { topics_ = topics; }
  void set_timestamps(bool on) { timestamps_ = on; }
  // Debug output goes to this file instead of stderr; false when it cannot be opened (errno).
  bool open_file(const char* path);
  // Callers ask enabled() first, so that nobody formats a line that is not written.
  void write(LogTopic topic, std::string_view line) const;

 private:
  unsigned topics_ = 0;
  bool timestamps_ = false;
  int fd_ = 2;
};

Log& debug_log();

}  // namespace stub
