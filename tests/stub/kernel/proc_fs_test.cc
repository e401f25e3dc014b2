#include "stub/kernel/proc_fs.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/stub/kernel/zombie_leader.h"

namespace {

namespace proc_fs = stub::proc_fs;
using stub::Pid;
using stub::raw;
using stub::Tid;
using x86::Address;

const Pid self{::getpid()};

// A pid that was alive and is not any more.
pid_t dead_pid() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  return pid;
}

}  // namespace

TEST_CASE("parse_status") {
  auto s = proc_fs::parse_status(
      "Name:\ta\\nTracerPid:\\t77\nUmask:\t0022\nState:\tt (tracing stop)\nTgid:\t100\nNgid:\t0\n"
      "Pid:\t101\nPPid:\t1\nTracerPid:\t42\nUid:\t1000\t1001\t1002\t1003\n"
      "Gid:\t2000\t2001\t2002\t2003\nNSpid:\t101\t8\t2\nThreads:\t3\n"
      "SigIgn:\t8000000000000010\nSigCgt:\t0000000000000400\nSeccomp:\t2\n");
  REQUIRE(s);
  CHECK(s->state == 't');
  CHECK(s->tgid == Pid{100});
  CHECK(s->tid == Tid{101});
  CHECK(s->ppid == Pid{1});
  CHECK(s->tracer == Tid{42});
  CHECK(s->uid == 1000);
  CHECK(s->effective_uid == 1001);
  CHECK(s->gid == 2000);
  CHECK(s->effective_gid == 2001);
  CHECK(s->signals_ignored == 0x8000000000000010);
  CHECK(s->signals_caught == 0x400);
  CHECK(s->seccomp == 2);
  CHECK(s->threads == 3);
  CHECK(s->ns_tids == std::vector<pid_t>{101, 8, 2});

  for (const char* bad : {"", "\n", ":", "Tgid:\t1\n", "Pid:\t1\nTgid:\tx\n", "State:\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(proc_fs::parse_status(bad));
  }
}

TEST_CASE("parse_stat: any name") {
  const std::string tail =
      " S 10 20 30 34816 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 0 0 18446744073709551615 "
      "0 0 0 0 0 256 0 0 0 0 0 0 17 5 0 0 0 0 0\n";
  for (std::string name : {"bash", "", "a) R 1 (b", "x y", "new\nline", ")", "(((", ") S 1 1"}) {
    CAPTURE(name);
    auto s = proc_fs::parse_stat("123 (" + name + ")" + tail);
    REQUIRE(s);
    CHECK(s->comm == name);
    CHECK(s->state == 'S');
    CHECK(s->ppid == Pid{10});
    CHECK(s->pgrp == 20);
    CHECK(s->session == 30);
    CHECK(s->tty == 34816);
    CHECK(s->tty_pgrp == -1);
    CHECK(s->flags == 4194304);
    CHECK(s->start_time == 987654);
    CHECK(s->pending == 256);
    CHECK(s->processor == 5);
  }
  for (const char* bad : {"", "1", "1 (x", "1 )x(", "1 (x)", "1 (x) S", "1 (x) S 1 2 3 4 5 6"}) {
    CAPTURE(bad);
    CHECK_FALSE(proc_fs::parse_stat(bad));
  }
}

TEST_CASE("parse_maps") {
  auto maps = proc_fs::parse_maps(
      "00400000-00401000 r--p 00000000 08:01 1234                               /bin/a b "
      "(deleted)\n"
      "00401000-00402000 r-xp 00001000 08:01 1234                               /tmp/new\\012line\n"
      "this is no mapping\n"
      "00402000-00402000 r-xp 00001000 08:01 1234 /empty\n"
      "7f0000000000-7f0000001000 rw-s 00000000 00:01 9                          /dev/zero\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]\n"
      "7fffffffe000-7ffffffff000 ---p 00000000 00:00 0 \n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]");
  REQUIRE(maps.size() == 6);
  CHECK(maps[0].start == Address(0x400000));
  CHECK(maps[0].end == Address(0x401000));
  CHECK((maps[0].read && !maps[0].write && !maps[0].execute && !maps[0].shared));
  CHECK(maps[0].path == "/bin/a b (deleted)");
  CHECK(maps[0].device_major == 8);
  CHECK(maps[0].device_minor == 1);
  CHECK(maps[0].inode == 1234);
  CHECK(maps[1].execute);
  CHECK(maps[1].offset == 0x1000);
  CHECK(maps[1].path == "/tmp/new\nline");
  CHECK((maps[2].shared && maps[2].write));
  CHECK(maps[3].path == "[stack]");
  CHECK(maps[4].path.empty());
  CHECK_FALSE(maps[4].read);
  CHECK(maps[5].start == Address(0xffffffffff600000));
}

TEST_CASE("a live process") {
  auto status = proc_fs::status(stub::leader_of(self));
  REQUIRE(status);
  CHECK(status->tgid == self);
  CHECK(status->ppid == Pid{::getppid()});
  CHECK(status->effective_uid == ::geteuid());
  CHECK(status->ns_tids.back() == ::getpid());

  auto stat = proc_fs::stat(stub::leader_of(self));
  REQUIRE(stat);
  CHECK(stat->pgrp == ::getpgrp());
  CHECK(stat->session == ::getsid(0));
  CHECK(stat->start_time > 0);

  auto core = proc_fs::core(stub::leader_of(self));
  REQUIRE(core);
  CHECK(*core >= 0);
  CHECK(*core < ::sysconf(_SC_NPROCESSORS_CONF));

  auto maps = proc_fs::maps(self);
  REQUIRE(maps);
  CHECK(std::ranges::is_sorted(*maps, {}, &stub::Mapping::start));
  auto here = reinterpret_cast<std::uint64_t>(&dead_pid);
  const stub::Mapping* text = stub::find_mapping(*maps, Address(here));
  REQUIRE(text);
  CHECK(text->execute);
  CHECK(text->path == std::filesystem::read_symlink("/proc/self/exe"));

  CHECK(proc_fs::executable(self) == std::filesystem::read_symlink("/proc/self/exe").string());
  CHECK(proc_fs::word_size(self) == 8);
  auto auxv = proc_fs::auxv(self);
  REQUIRE(auxv);
  CHECK(auxv->size() % 16 == 0);
  CHECK(auxv->size() >= 16);
  CHECK(proc_fs::auxv_value(*auxv, 8, AT_PAGESZ) == ::getauxval(AT_PAGESZ));
  CHECK(proc_fs::auxv_value(*auxv, 8, 12345) == std::nullopt);
  auto args = proc_fs::cmdline(self);
  REQUIRE(args);
  CHECK_FALSE(args->empty());
  CHECK(std::ranges::count(proc_fs::processes(), self) == 1);
}

TEST_CASE("numbers of a directory, one by one") {
  std::vector<pid_t> listed;
  for (auto entries = proc_fs::thread_entries(self); const auto id = entries.next();)
    listed.push_back(*id);
  CHECK(std::ranges::count(listed, ::gettid()) == 1);
  listed.clear();
  for (auto entries = proc_fs::process_entries(); const auto id = entries.next();)
    listed.push_back(*id);
  CHECK(std::ranges::is_sorted(listed));
  proc_fs::NumericEntries none("/proc/self/no_such_directory");
  CHECK_FALSE(none.is_open());
  CHECK_FALSE(none.next());
}

TEST_CASE("a file line by line, in pieces") {
  char name[] = "/tmp/proc_fs_XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  std::vector<std::string> lines{"", "short", std::string(10'000, 'x'), "", "y"};
  for (int i = 0; i < 2000; ++i) lines.push_back(std::to_string(i));
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  text += "without an end";
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const auto all = [&](proc_fs::LineReader reader) {
    std::vector<std::string> read;
    while (reader.read_on())
      while (const auto line = reader.next()) read.emplace_back(*line);
    return read;
  };
  CHECK(all(proc_fs::LineReader(name)) == lines);
  lines.resize(2);
  CHECK(all(proc_fs::LineReader(name, 100)) == lines);
  ::close(fd);
  ::unlink(name);
  CHECK(all(proc_fs::LineReader(name)).empty());
}

TEST_CASE("the executable has its name, has lost it to another file, or is called deleted") {
  char directory[] = "/tmp/sidestep-exe-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string name = std::string(directory) + "/program";
  const std::string odd = name + " (deleted)";
  std::filesystem::copy_file("/bin/sleep", name);
  int gate[2];
  REQUIRE(::pipe2(gate, O_CLOEXEC) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(name.c_str(), "program", "1000", nullptr);
    ::_exit(1);
  }
  ::close(gate[1]);
  char byte;
  CHECK(::read(gate[0], &byte, 1) == 0);  // the exec has closed the other end
  ::close(gate[0]);

  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  CHECK(proc_fs::executable(Pid{pid}).value() == name);
  CHECK(proc_fs::executable_to_open(Pid{pid}).value() == name);
  std::filesystem::rename(name, odd);
  CHECK(proc_fs::executable(Pid{pid}).value() == odd);
  CHECK(proc_fs::executable_to_open(Pid{pid}).value() == odd);
  std::filesystem::remove(odd);
  CHECK(proc_fs::executable(Pid{pid}).value() == odd);
  CHECK(proc_fs::executable_to_open(Pid{pid}).value() == link);
  std::filesystem::copy_file("/bin/true", odd);
  CHECK(proc_fs::executable(Pid{pid}).value() == odd);
  CHECK(proc_fs::executable_to_open(Pid{pid}).value() == link);

  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  std::filesystem::remove_all(directory);
}

TEST_CASE("threads and their names") {
  Tid tid{};
  char name[16] = ") R 1\n(x y";
  std::string seen;
  std::vector<Tid> list;
  std::thread([&] {
    tid = Tid{::gettid()};
    ::prctl(PR_SET_NAME, name);
    seen = proc_fs::comm(tid).value_or("?");
    list = proc_fs::threads(self).value_or(std::vector<Tid>());
    auto stat = proc_fs::stat(tid);
    CHECK((stat && stat->comm == name));
    auto status = proc_fs::status(tid);
    CHECK((status && status->tid == tid && status->tgid == self));
    CHECK(proc_fs::core(tid));
  }).join();
  CHECK(seen == name);
  CHECK(std::ranges::count(list, tid) == 1);
  CHECK(list.front() == stub::leader_of(self));
}

TEST_CASE("vanished processes") {
  const pid_t gone = dead_pid();
  const auto code = [](const auto& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
  };
  CHECK(code(proc_fs::status(Tid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::stat(Tid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::core(Tid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::maps(Pid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::threads(Pid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::comm(Tid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::auxv(Pid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::cmdline(Pid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::executable(Pid{gone})) == stub::Errc::thread_gone);
  CHECK(code(proc_fs::word_size(Pid{gone})) == stub::Errc::thread_gone);
}

TEST_CASE("a zombie has a status and a name, and no address space") {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  siginfo_t info;
  ::waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
  auto status = proc_fs::status(Tid{pid});
  REQUIRE(status);
  CHECK(status->state == 'Z');
  CHECK(proc_fs::maps(Pid{pid}).error().code == stub::Errc::thread_gone);
  CHECK(proc_fs::memory_thread(Pid{pid}) == Tid{pid});
  CHECK(proc_fs::cmdline(Pid{pid}).value().empty());
  CHECK_FALSE(proc_fs::executable(Pid{pid}));
  ::waitpid(pid, nullptr, 0);
}

TEST_CASE("what a zombie leader has lost is asked of a thread that lives") {
  const stub::ZombieLeader program;
  const Pid pid = program.pid();
  CHECK(proc_fs::memory_thread(pid) != stub::leader_of(pid));
  CHECK(proc_fs::has_memory(pid, proc_fs::memory_thread(pid)));
  CHECK_FALSE(proc_fs::has_memory(pid, stub::leader_of(pid)));
  CHECK_FALSE(proc_fs::has_memory(self, proc_fs::memory_thread(pid)));
  const auto maps = proc_fs::maps(pid);
  REQUIRE(maps);
  CHECK(std::ranges::any_of(*maps, [](const stub::Mapping& m) { return m.path == "[vdso]"; }));
  CHECK(proc_fs::auxv(pid).value() == proc_fs::auxv(self).value());
  CHECK(proc_fs::executable(pid).value() == proc_fs::executable(self).value());
  CHECK(proc_fs::word_size(pid).value() == sizeof(void*));
  CHECK(proc_fs::cmdline(pid).value() == proc_fs::cmdline(self).value());
  CHECK(proc_fs::descriptor_entries(pid).next().has_value());
}

TEST_CASE("maps of many lines are read whole") {
  constexpr int count = 5000;  // alternating protections cannot be merged
  const std::size_t size = std::size_t{count} * stub::page_size;
  void* block =
      ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(block != MAP_FAILED);
  for (int i = 0; i < count; i += 2) {
    ::mprotect(static_cast<char*>(block) + i * stub::page_size, stub::page_size, PROT_NONE);
  }
  const Address start(reinterpret_cast<std::uint64_t>(block));
  auto maps = proc_fs::maps(self);
  ::munmap(block, size);
  REQUIRE(maps);
  // The last one may have been merged with a mapping above it.
  CHECK(std::ranges::count_if(*maps, [&](const stub::Mapping& m) {
          return m.start >= start && m.start < start + size;
        }) == count);
}

TEST_CASE("read_file stops at its limit") {
  CHECK(proc_fs::read_file("/proc/self/maps", 100).value().size() == 100);
  auto missing = proc_fs::read_file("/proc/self/no such file");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().sys_errno == ENOENT);
}
