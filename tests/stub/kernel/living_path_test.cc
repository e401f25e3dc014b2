#include "stub/kernel/living_path.h"

#include <fmt/format.h>
#include <unistd.h>

#include "stub/kernel/proc_fs.h"
#include "tests/catch.h"
#include "tests/stub/kernel/zombie_leader.h"

namespace {

using stub::proc_fs::living_path;

TEST_CASE("living_path: files of a leader that has ended are those of a thread that lives") {
  const stub::ZombieLeader program;
  const pid_t pid = raw(program.pid());
  const pid_t living = raw(stub::proc_fs::memory_thread(program.pid()));
  REQUIRE(living != pid);
  for (const char* name : {"maps", "smaps", "auxv", "cmdline", "coredump_filter", "exe", "fd/0",
                           "root/etc/passwd", "map_files", "ns/mnt"}) {
    INFO(name);
    const auto expected = fmt::format("/proc/{}/{}", living, name);
    CHECK(living_path(fmt::format("/proc/{}/{}", pid, name)) == expected);
    CHECK(living_path(fmt::format("/proc/{0}/task/{0}/{1}", pid, name)) == expected);
    CHECK(::access(fmt::format("/proc/{}/{}", living, name).c_str(), F_OK) == 0);
  }
  for (const char* name : {"", "task", "status", "stat", "comm", "mapsx", "task/1/maps"}) {
    const auto path = fmt::format("/proc/{}/{}", pid, name);
    CHECK(living_path(path) == path);
  }
}

TEST_CASE("living_path: all other names stay as they are") {
  const auto own = fmt::format("/proc/{}/maps", ::getpid());
  for (const std::string& path :
       {own, std::string("/proc/self/maps"), std::string("/proc/999999999/maps"),
        std::string("/proc/99999999999999999999/maps"), std::string("/proc/-1/maps"),
        std::string("/proc/1maps"), std::string("/proc/"), std::string("/proc"), std::string(),
        std::string("maps"), std::string("/tmp/proc/1/maps")})
    CHECK(living_path(path) == path);
}

}  // namespace
