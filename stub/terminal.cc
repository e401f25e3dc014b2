#include "stub/terminal.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace stub {
namespace {

void set_foreground(int fd, pid_t group) {
  sigset_t ttou, before;
  sigemptyset(&ttou);
  sigaddset(&ttou, SIGTTOU);
  sigprocmask(SIG_BLOCK, &ttou, &before);
  // Fails when the group is gone or the terminal was closed: then nobody needs it.
  [[maybe_unused]] const int result = tcsetpgrp(fd, group);
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

Terminal::Terminal(pid_t own_group) : own_group_(own_group) {
  for (int fd : {STDIN_FILENO, STDERR_FILENO}) {
    if (tcgetpgrp(fd) == own_group_) {
      fd_ = fd;
      return;
    }
  }
}

void Terminal::lend_to(pid_t process_group) {
  if (fd_ < 0) return;
  set_foreground(fd_, process_group);
  lent_to_ = process_group;
}

void Terminal::take_back() {
  if (lent_to_ == 0) return;
  const pid_t holder = tcgetpgrp(fd_);
  // A shell that the program started may have moved the terminal on to a group of its job that is
  // gone as well; a holder that still lives keeps it.
  const bool keeps_it = holder > 0 && holder != lent_to_ && ::kill(-holder, 0) == 0;
  if (!keeps_it) set_foreground(fd_, own_group_);
  lent_to_ = 0;
}

}  // namespace stub
