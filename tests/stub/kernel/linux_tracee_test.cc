#include "stub/kernel/linux_tracee.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>

#include "tests/catch.h"
#include "tests/stub/kernel/zombie_leader.h"

namespace stub {
namespace {

constexpr char words[] = "at the same address in a child";

Address address_of(const void* here) { return Address(reinterpret_cast<std::uintptr_t>(here)); }

TEST_CASE("linux_tracee: a process that has ended has no memory, its successor has") {
  LinuxTracee tracee;
  std::array<char, sizeof words> copy{};
  const auto bytes = std::as_writable_bytes(std::span(copy));
  const pid_t first = fork();
  if (first == 0) _exit(0);
  const Pid pid{first};
  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(first), &info, WEXITED | WNOWAIT) == 0);
  CHECK(tracee.read_memory(pid, address_of(words), bytes) == 0);  // a zombie
  CHECK(tracee.write_memory(pid, address_of(words), bytes) == 0);
  waitpid(first, nullptr, 0);
  CHECK(tracee.read_memory(pid, address_of(words), bytes) == 0);  // nothing
  std::ofstream("/proc/sys/kernel/ns_last_pid") << first - 1;
  const pid_t second = fork();
  if (second == 0) pause();
  const bool is_successor = second == first;
  const std::size_t got = tracee.read_memory(pid, address_of(words), bytes);
  kill(second, SIGKILL);
  waitpid(second, nullptr, 0);
  if (is_successor) {
    CHECK(got == sizeof words);
  } else {
    WARN("no process could be given that id again");
  }
}

TEST_CASE("linux_tracee: a page is the process's own once it was written to, till it is replaced") {
  LinuxTracee tracee;
  const Pid self{getpid()};
  constexpr std::array int3{std::byte{0xcc}};
  const int file = memfd_create("text", 0);
  REQUIRE(ftruncate(file, 4096) == 0);
  const auto map = [&](void* at, int flags, int fd) {
    void* mapped = mmap(at, 4096, PROT_READ | PROT_EXEC, flags, fd, 0);
    REQUIRE(mapped != MAP_FAILED);
    return mapped;
  };
  void* text = map(nullptr, MAP_PRIVATE, file);
  const Address at = address_of(text) + 100;
  if (!tracee.is_own_page(self, at)) {
    munmap(text, 4096);
    close(file);
    WARN("the kernel does not tell: no /proc/PID/pagemap");
    return;
  }
  CHECK(tracee.is_own_page(self, at) == false);
  (void)*static_cast<volatile char*>(text);
  CHECK(tracee.is_own_page(self, at) == false);
  REQUIRE(tracee.write_memory(self, at, int3) == 1);
  CHECK(tracee.is_own_page(self, at) == true);
  SECTION("mapped over") { map(text, MAP_PRIVATE | MAP_FIXED, file); }
  SECTION("given back") { REQUIRE(madvise(text, 4096, MADV_DONTNEED) == 0); }
  SECTION("unmapped") { REQUIRE(munmap(text, 4096) == 0); }
  SECTION("shared memory") {
    map(text, MAP_SHARED | MAP_FIXED, file);
    REQUIRE(pwrite(file, "x", 1, 0) == 1);
    (void)*static_cast<volatile char*>(text);
  }
  SECTION("a protected one is the same") {
    REQUIRE(mprotect(text, 4096, PROT_NONE) == 0);
    CHECK(tracee.is_own_page(self, at) == true);
    REQUIRE(mprotect(text, 4096, PROT_READ) == 0);
    REQUIRE(madvise(text, 4096, MADV_DONTNEED) == 0);
  }
  CHECK(tracee.is_own_page(self, at) == false);
  munmap(text, 4096);
  close(file);
}

// Each on its own, so that each is the first to ask for the process's memory.
TEST_CASE("linux_tracee: the memory of a process whose leader has ended") {
  static char written[sizeof words];
  const ZombieLeader program;
  const Pid pid = program.pid();
  LinuxTracee tracee;
  std::array<char, sizeof words> copy{};
  const auto bytes = std::as_writable_bytes(std::span(copy));
  const auto is_copied = [&] { return std::memcmp(copy.data(), words, sizeof words) == 0; };
  const auto source = std::as_bytes(std::span(words));
  SECTION("little is read") {
    CHECK(tracee.read_memory(pid, address_of(words), bytes) == sizeof words);
    CHECK(is_copied());
  }
  SECTION("much is read") {
    std::vector<char> much(100'000, 'x');
    const ZombieLeader later;
    std::vector<std::byte> image(much.size());
    CHECK(tracee.read_memory(later.pid(), address_of(much.data()), image) == image.size());
    CHECK(image.back() == std::byte{'x'});
  }
  SECTION("written") {
    CHECK(tracee.write_memory(pid, address_of(written), source) == sizeof words);
    CHECK(tracee.read_memory(pid, address_of(written), bytes) == sizeof words);
    CHECK(is_copied());
  }
  SECTION("read as the program could, twice") {
    for (int i = 0; i < 2; ++i) {
      copy = {};
      CHECK(tracee.read_as_program(pid, address_of(words), bytes));
      CHECK(is_copied());
    }
  }
  SECTION("written as the program could") {
    CHECK(tracee.write_as_program(pid, address_of(written), source));
    CHECK_FALSE(tracee.write_as_program(pid, address_of(words), source));
  }
  SECTION("pieces") {
    std::array<std::uint8_t, 2> first{}, second{};
    const std::array pieces{Tracee::Piece{address_of(words), first},
                            Tracee::Piece{address_of(words) + 2, second}};
    CHECK(tracee.read_pieces(pid, pieces));
    CHECK(first[0] == words[0]);
    CHECK(second[1] == words[3]);
  }
  SECTION("its text") {
    CHECK(tracee.is_fixed_text(pid, address_of(reinterpret_cast<const void*>(&address_of)), 1));
  }
  SECTION("shared with none but itself") {
    CHECK(tracee.shares_memory(pid, pid) == true);
    CHECK(tracee.shares_memory(pid, Pid{::getpid()}) == false);
    const ZombieLeader another;
    CHECK(tracee.shares_memory(pid, another.pid()) == false);
  }
}

TEST_CASE("linux_tracee: a handle opened while the leader lived outlasts it") {
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread([] {
      for (;;) ::pause();
    }).detach();
    char go;
    (void)!::read(pipe_ends[0], &go, 1);
    for (;;) ::syscall(SYS_exit, 0);
  }
  LinuxTracee tracee;
  std::array<std::byte, sizeof words> copy{};
  CHECK(tracee.read_memory(Pid{child}, address_of(words), copy) == copy.size());
  (void)!::write(pipe_ends[1], "", 1);
  while (proc_fs::stat(Tid{child}).value().state != 'Z') ::usleep(100);
  CHECK(tracee.read_memory(Pid{child}, address_of(words), copy) == copy.size());
  CHECK(tracee.read_as_program(Pid{child}, address_of(words), copy));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(tracee.read_memory(Pid{child}, address_of(words), copy) == 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

}  // namespace
}  // namespace stub
