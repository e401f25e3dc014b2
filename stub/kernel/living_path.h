// Names in /proc of a process whose leader has ended while other threads of it run.
#pragma once

#include <string>

namespace stub::proc_fs {

// A client names a process's files by its id: /proc/PID/maps, /proc/PID/task/PID/maps. Where the
// leader of that process has ended, those that a thread loses when it ends are empty or missing.
// For these the result is the name of the same file of a thread that lives (/proc/TID/maps); for
// all others, and where no thread lives, `path` as it is. As seen from this server's /proc.
std::string living_path(const std::string& path);

}  // namespace stub::proc_fs
