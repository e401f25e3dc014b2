// Processes that do nothing but be listed in /proc, for engines on a kernel of paper that look
// there.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "stub/base/types.h"
#include "tests/catch.h"

namespace stub {

class RealProcess {
 public:
  // With so many threads beside the leader; they are there when this returns.
  explicit RealProcess(int threads = 0) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    id_ = fork();
    if (id_ == 0) {
      prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // else only our descendants by Yama
      for (int i = 0; i < threads; ++i)
        std::thread([&] {
          (void)!write(ready[1], "", 1);
          pause();
        }).detach();
      if (threads == 0) (void)!write(ready[1], "", 1);
      while (true) pause();
    }
    char byte = 0;
    for (int i = 0; i < std::max(threads, 1); ++i) REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~RealProcess() {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  RealProcess(const RealProcess&) = delete;
  RealProcess& operator=(const RealProcess&) = delete;

  Pid pid() const { return Pid{id_}; }
  Tid leader() const { return Tid{id_}; }

 private:
  pid_t id_ = 0;
};

}  // namespace stub
