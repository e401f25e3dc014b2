// Why the kernel will not let us trace a process, and what the user can do about it.
//
// ptrace(2) answers EPERM for seven different reasons ("Ptrace access mode checking" lists them).
// The answer does not tell which; what it depends on can be read in /proc. The facts are gathered
// first and judged afterwards, so that the judgement is a pure function.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "stub/base/types.h"

namespace stub {

struct RefusalFacts {
  pid_t pid = 0;  // of the process
  pid_t tid = 0;  // of the thread that was refused; its leader's is the process's
  int error = 0;  // errno of the refused call
  // The thread.
  bool exists = true;
  bool zombie = false;
  bool kernel_thread = false;
  bool ourselves = false;
  bool same_user = true;  // real, effective and saved ids are all ours
  bool dumpable = true;   // its /proc directory belongs to its own user (prctl PR_SET_DUMPABLE)
  bool same_user_namespace = true;
  bool asleep = false;  // uninterruptibly
  pid_t tracer = 0;
  std::string tracer_name;
  bool tracer_is_like_us = false;
  // Us.
  bool capable = false;   // CAP_SYS_PTRACE is effective
  bool filtered = false;  // ptrace is refused whatever it is asked for: a seccomp filter
  bool container = false;
  int yama_scope = 0;  // kernel.yama.ptrace_scope
};

RefusalFacts gather_refusal_facts(pid_t tid, int error);

// "Operation not permitted (1)", with ", REASON" where one was found: gdbserver's own words for a
// process that is traced already or a zombie.
std::string describe_refusal(const RefusalFacts& facts);

inline std::string explain_ptrace_refusal(pid_t tid, int error) {
  return describe_refusal(gather_refusal_facts(tid, error));
}

// "Cannot attach to process N: ...", the whole sentence as gdbserver begins it. `tid`: the thread
// of it that was refused.
std::string cannot_attach(pid_t pid, pid_t tid, int error);

// A thread of the process that another process than this one traces, if there is one.
std::optional<Tid> thread_of_another_tracer(Pid pid);

}  // namespace stub
