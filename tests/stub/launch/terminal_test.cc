#include "stub/launch/terminal.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "tests/catch.h"

using namespace stub;

namespace {

// A process that leads a group and waits to be killed.
pid_t idle_group() {
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    while (true) pause();
  }
  setpgid(pid, pid);
  return pid;
}

void end(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

// Runs `check` as the leader of a session on a terminal of its own, its stdin; what it returns.
int on_a_terminal(int (*check)()) {
  int primary = -1, secondary = -1;
  if (openpty(&primary, &secondary, nullptr, nullptr, nullptr) != 0) return -1;
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    ioctl(secondary, TIOCSCTTY, 0);
    dup2(secondary, STDIN_FILENO);
    _exit(check());
  }
  close(secondary);
  int status = 0;
  waitpid(pid, &status, 0);
  close(primary);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int foreground() { return tcgetpgrp(STDIN_FILENO); }

}  // namespace

TEST_CASE("the terminal is lent and taken back") {
  CHECK(on_a_terminal([] {
          Terminal terminal(getpgrp());
          const pid_t program = idle_group();
          terminal.lend_to(program);
          if (foreground() != program) return 1;
          terminal.take_back();  // from the background: SIGTTOU would stop us
          if (foreground() != getpgrp()) return 2;
          terminal.take_back();
          end(program);
          return foreground() == getpgrp() ? 0 : 3;
        }) == 0);
}

TEST_CASE("the terminal is promised, and lent when the program is resumed") {
  CHECK(on_a_terminal([] {
          Terminal terminal(getpgrp());
          const pid_t program = idle_group();
          terminal.lend_to(program);  // while it is started
          terminal.promise_to(program);
          if (foreground() != getpgrp()) return 1;
          terminal.keep_promise();
          if (foreground() != program) return 2;
          terminal.take_back();
          terminal.keep_promise();  // once only
          end(program);
          return foreground() == getpgrp() ? 0 : 3;
        }) == 0);
}

TEST_CASE("the terminal comes back from a program that has died") {
  CHECK(on_a_terminal([] {
          const pid_t program = idle_group();
          {
            Terminal terminal(getpgrp());
            terminal.lend_to(program);
            end(program);
          }
          return foreground() == getpgrp() ? 0 : 1;
        }) == 0);
}

TEST_CASE("a job that holds the terminal by now keeps it") {
  CHECK(on_a_terminal([] {
          Terminal terminal(getpgrp());
          const pid_t program = idle_group();
          const pid_t job = idle_group();
          terminal.lend_to(program);
          std::signal(SIGTTOU, SIG_IGN);
          tcsetpgrp(STDIN_FILENO, job);
          terminal.take_back();
          const bool kept = foreground() == job;
          end(program);
          end(job);
          return kept ? 0 : 1;
        }) == 0);
}

TEST_CASE("in the background there is nothing to lend") {
  CHECK(on_a_terminal([] {
          const pid_t other = idle_group();
          std::signal(SIGTTOU, SIG_IGN);
          tcsetpgrp(STDIN_FILENO, other);  // as a shell does that has put us into the background
          Terminal terminal(getpgrp());
          const pid_t program = idle_group();
          terminal.lend_to(program);
          const bool untouched = foreground() == other;
          end(program);
          end(other);
          return untouched ? 0 : 1;
        }) == 0);
}
