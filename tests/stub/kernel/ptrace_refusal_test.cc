#include "stub/kernel/ptrace_refusal.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/catch.h"

using namespace stub;

namespace {

RefusalFacts eperm() {
  RefusalFacts facts;
  facts.pid = facts.tid = 42;
  facts.error = EPERM;
  return facts;
}

template <class Change>
std::string text_for(Change change) {
  RefusalFacts facts = eperm();
  change(facts);
  return describe_refusal(facts);
}

}  // namespace

TEST_CASE("each reason of a refusal has its sentence") {
  CHECK(describe_refusal(eperm()) ==
        "Operation not permitted (1), process 42 may be traced from another pid namespace, or has "
        "just been let go by another tracer, or a security module forbids to trace it");
  CHECK(text_for([](auto& f) { f.error = EIO; }) == "Input/output error (5)");
  CHECK(text_for([](auto& f) { f.exists = false, f.error = ESRCH; }) == "No such process (3)");
  CHECK(text_for([](auto& f) { f.exists = false; }) == "No such process (3)");
  CHECK(text_for([](auto& f) { f.exists = false, f.error = EMFILE; }) ==
        "Too many open files (24)");
  CHECK(text_for([](auto& f) { f.zombie = true; }) ==
        "Operation not permitted (1), process 42 is a zombie - the process has already terminated");
  CHECK(text_for([](auto& f) { f.tracer = 7; }) ==
        "Operation not permitted (1), process 42 is already traced by process 7");
  CHECK(text_for([](auto& f) { f.tracer = 7, f.tracer_name = "gdb"; }) ==
        "Operation not permitted (1), process 42 is already traced by process 7 (gdb)");

  CHECK(text_for([](auto& f) { f.tid = 43, f.tracer = 7, f.tracer_name = "strace"; }) ==
        "Operation not permitted (1), thread 43 is already traced by process 7 (strace)");
  const auto sleeper = [](auto& f) {
    f.tid = 43, f.tracer = 7, f.tracer_name = "sidestep", f.tracer_is_like_us = f.asleep = true;
  };
  CHECK(
      text_for(sleeper) ==
      "Operation not permitted (1), thread 43 is already traced by process 7 (sidestep), and in an "
      "uninterruptible sleep: if that server is ending, it lets go of the thread when it wakes up");

  struct Row {
    const char* words;
    void (*change)(RefusalFacts&);
  };
  const Row rows[] = {
      {"kernel thread", [](RefusalFacts& f) { f.kernel_thread = true, f.capable = true; }},
      {"this server itself", [](RefusalFacts& f) { f.ourselves = true; }},
      {"seccomp filter", [](RefusalFacts& f) { f.filtered = true, f.yama_scope = 1; }},
      {"another user namespace",
       [](RefusalFacts& f) { f.same_user_namespace = false, f.capable = true; }},
      {"another user: run this server as that user",
       [](RefusalFacts& f) { f.same_user = false, f.yama_scope = 1; }},
      {"another user: start the container with --cap-add=SYS_PTRACE",
       [](RefusalFacts& f) { f.same_user = false, f.container = true; }},
      {"kernel.yama.ptrace_scope=1", [](RefusalFacts& f) { f.yama_scope = 1; }},
      {"kernel.yama.ptrace_scope=2", [](RefusalFacts& f) { f.yama_scope = 2; }},
      {"kernel.yama.ptrace_scope=3", [](RefusalFacts& f) { f.yama_scope = 3, f.capable = true; }},
      {"undumpable", [](RefusalFacts& f) { f.dumpable = false; }},
  };
  for (const Row& row : rows) {
    RefusalFacts facts = eperm();
    row.change(facts);
    INFO(describe_refusal(facts));
    CHECK(describe_refusal(facts).find(row.words) != std::string::npos);
  }
}

TEST_CASE("the facts are those of /proc") {
  const RefusalFacts self = gather_refusal_facts(getpid(), EPERM);
  CHECK(self.exists);
  CHECK(self.ourselves);
  CHECK(self.same_user);
  CHECK(self.same_user_namespace);
  CHECK_FALSE(self.zombie);
  CHECK_FALSE(self.kernel_thread);
  CHECK_FALSE(self.filtered);

  const pid_t beyond_pid_max = 0x7ffffff0;
  CHECK_FALSE(gather_refusal_facts(beyond_pid_max, ESRCH).exists);
  CHECK(cannot_attach(beyond_pid_max, beyond_pid_max, ENOENT) ==
        "Cannot attach to process 2147483632: No such process (3)");

  // A child that is not waited for.
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info;
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(gather_refusal_facts(child, EPERM).zombie);
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED) == 0);
}
