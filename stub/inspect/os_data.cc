// The texts, columns and their order are those that gdbserver 13.1 was seen to send. Each request
// looks at /proc anew; processes that vanish meanwhile are left out.
#include "stub/inspect/os_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <compare>
#include <set>
#include <utility>

#include "stub/base/xml.h"
#include "stub/inspect/os_tables.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

// The arguments, a blank after each; kernel threads and zombies have none and show "[name]".
std::string command_line(Pid pid) {
  const auto args = proc_fs::cmdline(pid).value_or(std::vector<std::string>());
  if (args.empty()) return fmt::format("[{}]", command_name(leader_of(pid)));
  return fmt::format("{} ", fmt::join(args, " "));
}

std::string number_text(auto id) { return std::to_string(raw(id)); }

Work<std::set<int>> cores_of(Pid pid) {
  std::set<int> cores;
  for (auto entries = proc_fs::thread_entries(pid); const auto tid = entries.next();) {
    if (const auto core = proc_fs::core(Tid{*tid})) cores.insert(*core);
    co_await Pause{};
  }
  co_return cores;
}

void add_process(OsTable& table, Pid pid, const std::string& user, const std::set<int>& cores) {
  table.row({{"pid", number_text(pid)},
             {"user", user},
             {"command", command_line(pid)},
             {"cores", fmt::format("{}", fmt::join(cores, ","))}});
}

Work<std::string> processes() {
  OsTable table("processes");
  IdNames names;
  for (auto entries = proc_fs::process_entries(); !table.full();) {
    const auto pid = entries.next();
    if (!pid) break;
    if (const auto status = proc_fs::status(Tid{*pid})) {
      const std::set<int> cores = co_await cores_of(Pid{*pid});
      add_process(table, Pid{*pid}, names.user(status->effective_uid), cores);
    }
    co_await Pause{};
  }
  co_return std::move(table).text();
}

struct GroupMember {
  pid_t group;
  bool follows;  // false: the leader, which comes first
  Pid pid;
  auto operator<=>(const GroupMember&) const = default;
};

void add_group_member(OsTable& table, const GroupMember& member) {
  table.row({{"pgid", std::to_string(member.group)},
             {"leader command", command_name(Tid{member.group})},
             {"pid", number_text(member.pid)},
             {"command line", command_line(member.pid)}});
}

Work<std::string> process_groups() {
  std::vector<GroupMember> members;
  for (auto entries = proc_fs::process_entries(); const auto pid = entries.next();) {
    const auto stat = proc_fs::stat(Tid{*pid});
    if (stat && stat->pgrp > 0) members.push_back({stat->pgrp, stat->pgrp != *pid, Pid{*pid}});
    co_await Pause{};
  }
  std::ranges::sort(members);
  OsTable table("process groups");
  for (const GroupMember& member : members) {
    if (table.full()) break;
    add_group_member(table, member);
    co_await Pause{};
  }
  co_return std::move(table).text();
}

void add_thread(OsTable& table, Pid pid, const std::string& command, Tid tid) {
  const auto core = proc_fs::core(tid);
  if (!core) return;
  table.row({{"pid", number_text(pid)},
             {"command", command},
             {"tid", number_text(tid)},
             {"core", std::to_string(*core)}});
}

void add_descriptor(OsTable& table, Pid pid, const std::string& command, int fd) {
  const std::string number = std::to_string(fd);
  const auto name = proc_fs::read_link(proc_fs::memory_file(pid, ("fd/" + number).c_str()));
  table.row({{"pid", number_text(pid)},
             {"command", command},
             {"file descriptor", number},
             {"name", name.value_or(number)}});
}

// A row for each entry that each process has in a directory of its own.
Work<std::string> entries_of_processes(const char* type, proc_fs::NumericEntries (*entries_of)(Pid),
                                       void (*add)(OsTable&, Pid, const std::string&, pid_t)) {
  OsTable table(type);
  for (auto processes = proc_fs::process_entries(); const auto pid = processes.next();) {
    const std::string command = command_name(Tid{*pid});
    for (auto entries = entries_of(Pid{*pid}); const auto entry = entries.next();) {
      if (table.full()) break;
      add(table, Pid{*pid}, command, *entry);
      co_await Pause{};
    }
    if (table.full()) break;
    co_await Pause{};
  }
  co_return std::move(table).text();
}

Work<std::string> threads() {
  return entries_of_processes("threads", proc_fs::thread_entries,
                              [](OsTable& table, Pid pid, const std::string& command, pid_t tid) {
                                add_thread(table, pid, command, Tid{tid});
                              });
}

Work<std::string> files() {
  return entries_of_processes("files", proc_fs::descriptor_entries, add_descriptor);
}

Work<std::string> table_of_lines(const LineTable& spec) {
  OsTable table(spec.type);
  IdNames names;
  for (const LineTable::File& file : spec.files) {
    proc_fs::LineReader lines(file.path);
    bool heading = file.headings;
    while (!table.full() && lines.read_on()) {
      while (const auto line = lines.next())
        if (!std::exchange(heading, false)) file.add(table, *line, names);
      co_await Pause{};
    }
  }
  co_return std::move(table).text();
}

struct Type {
  const char* name;
  const char* description;
  const char* title;
  Work<std::string> (*document)();
};
const Type all_types[] = {
    {"cpus", "Listing of all cpus/cores on the system", "CPUs",
     [] { return table_of_lines(cpu_table); }},
    {"files", "Listing of all file descriptors", "File descriptors", files},
    {"modules", "Listing of all loaded kernel modules", "Kernel modules",
     [] { return table_of_lines(module_table); }},
    {"msg", "Listing of all message queues", "Message queues",
     [] { return table_of_lines(message_queue_table); }},
    {"processes", "Listing of all processes", "Processes", processes},
    {"procgroups", "Listing of all process groups", "Process groups", process_groups},
    {"semaphores", "Listing of all semaphores", "Semaphores",
     [] { return table_of_lines(semaphore_table); }},
    {"shm", "Listing of all shared-memory regions", "Shared-memory regions",
     [] { return table_of_lines(shared_memory_table); }},
    {"sockets", "Listing of all internet-domain sockets", "Sockets",
     [] { return table_of_lines(socket_table); }},
    {"threads", "Listing of all threads", "Threads", threads},
};

std::string types_text() {
  OsTable table("types");
  for (const Type& type : all_types) {
    table.row({{"Type", type.name}, {"Description", type.description}, {"Title", type.title}});
  }
  return std::move(table).text();
}

Work<std::string> types() { co_return types_text(); }
Work<std::string> nothing() { co_return std::string(); }

}  // namespace

Work<std::string> os_data(std::string_view type) {
  if (type.empty()) return types();
  const auto* found = std::ranges::find(all_types, type, &Type::name);
  return found == std::end(all_types) ? nothing() : found->document();
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

}  // namespace stub
