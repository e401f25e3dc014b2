#include "stub/kernel/self.h"

#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

pid_t guardian_pid = 0;

}  // namespace

int guardian_gone_signal() { return SIGUSR1; }

void set_guardian(pid_t pid) { guardian_pid = pid; }

bool guardian_was_killed() {
  if (guardian_pid == 0) return false;
  if (getppid() != guardian_pid) return true;
  const auto stat = proc_fs::stat(Tid{guardian_pid});
  // The file may also be unreadable for want of descriptors: the parent's pid decides then.
  if (!stat) return getppid() != guardian_pid;
  return stat->is_dying();
}

bool is_ourselves(pid_t pid) { return pid == getpid() || (pid != 0 && pid == guardian_pid); }

}  // namespace stub
