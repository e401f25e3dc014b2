#include "stub/ptrace_refusal.h"

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

#include "stub/guardian.h"

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

std::string reason(const RefusalFacts& facts) {
  const std::string process = fmt::format("process {}", facts.pid);
  if (!facts.exists) return "";  // the errno says it
  if (facts.zombie) return process + " is a zombie - the process has already terminated";
  if (facts.tracer != 0) {
    const std::string name = facts.tracer_name.empty() ? "" : " (" + facts.tracer_name + ")";
    return fmt::format("{} is already traced by process {}{}", process, facts.tracer, name);
  }
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
  return "";
}

}  // namespace

RefusalFacts gather_refusal_facts(pid_t pid, int error) {
  const std::string directory = fmt::format("/proc/{}", pid);
  const Status theirs = read_status(directory);
  const Status ours = read_status("/proc/self");
  RefusalFacts facts;
  facts.pid = pid;
  facts.error = error;
  facts.exists = theirs.contains("Uid") && theirs.contains("State");
  facts.capable = (number(ours, "CapEff", 16) >> cap_sys_ptrace_bit & 1) != 0;
  facts.filtered = ptrace_is_filtered();
  facts.container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
  facts.yama_scope = std::atoi(first_line("/proc/sys/kernel/yama/ptrace_scope").c_str());
  if (!facts.exists) return facts;
  facts.ourselves = is_ourselves(static_cast<pid_t>(number(theirs, "Tgid")));
  facts.zombie = theirs.at("State").starts_with("Z");
  facts.kernel_thread = is_kernel_thread(directory);
  facts.same_user = all_ids_are(theirs, "Uid", geteuid()) && all_ids_are(theirs, "Gid", getegid());
  facts.dumpable = is_dumpable(directory, theirs);
  facts.same_user_namespace = in_our_user_namespace(directory);
  facts.tracer = static_cast<pid_t>(number(theirs, "TracerPid"));
  if (facts.tracer == 0) return facts;
  facts.tracer_name = first_line(fmt::format("/proc/{}/comm", facts.tracer));
  if (facts.tracer_name != tracer_name) return facts;
  // One of us. What its user has started and knows is the guardian.
  facts.tracer =
      static_cast<pid_t>(number(read_status(fmt::format("/proc/{}", facts.tracer)), "PPid"));
  facts.tracer_name = first_line(fmt::format("/proc/{}/comm", facts.tracer));
  return facts;
}

std::string describe_refusal(const RefusalFacts& facts) {
  // Whoever looked into /proc first has found ENOENT.
  const int error = facts.exists ? facts.error : ESRCH;
  std::string text = fmt::format("{} ({})", std::strerror(error), error);
  if (const std::string why = reason(facts); !why.empty()) text += ", " + why;
  return text;
}

std::string cannot_attach(pid_t pid, int error) {
  return fmt::format("Cannot attach to process {}: {}", pid, explain_ptrace_refusal(pid, error));
}

}  // namespace stub
