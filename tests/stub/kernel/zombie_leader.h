// A process whose leader has ended while another thread of it lives.
#pragma once

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "stub/kernel/proc_fs.h"

namespace stub {

class ZombieLeader {
 public:
  ZombieLeader() {
    if (pid_ == 0) run();
    wait();
  }
  ~ZombieLeader() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ZombieLeader(const ZombieLeader&) = delete;
  ZombieLeader& operator=(const ZombieLeader&) = delete;
  Pid pid() const { return Pid{pid_}; }

 private:
  [[noreturn]] static void run() {
    std::thread([] {
      for (;;) ::pause();
    }).detach();
    for (;;) ::syscall(SYS_exit, 0);
  }
  void wait() const {
    const auto lives = [&] {
      const auto leader = proc_fs::stat(Tid{pid_});
      return leader && leader->state != 'Z';
    };
    while (lives()) ::usleep(100);
  }

  const pid_t pid_ = ::fork();
};

}  // namespace stub
