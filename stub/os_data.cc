// The texts, columns and their order are those that gdbserver 13.1 was seen to send. Each request
// looks at /proc anew; processes that vanish meanwhile are left out.
#include "stub/os_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "stub/os_tables.h"
#include "stub/proc_fs.h"
#include "stub/xml.h"

namespace stub {
namespace {

// The name in the line `NAME:x:ID:...` of a file like /etc/passwd.
std::string name_of_id(const char* file, std::uint32_t id) {
  const std::string text = proc_fs::read_file(file, 1u << 20).value_or("");
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::size_t name_end = line.find(':');
    const std::size_t password_end = line.find(':', name_end + 1);
    if (name_end == std::string_view::npos || password_end == std::string_view::npos) continue;
    std::uint32_t found = 0;
    const char* digits = line.data() + password_end + 1;
    auto [end, error] = std::from_chars(digits, line.data() + line.size(), found);
    if (error == std::errc() && found == id) return std::string(line.substr(0, name_end));
  }
  return std::to_string(id);
}

// The arguments, a blank after each; kernel threads and zombies have none and show "[name]".
std::string command_line(Pid pid) {
  const auto args = proc_fs::cmdline(pid).value_or(std::vector<std::string>());
  if (args.empty()) return fmt::format("[{}]", command_name(leader_of(pid)));
  return fmt::format("{} ", fmt::join(args, " "));
}

std::string number_text(auto id) { return std::to_string(raw(id)); }

std::string processes_table() {
  OsTable table("processes");
  for (Pid pid : proc_fs::processes()) {
    const auto status = proc_fs::status(leader_of(pid));
    if (!status) continue;
    std::set<int> cores;
    for (Tid tid : proc_fs::threads(pid).value_or(std::vector<Tid>())) {
      if (auto core = proc_fs::core(tid)) cores.insert(*core);
    }
    table.row({{"pid", number_text(pid)},
               {"user", user_name(status->effective_uid)},
               {"command", command_line(pid)},
               {"cores", fmt::format("{}", fmt::join(cores, ","))}});
  }
  return std::move(table).text();
}

std::string process_groups_table() {
  std::vector<std::tuple<pid_t, bool, Pid>> members;  // of each group, its leader first
  for (Pid pid : proc_fs::processes()) {
    const auto stat = proc_fs::stat(leader_of(pid));
    if (stat && stat->pgrp > 0) members.emplace_back(stat->pgrp, stat->pgrp != raw(pid), pid);
  }
  std::ranges::sort(members);
  OsTable table("process groups");
  for (auto [group, not_leader, pid] : members) {
    table.row({{"pgid", std::to_string(group)},
               {"leader command", command_name(Tid{group})},
               {"pid", number_text(pid)},
               {"command line", command_line(pid)}});
  }
  return std::move(table).text();
}

std::string threads_table() {
  OsTable table("threads");
  for (Pid pid : proc_fs::processes()) {
    const std::string command = command_name(leader_of(pid));
    for (Tid tid : proc_fs::threads(pid).value_or(std::vector<Tid>())) {
      const auto core = proc_fs::core(tid);
      if (!core) continue;
      table.row({{"pid", number_text(pid)},
                 {"command", command},
                 {"tid", number_text(tid)},
                 {"core", std::to_string(*core)}});
    }
  }
  return std::move(table).text();
}

std::string files_table() {
  OsTable table("files");
  for (Pid pid : proc_fs::processes()) {
    const std::string command = command_name(leader_of(pid));
    for (int fd : proc_fs::descriptors(pid).value_or(std::vector<int>())) {
      const std::string number = std::to_string(fd);
      const auto name = proc_fs::read_link(fmt::format("/proc/{}/fd/{}", raw(pid), fd));
      table.row({{"pid", number_text(pid)},
                 {"command", command},
                 {"file descriptor", number},
                 {"name", name.value_or(number)}});
    }
  }
  return std::move(table).text();
}

std::string file(const char* path) { return proc_fs::read_file(path).value_or(""); }

std::string types_table();

struct Type {
  const char* name;
  const char* description;
  const char* title;
  std::string (*document)();
};
const Type types[] = {
    {"cpus", "Listing of all cpus/cores on the system", "CPUs",
     [] { return cpu_table(file("/proc/cpuinfo")); }},
    {"files", "Listing of all file descriptors", "File descriptors", files_table},
    {"modules", "Listing of all loaded kernel modules", "Kernel modules",
     [] { return module_table(file("/proc/modules")); }},
    {"msg", "Listing of all message queues", "Message queues",
     [] { return message_queue_table(file("/proc/sysvipc/msg")); }},
    {"processes", "Listing of all processes", "Processes", processes_table},
    {"procgroups", "Listing of all process groups", "Process groups", process_groups_table},
    {"semaphores", "Listing of all semaphores", "Semaphores",
     [] { return semaphore_table(file("/proc/sysvipc/sem")); }},
    {"shm", "Listing of all shared-memory regions", "Shared-memory regions",
     [] { return shared_memory_table(file("/proc/sysvipc/shm")); }},
    {"sockets", "Listing of all internet-domain sockets", "Sockets",
     [] {
       const std::string tcp = file("/proc/net/tcp"), udp = file("/proc/net/udp"),
                         tcp6 = file("/proc/net/tcp6"), udp6 = file("/proc/net/udp6");
       return socket_table({tcp, udp, tcp6, udp6});
     }},
    {"threads", "Listing of all threads", "Threads", threads_table},
};

std::string types_table() {
  OsTable table("types");
  for (const Type& type : types) {
    table.row({{"Type", type.name}, {"Description", type.description}, {"Title", type.title}});
  }
  return std::move(table).text();
}

}  // namespace

std::string os_data(std::string_view type) {
  if (type.empty()) return types_table();
  const auto* found = std::ranges::find(types, type, &Type::name);
  return found == std::end(types) ? std::string() : found->document();
}

std::string threads_document(std::span<const ThreadEntry> threads) {
  std::string text = "<threads>\n";
  for (const ThreadEntry& thread : threads) {
    text += fmt::format("<thread id=\"{}\"", thread.id);
    if (thread.core) text += fmt::format(" core=\"{}\"", *thread.core);
    if (thread.name) text += fmt::format(" name=\"{}\"", xml_text(*thread.name));
    if (!thread.handle.empty()) {
      text += " handle=\"";
      for (std::byte b : thread.handle) text += fmt::format("{:02x}", static_cast<unsigned>(b));
      text += '"';
    }
    text += "/>\n";
  }
  return text + "</threads>\n";
}

std::string user_name(std::uint32_t uid) { return name_of_id("/etc/passwd", uid); }
std::string group_name(std::uint32_t gid) { return name_of_id("/etc/group", gid); }

}  // namespace stub
