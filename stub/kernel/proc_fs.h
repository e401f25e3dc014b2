// What the kernel tells about a process in /proc, read and taken apart.
//
// Each kind of file has a pure parser (text to values) and a reader by id. A process or thread that
// has vanished is Errc::thread_gone in all readers, whether the kernel says ENOENT or ESRCH.
#pragma once

#include <dirent.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stub/base/memory_map.h"
#include "stub/base/types.h"
#include "stub/base/unique_fd.h"

namespace stub::proc_fs {

// /proc/PID/status, as far as the daemon needs it. proc_pid_status(5).
struct Status {
  char state = '?';  // R S D T t Z X I
  Pid tgid{};
  Tid tid{};
  Pid ppid{};
  Tid tracer{};  // 0: not traced (or traced from outside our pid namespace)
  std::uint32_t uid = 0;
  std::uint32_t effective_uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t effective_gid = 0;
  std::uint64_t signals_ignored = 0;  // bit n - 1: signal n
  std::uint64_t signals_caught = 0;
  int seccomp = 0;  // 0 none, 1 strict, 2 filter
  int threads = 0;
  std::vector<pid_t> ns_tids;  // this id in each pid namespace, ours first (NSpid)
};

// /proc/PID/stat. proc_pid_stat(5); the field numbers are that page's.
struct Stat {
  std::string comm;         // 2: up to 15 bytes of anything, not escaped
  char state = '?';         // 3
  Pid ppid{};               // 4
  pid_t pgrp = 0;           // 5
  pid_t session = 0;        // 6
  int tty = 0;              // 7: device number, 0 for none
  pid_t tty_pgrp = -1;      // 8: foreground group of that terminal
  std::uint32_t flags = 0;  // 9: PF_... of the kernel's include/linux/sched.h
  std::uint64_t start_time =
      0;                      // 22: clock ticks since boot; tells a reused id from its predecessor
  std::uint32_t pending = 0;  // 31: bit n - 1: signal n waits for this very thread; up to 31
  int processor = 0;          // 39: on which it last ran

  // Whether it has been killed, or its process is ending: SIGKILL is made pending for each thread,
  // and taken off just before that begins to exit (kernel/signal.c, complete_signal,
  // zap_other_threads and get_signal).
  bool is_dying() const;
};

std::optional<Status> parse_status(std::string_view text);
std::optional<Stat> parse_stat(std::string_view text);
std::optional<Mapping> parse_mapping(std::string_view line);
// Lines that have not the form of a mapping are left out.
std::vector<Mapping> parse_maps(std::string_view text);

// Status and stat of one thread. `stat` reads the thread's own file: the one of a process sums over
// all threads in the kernel, which costs as much as there are threads.
Result<Status> status(Tid tid);
Result<Stat> stat(Tid tid);
// The same by way of its process: a quarter less work for the kernel when many are asked for. A
// clone without CLONE_THREAD is not to be found there.
Result<Stat> stat(Pid pid, Tid tid);
// The processor a thread last ran on. Three system calls.
Result<int> core(Tid tid);

// Never an empty list, by which all addresses would seem to be free: a process that has no memory,
// or none any more, is thread_gone.
Result<std::vector<Mapping>> maps(Pid pid);
// The live threads of a process, leader first where it is listed. A snapshot: threads may be
// created and exit while it is taken, so a caller that needs all of them asks again until nothing
// is new.
Result<std::vector<Tid>> threads(Pid pid);
// Whether the thread is one of the process and has not ended: a zombie has no memory, so no
// executable either (fs/proc/base.c, proc_exe_link). One system call.
bool has_memory(Pid pid, Tid tid);
// The thread by whose id the process's memory is to be had, of the kernel and in /proc: the leader,
// or another where the leader has ended before it. The leader again when none lives.
Tid memory_thread(Pid pid);
// The name of a file of that thread: maps, auxv, mem, exe, root and whatever else a leader loses
// when it ends.
std::string memory_file(Pid pid, const char* name);
// All processes that /proc shows, ascending.
std::vector<Pid> processes();

// The numbers that a directory of /proc lists, one after the other: there may be a million. The
// kernel is asked for about a thousand at a time, and lists what is there at that moment.
class NumericEntries {
 public:
  // None of a directory that cannot be opened; errno says why.
  explicit NumericEntries(const std::string& path);
  bool is_open() const { return dir_ != nullptr; }
  std::optional<pid_t> next();

 private:
  std::unique_ptr<DIR, int (*)(DIR*)> dir_;
};
NumericEntries process_entries();            // ascending (fs/proc/base.c, proc_pid_readdir)
NumericEntries thread_entries(Pid pid);      // leader first where it is listed
NumericEntries descriptor_entries(Pid pid);  // of its open files

// A text file of /proc, line by line and in pieces: how much there will be, and how long the kernel
// takes for it, is not known beforehand.
class LineReader {
 public:
  // No line of a file that cannot be opened. No more than `limit` bytes are read.
  explicit LineReader(const std::string& path, std::size_t limit = 64u << 20);
  // Reads the next piece, of 4 KiB at most: what the kernel makes of most such files at once. False
  // at the end and at an error.
  bool read_on();
  // The next complete line of what has been read, without its newline. Valid until read_on().
  std::optional<std::string_view> next();

 private:
  UniqueFd fd_;
  std::size_t left_;
  std::string text_;
  std::size_t used_ = 0;  // of the text
};

// The thread's name without the final newline: up to 15 bytes of anything.
Result<std::string> comm(Tid tid);
// The saved auxiliary vector as the kernel made it at exec: pairs of words of the program's size.
Result<std::vector<std::byte>> auxv(Pid pid);
// The value of the first entry of that type (AT_* of <elf.h>, getauxval(3)); entries are of two
// words.
std::optional<std::uint64_t> auxv_value(std::span<const std::byte> auxv, std::size_t word_size,
                                        std::uint64_t type);
// The arguments; one element per argument, the final NULs removed. Empty for kernel threads. Any
// process can make it as long as it likes, of anything (prctl(2), PR_SET_MM): the rest is left off.
inline constexpr std::size_t longest_cmdline = 32 * 1024;
Result<std::vector<std::string>> cmdline(Pid pid);

// Whether both names, links followed, lead to one and the same file.
bool is_same_file(const std::string& a, const std::string& b);

// The executable's name as the process itself would write it: seen from its own root directory. No
// file of that name needs to exist any more, or another has it by now.
Result<std::string> executable(Pid pid);
// A name for a client to open the executable by (vFile:setfs, vFile:open): the above, or
// /proc/PID/exe when that name leads to another file or to none, as gdbserver answers.
Result<std::string> executable_to_open(Pid pid);
// Size of a pointer in bytes, 4 or 8, by the ELF class of the running executable. exec may change
// it.
Result<std::size_t> word_size(Pid pid);

// vm.mmap_min_addr, 64 KiB when it cannot be read.
Address mmap_min_address();

// A whole file of /proc (whose size is not known beforehand), at most `limit` bytes. ENOENT and
// ESRCH are Errc::thread_gone.
Result<std::string> read_file(const std::string& path, std::size_t limit = 64u << 20);
Result<std::string> read_link(const std::string& path);

}  // namespace stub::proc_fs
