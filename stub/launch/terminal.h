// The terminal the daemon was started on, lent to the program that is being debugged.
//
// A launched program leads a process group of its own (so that job control and Ctrl-C of the shell
// are not shared with us), and only the foreground group of a terminal may read from it. So the
// terminal is handed to the program's group when it runs and taken back when it is gone. We do this
// only while we are in the foreground ourselves: a daemon that a shell put into the background must
// not take the terminal away from that shell.
//
// tcsetpgrp(3) from a background group raises SIGTTOU, which would stop us; the call succeeds
// silently when that signal is blocked (POSIX, tcsetpgrp, "ERRORS"/EPERM and rationale).
#pragma once

#include <sys/types.h>

namespace stub {

class Terminal {
 public:
  // Looks at stdin, then at stderr (stdin may be a pipe while the output is a terminal).
  // `own_group`: the process group that has the terminal if it is ours.
  explicit Terminal(pid_t own_group);
  ~Terminal() { take_back(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void lend_to(pid_t process_group);
  // A program that is stopped at its first instruction gets the terminal when it is resumed first.
  // Until then Ctrl-C ends the daemon, which waits for a client.
  void promise_to(pid_t process_group);
  // Lends the terminal to the group that it was promised to last, if there is one.
  void keep_promise();
  // Does nothing when the terminal is ours, or when somebody else has it by now.
  void take_back();
  // In a process that outlives the one which has lent it: takes it back from a group that is dead,
  // or is dying and dead within a second.
  void take_back_from_the_dead();

 private:
  int fd_ = -1;  // -1: no terminal, or not ours to lend
  pid_t own_group_ = 0;
  pid_t lent_to_ = 0;
  pid_t promised_to_ = 0;
};

}  // namespace stub
