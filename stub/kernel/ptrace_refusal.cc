#include "stub/kernel/ptrace_refusal.h"

#include <fmt/core.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "stub/kernel/proc_fs.h"
#include "stub/kernel/self.h"

namespace stub {
namespace {

// Bit of CapEff (capability.h), and a task flag in /proc/PID/stat (kernel, sched.h).
constexpr unsigned cap_sys_ptrace_bit = 19;
constexpr unsigned long pf_kthread = 0x00200000;

using Status = std::map<std::string, std::string>;

// /proc/PID/status: "Name:\tvalue" lines.
Status read_status(const std::string& directory) {
  Status status;
  std::ifstream file(directory + "/status");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto value = line.find_first_not_of(" \t", colon + 1);
    status[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
  }
  return status;
}

unsigned long number(const Status& status, const char* key, int base = 10) {
  const auto found = status.find(key);
  return found == status.end() ? 0 : std::strtoul(found->second.c_str(), nullptr, base);
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The flags are the 9th field; the 2nd is the name in parentheses, which may contain anything.
bool is_kernel_thread(const std::string& directory) {
  const std::string stat = first_line(directory + "/stat");
  const auto close = stat.rfind(')');
  if (close == std::string::npos) return false;
  std::istringstream rest(stat.substr(close + 1));
  std::string skipped;
  for (int field = 3; field < 9; ++field) rest >> skipped;
  unsigned long flags = 0;
  rest >> flags;
  return (flags & pf_kthread) != 0;
}

// "Uid:" and "Gid:" hold real, effective, saved and file system id; the last does not count.
bool all_ids_are(const Status& status, const char* key, unsigned long ours) {
  const auto found = status.find(key);
  if (found == status.end()) return false;
  std::istringstream ids(found->second);
  for (int i = 0; i < 3; ++i) {
    unsigned long id = 0;
    ids >> id;
    if (id != ours) return false;
  }
  return true;
}

bool is_dumpable(const std::string& directory, const Status& status) {
  struct stat info;
  if (stat(directory.c_str(), &info) != 0) return true;
  std::istringstream ids(status.at("Uid"));
  unsigned long real = 0, effective = 0;
  ids >> real >> effective;
  return info.st_uid == effective;
}

// Unreadable counts as the same: that has other reasons, told elsewhere.
bool in_our_user_namespace(const std::string& directory) {
  struct stat ours, theirs;
  if (stat("/proc/self/ns/user", &ours) != 0) return true;
  if (stat((directory + "/ns/user").c_str(), &theirs) != 0) return true;
  return ours.st_ino == theirs.st_ino;
}

// Without a filter the kernel says ESRCH to a request on a process that is not our tracee.
bool ptrace_is_filtered() {
  errno = 0;
  return ptrace(PTRACE_CONT, getpid(), 0, 0) == -1 && errno != ESRCH;
}

std::string yama_advice(int scope) {
  if (scope >= 3)
    return "the Yama security module allows no tracing at all until the next boot "
           "(kernel.yama.ptrace_scope=3)";
  if (scope == 2)
    return "the Yama security module allows tracing to CAP_SYS_PTRACE only "
           "(kernel.yama.ptrace_scope=2): run this server as root";
  return "the Yama security module allows tracing of own children only "
         "(kernel.yama.ptrace_scope=1): start the program with this server, run the server as "
         "root, or set kernel.yama.ptrace_scope=0";
}

// A server of ours that ends has to wait for such a thread before it can let go of it.
std::string traced_already(const RefusalFacts& facts, const std::string& thread) {
  std::string text = fmt::format("{} is already traced by process {}", thread, facts.tracer);
  if (!facts.tracer_name.empty()) text += " (" + facts.tracer_name + ")";
  if (facts.tracer_is_like_us && facts.asleep)
    text +=
        ", and in an uninterruptible sleep: if that server is ending, it lets go of the thread "
        "when it wakes up";
  return text;
}

std::string reason(const RefusalFacts& facts) {
  const std::string process = facts.tid == facts.pid ? fmt::format("process {}", facts.pid)
                                                     : fmt::format("thread {}", facts.tid);
  if (!facts.exists) return "";  // the errno says it
  if (facts.zombie) return process + " is a zombie - the process has already terminated";
  if (facts.tracer != 0) return traced_already(facts, process);
  if (facts.ourselves) return process + " is this server itself";
  if (facts.kernel_thread) return process + " is a kernel thread";
  if (facts.filtered)
    return "a seccomp filter forbids ptrace to this server: start the container with "
           "--cap-add=SYS_PTRACE or --security-opt seccomp=unconfined";
  const std::string_view capability =
      facts.container ? "start the container with --cap-add=SYS_PTRACE, and the server as root"
                      : "run this server as that user or as root (it needs CAP_SYS_PTRACE)";
  if (!facts.same_user_namespace)
    return fmt::format(
        "{} lives in another user namespace: run this server inside it, or as root "
        "of the outermost one",
        process);
  if (!facts.capable && !facts.same_user)
    return fmt::format("{} belongs to another user: {}", process, capability);
  if (!facts.capable && facts.yama_scope > 0) return yama_advice(facts.yama_scope);
  if (facts.capable && facts.yama_scope >= 3) return yama_advice(facts.yama_scope);
  if (!facts.capable && !facts.dumpable)
    return fmt::format("{} has made itself undumpable or runs a program that may not be read: {}",
                       process, capability);
  if (facts.error == EPERM)
    return fmt::format(
        "{} may be traced from another pid namespace, or has just been let go by another tracer, "
        "or "
        "a security module forbids to trace it",
        process);
  return "";
}

// The guardian of a tracer is what its user has started and knows. A tracer that has lost it has
// another parent.
pid_t guardian_of(pid_t tracer) {
  const pid_t parent =
      static_cast<pid_t>(number(read_status(fmt::format("/proc/{}", tracer)), "PPid"));
  const bool same_program = proc_fs::is_same_file(fmt::format("/proc/{}/exe", tracer),
                                                  fmt::format("/proc/{}/exe", parent));
  return same_program ? parent : tracer;
}

std::string name_of(pid_t pid) { return first_line(fmt::format("/proc/{}/comm", pid)); }

}  // namespace

RefusalFacts gather_refusal_facts(pid_t tid, int error) {
  const std::string directory = fmt::format("/proc/{}", tid);
  const Status theirs = read_status(directory);
  const Status ours = read_status("/proc/self");
  RefusalFacts facts;
  facts.pid = facts.tid = tid;
  facts.error = error;
  facts.exists = theirs.contains("Uid") && theirs.contains("State");
  facts.capable = (number(ours, "CapEff", 16) >> cap_sys_ptrace_bit & 1) != 0;
  facts.filtered = ptrace_is_filtered();
  facts.container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
  facts.yama_scope = std::atoi(first_line("/proc/sys/kernel/yama/ptrace_scope").c_str());
  if (!facts.exists) return facts;
  facts.pid = static_cast<pid_t>(number(theirs, "Tgid"));
  facts.ourselves = is_ourselves(facts.pid);
  facts.asleep = theirs.at("State").starts_with("D");
  facts.zombie = theirs.at("State").starts_with("Z");
  facts.kernel_thread = is_kernel_thread(directory);
  facts.same_user = all_ids_are(theirs, "Uid", geteuid()) && all_ids_are(theirs, "Gid", getegid());
  facts.dumpable = is_dumpable(directory, theirs);
  facts.same_user_namespace = in_our_user_namespace(directory);
  facts.tracer = static_cast<pid_t>(number(theirs, "TracerPid"));
  if (facts.tracer == 0) return facts;
  facts.tracer_name = name_of(facts.tracer);
  facts.tracer_is_like_us = facts.tracer_name == tracer_name;
  if (!facts.tracer_is_like_us) return facts;
  facts.tracer = guardian_of(facts.tracer);
  facts.tracer_name = name_of(facts.tracer);
  return facts;
}

std::string describe_refusal(const RefusalFacts& facts) {
  const bool has_vanished = !facts.exists && (facts.error == EPERM || facts.error == ENOENT);
  const int error = has_vanished ? ESRCH : facts.error;
  std::string text = fmt::format("{} ({})", std::strerror(error), error);
  if (const std::string why = reason(facts); !why.empty()) text += ", " + why;
  return text;
}

std::string cannot_attach(pid_t pid, pid_t tid, int error) {
  return fmt::format("Cannot attach to process {}: {}", pid, explain_ptrace_refusal(tid, error));
}

std::optional<Tid> thread_of_another_tracer(Pid pid) {
  for (const Tid tid : proc_fs::threads(pid).value_or(std::vector<Tid>())) {
    const auto status = proc_fs::status(tid);
    if (status && status->state != 'Z' && raw(status->tracer) != 0 &&
        raw(status->tracer) != ::getpid())
      return tid;
  }
  return std::nullopt;
}

}  // namespace stub
