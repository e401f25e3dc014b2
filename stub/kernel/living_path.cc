// By /proc/TID, which is not listed but found (fs/proc/base.c, proc_pid_lookup): some of the files
// are there only and not in /proc/PID/task/TID (tgid_base_stuff, tid_base_stuff).
#include "stub/kernel/living_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "stub/kernel/proc_fs.h"

namespace stub::proc_fs {
namespace {

// What do_exit takes from a task (kernel/exit.c): its memory, files, directories, namespaces.
constexpr std::array<std::string_view, 21> lost_at_exit{
    "auxv",       "clear_refs", "cmdline",   "coredump_filter", "cwd",     "environ", "exe",
    "fd",         "fdinfo",     "map_files", "maps",            "mem",     "mounts",  "mountinfo",
    "mountstats", "ns",         "numa_maps", "pagemap",         "root",    "smaps",   "smaps_rollup"};

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// 0: no id.
pid_t take_id(std::string_view& text) {
  pid_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || id <= 0) return 0;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return id;
}

}  // namespace

std::string living_path(const std::string& path) {
  std::string_view name = path;
  if (!take(name, "/proc/")) return path;
  const pid_t pid = take_id(name);
  if (pid == 0 || !take(name, "/")) return path;
  take(name, fmt::format("task/{}/", pid));
  if (std::ranges::find(lost_at_exit, name.substr(0, name.find('/'))) == lost_at_exit.end())
    return path;
  const pid_t living = raw(memory_thread(Pid{pid}));
  return living == pid ? path : fmt::format("/proc/{}/{}", living, name);
}

}  // namespace stub::proc_fs
