#include "stub/kernel/exec_pkru.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "arch/pkru.h"
#include "arch/register_table.h"
#include "stub/kernel/linux_tracee.h"
#include "tests/catch.h"

namespace stub {
namespace {

std::uint64_t told_pkru(Tracee& tracee, Tid tid) {
  x86::RegisterFile file{.general = {}, .xstate = {}};
  file.xstate.resize(x86::largest_xstate);
  file.xstate.resize(tracee.xstate(tid, file.xstate).value());
  return x86::read_unsigned(*x86::RegisterSet::get(x86::Mode::amd64).find("pkru"), file).value();
}

TEST_CASE("exec_pkru: ptrace tells the PKRU that a thread has after execve") {
  const auto expected = x86::own_pkru();
  if (!expected) {
    WARN("this processor has no protection keys");
    return;
  }
  int gate[2];
  REQUIRE(pipe(gate) == 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(gate[1]);
    (void)!read(gate[0], &byte, 1);
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }
  LinuxTracee tracee;
  const Tid tid{child};
  REQUIRE(tracee.seize(tid, Lifetime::exit_kill));
  close(gate[0]);
  close(gate[1]);
  REQUIRE(tracee.wait_for(tid));  // the event of execve
  complete_pkru_after_exec(tracee, tid);
  CHECK(told_pkru(tracee, tid) == *expected);
  kill(child, SIGKILL);
  REQUIRE(tracee.wait_for(tid));
  complete_pkru_after_exec(tracee, tid);  // there is nothing left to be completed
}

}  // namespace
}  // namespace stub
