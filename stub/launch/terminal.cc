#include "stub/launch/terminal.h"

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <initializer_list>
#include <utility>

#include "stub/kernel/proc_fs.h"

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

// Zombies do not count: those of a dead parent may not have been waited for.
bool has_living_members(pid_t group) {
  for (const Pid pid : proc_fs::processes()) {
    const auto stat = proc_fs::stat(leader_of(pid));
    if (stat && stat->pgrp == group && stat->state != 'Z' && stat->state != 'X') return true;
  }
  return false;
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

void Terminal::promise_to(pid_t process_group) {
  take_back();
  promised_to_ = process_group;
}

void Terminal::keep_promise() {
  if (promised_to_ != 0) lend_to(std::exchange(promised_to_, 0));
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

void Terminal::take_back_from_the_dead() {
  constexpr int rounds = 50;
  constexpr timespec round{0, 20'000'000};
  const pid_t holder = fd_ < 0 ? 0 : tcgetpgrp(fd_);
  if (holder <= 0 || holder == own_group_) return;
  for (int i = 0; i < rounds; ++i) {
    if (!has_living_members(holder)) return set_foreground(fd_, own_group_);
    nanosleep(&round, nullptr);
  }
}

}  // namespace stub
