#include "tests/differential/inferior.h"

#include <asm/ldt.h>
#include <elf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace differential {
namespace {

constexpr std::size_t max_xstate = 16384;

void require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::_Exit(2);
}

struct Piece {
  std::uint64_t at;
  std::size_t offset, size;
  int protection;
};

void map_layout(int fd) {
  for (const Layout* layout : {&amd64_layout, &i386_layout}) {
    const Piece pieces[] = {
        {layout->sites, site_offset, code_size, PROT_READ | PROT_EXEC},
        {layout->near_slots, near_offset, code_size, PROT_READ | PROT_EXEC},
        {layout->far_slots, far_offset, code_size, PROT_READ | PROT_EXEC},
        {layout->data, data_offset, data_size, PROT_READ | PROT_WRITE},
        {layout->read_only(), read_only_offset, page, PROT_READ},
    };
    for (const auto& piece : pieces) {
      void* at = mmap(reinterpret_cast<void*>(piece.at), piece.size, piece.protection,
                      MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd,
                      static_cast<off_t>(piece.offset));
      require(at == reinterpret_cast<void*>(piece.at), "mmap");
    }
  }
}

// getpid, and the calls the case generator uses; everything else is ENOSYS.
void refuse_system_calls() {
  const auto allow = [](std::uint32_t number) {
    return sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
  };
  const sock_filter accept BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_filter refuse BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      allow(SYS_getpid),
      accept,
      allow(SYS_sched_yield),
      accept,
      refuse,
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      allow(20),
      accept,
      refuse,  // getpid of i386
  };
  const sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

bool make_segment() {
  user_desc segment{};
  segment.base_addr = segment_base;
  segment.limit = 0xfffff;
  segment.seg_32bit = 1;
  segment.limit_in_pages = 1;
  segment.useable = 1;
  return syscall(SYS_modify_ldt, 1, &segment, sizeof segment) == 0;
}

[[noreturn]] void child(int fd) {
  map_layout(fd);
  make_segment();
  require(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0, "PTRACE_TRACEME");
  refuse_system_calls();
  asm volatile("int3");
  std::_Exit(2);
}

// What a process has used of the processor: on a busy machine the clock on the wall says little.
std::chrono::nanoseconds processor_time(pid_t pid) {
  clockid_t clock;
  timespec used{};
  require(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0,
          "clock_gettime");
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

std::uint64_t segment_with_base() {
  static const std::uint64_t selector = make_segment() ? 7 : 0;  // entry 0 of the LDT, user
  return selector;
}

Inferior::Inferior() : xstate_(max_xstate) {
  fd_ = memfd_create("differential", MFD_CLOEXEC);
  require(fd_ >= 0 && ftruncate(fd_, file_size) == 0, "memfd_create");
  void* at = mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  require(at != MAP_FAILED, "mmap");
  file_ = static_cast<std::uint8_t*>(at);
  start();
}

// Both on one processor: cheap switches, and cpuid and rdpid answer the same each time.
void Inferior::start() {
  const int cpu = sched_getcpu();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu < 0 ? 0 : cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
  pid_ = fork();
  require(pid_ >= 0, "fork");
  if (pid_ == 0) child(fd_);
  int status = 0;
  require(waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status), "start of the inferior");
  require(ptrace(PTRACE_SETOPTIONS, pid_, 0, PTRACE_O_EXITKILL) == 0, "PTRACE_SETOPTIONS");
}

Inferior::~Inferior() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  munmap(file_, file_size);
  close(fd_);
}

x86::GeneralRegisters Inferior::registers() {
  x86::GeneralRegisters regs{};
  require(ptrace(PTRACE_GETREGS, pid_, 0, &regs) == 0, "PTRACE_GETREGS");
  return regs;
}

void Inferior::set_registers(const x86::GeneralRegisters& regs) {
  // The kernel refuses to write back what a program can load itself: null selectors with an RPL, a
  // segment base in the kernel's half. They are last in the structure and no plan changes them.
  const bool good = ptrace(PTRACE_SETREGS, pid_, 0, &regs) == 0 || errno == EIO;
  require(good, "PTRACE_SETREGS");
}

std::span<const std::byte> Inferior::xstate() {
  iovec io{xstate_.data(), xstate_.size()};
  require(ptrace(PTRACE_GETREGSET, pid_, NT_X86_XSTATE, &io) == 0, "PTRACE_GETREGSET");
  return {xstate_.data(), io.iov_len};
}

void Inferior::set_xstate(std::span<const std::byte> image) {
  iovec io{const_cast<std::byte*>(image.data()), image.size()};
  require(ptrace(PTRACE_SETREGSET, pid_, NT_X86_XSTATE, &io) == 0, "PTRACE_SETREGSET");
}

siginfo_t Inferior::siginfo() {
  siginfo_t info{};
  require(ptrace(PTRACE_GETSIGINFO, pid_, 0, &info) == 0, "PTRACE_GETSIGINFO");
  return info;
}

bool Inferior::run() {
  require(ptrace(PTRACE_CONT, pid_, 0, 0) == 0, "PTRACE_CONT");
  // An alarm without SA_RESTART ends waitpid.
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  const auto enough = processor_time(pid_) + std::chrono::milliseconds(50);
  do {
    ualarm(100'000, 0);
    int status = 0;
    const bool stopped = waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status);
    ualarm(0, 0);
    if (stopped) return true;
  } while (processor_time(pid_) < enough);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  start();
  return false;
}

bool Inferior::read(x86::Address from, std::span<std::uint8_t> to) {
  const iovec local{to.data(), to.size()};
  const iovec remote{reinterpret_cast<void*>(from.value()), to.size()};
  return process_vm_readv(pid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(to.size());
}

bool Inferior::write(x86::Address to, std::span<const std::uint8_t> from) {
  const iovec local{const_cast<std::uint8_t*>(from.data()), from.size()};
  const iovec remote{reinterpret_cast<void*>(to.value()), from.size()};
  return process_vm_writev(pid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(from.size());
}

}  // namespace differential
