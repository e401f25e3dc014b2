// Why the kernel will not let us trace a process, and what the user can do about it.
//
// ptrace(2) answers EPERM for seven different reasons ("Ptrace access mode checking" lists them).
// The answer does not tell which; what it depends on can be read in /proc. The facts are gathered
// first and judged afterwards, so that the judgement is a pure function.
#pragma once

#include <sys/types.h>

#include <string>

namespace stub {

struct RefusalFacts {
  pid_t pid = 0;
  int error = 0;  // errno of the refused call
  // The process.
  bool exists = true;
  bool zombie = false;
  bool kernel_thread = false;
  bool ourselves = false;
  bool same_user = true;  // real, effective and saved ids are all ours
  bool dumpable = true;   // its /proc directory belongs to its own user (prctl PR_SET_DUMPABLE)
  bool same_user_namespace = true;
  pid_t tracer = 0;
  std::string tracer_name;
  // Us.
  bool capable = false;   // CAP_SYS_PTRACE is effective
  bool filtered = false;  // ptrace is refused whatever it is asked for: a seccomp filter
  bool container = false;
  int yama_scope = 0;  // kernel.yama.ptrace_scope
};

RefusalFacts gather_refusal_facts(pid_t pid, int error);

// "Operation not permitted (1)", with ", REASON" where one was found: gdbserver's own words for a
// process that is traced already or a zombie.
std::string describe_refusal(const RefusalFacts& facts);

inline std::string explain_ptrace_refusal(pid_t pid, int error) {
  return describe_refusal(gather_refusal_facts(pid, error));
}

// "Cannot attach to process N: ...", the whole sentence as gdbserver begins it.
std::string cannot_attach(pid_t pid, int error);

}  // namespace stub
