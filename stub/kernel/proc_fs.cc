// Reading /proc.
//
// These files are text made by the kernel at the moment of the read, with parts that the inspected
// process chooses itself: its name and its file names may hold spaces, parentheses, newlines and
// anything else. What the kernel guarantees (fs/proc/array.c, fs/proc/task_mmu.c):
//   stat    the name stands between the first '(' and the *last* ')', unescaped; no later field can
//           contain a parenthesis.
//   status  the name is escaped (newline and backslash), so a line is a line and no process can
//           forge another field. Fields are found by name: their order and number grow.
//   maps    newlines in names are written as \012, so a line is a line; the path is what follows
//           the inode and its spaces, to the end of the line.
// A file is read until the end with a buffer that grows; the kernel hands out maps in pieces of a
// page and takes up at the next address, so a list read while the program maps and unmaps is
// sorted and free of overlaps, but not one moment's state.
//
// A leader that has called pthread_exit stays as a zombie until the other threads are gone. The
// kernel has taken its memory, files and root from it (kernel/exit.c, do_exit), so /proc/PID shows
// none of what the process still has; /proc/PID/task/TID of a living thread does.
#include "stub/kernel/proc_fs.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <utility>

namespace stub::proc_fs {
namespace {

// ---- text ------------------------------------------------------------------------------------

// Splits off what precedes the first `separator`; all of it when there is none.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

template <class T>
bool take_number(std::string_view& text, T& value, int base = 10) {
  skip_blanks(text);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(end - text.data());
  return true;
}

bool take_char(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

template <class Id>
bool take_id(std::string_view& text, Id& id) {
  pid_t value = 0;
  if (!take_number(text, value)) return false;
  id = Id{value};
  return true;
}

bool take_status_field(std::string_view name, std::string_view value, Status& s) {
  if (name == "State") {
    skip_blanks(value);
    if (value.empty()) return false;
    s.state = value.front();
    return true;
  }
  if (name == "Tgid") return take_id(value, s.tgid);
  if (name == "Pid") return take_id(value, s.tid);
  if (name == "PPid") return take_id(value, s.ppid);
  if (name == "TracerPid") return take_id(value, s.tracer);
  if (name == "Uid") return take_number(value, s.uid) && take_number(value, s.effective_uid);
  if (name == "Gid") return take_number(value, s.gid) && take_number(value, s.effective_gid);
  if (name == "SigIgn") return take_number(value, s.signals_ignored, 16);
  if (name == "SigCgt") return take_number(value, s.signals_caught, 16);
  if (name == "Seccomp") return take_number(value, s.seccomp);
  if (name == "Threads") return take_number(value, s.threads);
  if (name == "NSpid") {
    for (pid_t id; take_number(value, id);) s.ns_tids.push_back(id);
  }
  return true;
}

std::string unescape_newlines(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t at = path.find("\\012");
    out += path.substr(0, at);
    if (at == std::string_view::npos) break;
    out += '\n';
    path.remove_prefix(at + 4);
  }
  return out;
}

// ---- files -----------------------------------------------------------------------------------

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  ssize_t read(char* to, std::size_t size) const {
    ssize_t n;
    do {
      n = ::read(fd_, to, size);
    } while (n < 0 && errno == EINTR);
    return n;
  }

 private:
  int fd_;
};

tl::unexpected<Error> failure(const std::string& path) {
  const int error = errno;
  const bool gone = error == ENOENT || error == ESRCH;
  return fail(gone ? Errc::thread_gone : Errc::system,
              fmt::format("{}: {}", path, std::strerror(error)), error);
}

std::string thread_file(Tid tid, const char* name) {
  return fmt::format("/proc/{0}/task/{0}/{1}", raw(tid), name);
}

std::string thread_file(Pid pid, Tid tid, const char* name) {
  return fmt::format("/proc/{}/task/{}/{}", raw(pid), raw(tid), name);
}

std::string process_file(Pid pid, const char* name) {
  return fmt::format("/proc/{}/{}", raw(pid), name);
}

template <class T>
Result<T> parsed(std::optional<T> value, const std::string& path) {
  if (!value) return fail(Errc::system, path + ": unexpected form");
  return *std::move(value);
}

}  // namespace

std::optional<Status> parse_status(std::string_view text) {
  Status s;
  while (!text.empty()) {
    std::string_view value = take_until(text, '\n');
    const std::string_view name = take_until(value, ':');
    if (!take_status_field(name, value, s)) return std::nullopt;
  }
  if (raw(s.tid) == 0 || raw(s.tgid) == 0) return std::nullopt;
  return s;
}

bool Stat::is_dying() const {
  constexpr std::uint32_t exiting = 4;  // PF_EXITING
  constexpr std::uint32_t killed = 1u << (SIGKILL - 1);
  return (flags & exiting) != 0 || (pending & killed) != 0;
}

std::optional<Stat> parse_stat(std::string_view text) {
  const std::size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  Stat s;
  s.comm = text.substr(open + 1, close - open - 1);
  text.remove_prefix(close + 1);
  skip_blanks(text);
  if (text.empty()) return std::nullopt;
  s.state = text.front();
  text.remove_prefix(1);
  if (!take_id(text, s.ppid) || !take_number(text, s.pgrp) || !take_number(text, s.session) ||
      !take_number(text, s.tty) || !take_number(text, s.tty_pgrp)) {
    return std::nullopt;
  }
  for (int field = 9; field <= 39; ++field) {
    skip_blanks(text);
    std::string_view word = take_until(text, ' ');
    if (field == 9 && !take_number(word, s.flags)) return std::nullopt;
    if (field == 22 && !take_number(word, s.start_time)) return std::nullopt;
    if (field == 31 && !take_number(word, s.pending)) return std::nullopt;
    if (field == 39 && !take_number(word, s.processor)) return std::nullopt;
  }
  return s;
}

// START-END rwxp OFFSET MAJOR:MINOR INODE   PATH
std::optional<Mapping> parse_mapping(std::string_view line) {
  std::uint64_t start = 0, end = 0;
  if (!take_number(line, start, 16) || !take_char(line, '-') || !take_number(line, end, 16) ||
      !take_char(line, ' ') || line.size() < 4 || start >= end) {
    return std::nullopt;
  }
  Mapping m;
  m.start = Address(start);
  m.end = Address(end);
  m.read = line[0] == 'r';
  m.write = line[1] == 'w';
  m.execute = line[2] == 'x';
  m.shared = line[3] == 's';
  line.remove_prefix(4);
  if (!take_number(line, m.offset, 16) || !take_number(line, m.device_major, 16) ||
      !take_char(line, ':') || !take_number(line, m.device_minor, 16) ||
      !take_number(line, m.inode)) {
    return std::nullopt;
  }
  skip_blanks(line);
  m.path = unescape_newlines(line);
  return m;
}

std::vector<Mapping> parse_maps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    if (auto m = parse_mapping(take_until(text, '\n'))) mappings.push_back(*std::move(m));
  }
  return mappings;
}

Result<Status> status(Tid tid) {
  const std::string path = thread_file(tid, "status");
  return read_file(path).and_then([&](const auto& s) { return parsed(parse_status(s), path); });
}

namespace {

Result<Stat> read_stat(const std::string& path) {
  File file(path);
  char buffer[1024];  // 52 numbers of up to 20 digits are possible; all but a few are far shorter
  const ssize_t n = file.is_open() ? file.read(buffer, sizeof buffer) : -1;
  if (n < 0) return failure(path);
  return parsed(parse_stat({buffer, static_cast<std::size_t>(n)}), path);
}

}  // namespace

Result<Stat> stat(Tid tid) { return read_stat(thread_file(tid, "stat")); }

Result<Stat> stat(Pid pid, Tid tid) { return read_stat(thread_file(pid, tid, "stat")); }

Result<int> core(Tid tid) { return stat(tid).map(&Stat::processor); }

Result<std::vector<Mapping>> maps(Pid pid) {
  return read_file(memory_file(pid, "maps"))
      .and_then([](const std::string& text) -> Result<std::vector<Mapping>> {
        if (text.empty()) return fail(Errc::thread_gone, "The process has no memory", ESRCH);
        return parse_maps(text);
      });
}

Result<std::vector<Tid>> threads(Pid pid) {
  auto entries = thread_entries(pid);
  if (!entries.is_open()) return failure(process_file(pid, "task"));
  std::vector<Tid> tids;
  while (const auto id = entries.next()) tids.push_back(Tid{*id});
  return tids;
}

NumericEntries::NumericEntries(const std::string& path)
    : dir_(::opendir(path.c_str()), ::closedir) {}

std::optional<pid_t> NumericEntries::next() {
  while (const dirent* entry = dir_ ? ::readdir(dir_.get()) : nullptr) {
    std::string_view name = entry->d_name;
    pid_t id = 0;
    if (take_number(name, id) && name.empty()) return id;
  }
  return std::nullopt;
}

NumericEntries process_entries() { return NumericEntries("/proc"); }
NumericEntries thread_entries(Pid pid) { return NumericEntries(process_file(pid, "task")); }
NumericEntries descriptor_entries(Pid pid) { return NumericEntries(memory_file(pid, "fd")); }

LineReader::LineReader(const std::string& path, std::size_t limit)
    : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), left_(limit) {}

bool LineReader::read_on() {
  constexpr std::size_t piece = 4096;
  text_.erase(0, std::exchange(used_, 0));
  const std::size_t before = text_.size();
  text_.resize(before + std::min(left_, piece));
  ssize_t got;
  do got = ::read(fd_.get(), text_.data() + before, text_.size() - before);
  while (got < 0 && errno == EINTR);
  got = std::max<ssize_t>(got, 0);
  text_.resize(before + static_cast<std::size_t>(got));
  left_ -= static_cast<std::size_t>(got);
  return got > 0;
}

std::optional<std::string_view> LineReader::next() {
  const std::string_view rest = std::string_view(text_).substr(used_);
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  used_ += end + 1;
  return rest.substr(0, end);
}

bool has_memory(Pid pid, Tid tid) {
  char target;
  const std::string exe = thread_file(pid, tid, "exe");
  return ::readlink(exe.c_str(), &target, sizeof target) >= 0 ||
         (errno != ENOENT && errno != ESRCH);
}

Tid memory_thread(Pid pid) {
  const Tid leader = leader_of(pid);
  if (has_memory(pid, leader)) return leader;
  for (auto entries = thread_entries(pid); const auto id = entries.next();)
    if (has_memory(pid, Tid{*id})) return Tid{*id};
  return leader;
}

std::string memory_file(Pid pid, const char* name) {
  return thread_file(pid, memory_thread(pid), name);
}

std::vector<Pid> processes() {
  std::vector<Pid> pids;
  for (auto entries = process_entries(); const auto id = entries.next();) pids.push_back(Pid{*id});
  std::ranges::sort(pids);
  return pids;
}

Result<std::string> comm(Tid tid) {
  return read_file(thread_file(tid, "comm")).map([](std::string name) {
    if (name.ends_with('\n')) name.pop_back();
    return name;
  });
}

Result<std::vector<std::byte>> auxv(Pid pid) {
  return read_file(memory_file(pid, "auxv")).map([](const std::string& text) {
    auto bytes = std::as_bytes(std::span(text));
    return std::vector(bytes.begin(), bytes.end());
  });
}

std::optional<std::uint64_t> auxv_value(std::span<const std::byte> auxv, std::size_t word_size,
                                        std::uint64_t type) {
  for (; auxv.size() >= 2 * word_size; auxv = auxv.subspan(2 * word_size)) {
    std::uint64_t key = 0, value = 0;
    std::memcpy(&key, auxv.data(), word_size);
    std::memcpy(&value, auxv.data() + word_size, word_size);
    if (key == type) return value;
  }
  return std::nullopt;
}

Result<std::vector<std::string>> cmdline(Pid pid) {
  return read_file(memory_file(pid, "cmdline"), longest_cmdline).map([](const std::string& text) {
    std::vector<std::string> parts;
    for (std::string_view rest = text; !rest.empty();) parts.emplace_back(take_until(rest, '\0'));
    return parts;
  });
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat x, y;
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

namespace {

struct Executable {
  std::string link;  // a name in /proc that leads to the file wherever it is
  std::string root;  // the same for the root directory
  std::string name;  // below that
};

Result<Executable> find_executable(Pid pid) {
  const Tid tid = memory_thread(pid);
  const bool is_leader = tid == leader_of(pid);
  const std::string link = is_leader ? process_file(pid, "exe") : thread_file(pid, tid, "exe");
  const std::string root = thread_file(pid, tid, "root");
  return read_link(link).map([&](std::string name) {
    const std::string prefix = read_link(root).value_or("/");
    const bool below_root = prefix != "/" && name.starts_with(prefix + "/");
    return Executable{link, root, below_root ? name.substr(prefix.size()) : name};
  });
}

bool has_its_name(const Executable& file) { return is_same_file(file.root + file.name, file.link); }

}  // namespace

// The kernel appends " (deleted)" to the name of an unlinked file (fs/d_path.c); a file may be
// called so, too.
Result<std::string> executable(Pid pid) {
  constexpr std::string_view suffix = " (deleted)";
  return find_executable(pid).map([&](Executable file) {
    if (file.name.ends_with(suffix) && !has_its_name(file))
      file.name.resize(file.name.size() - suffix.size());
    return file.name;
  });
}

Result<std::string> executable_to_open(Pid pid) {
  return find_executable(pid).map(
      [](const Executable& file) { return has_its_name(file) ? file.name : file.link; });
}

Result<std::size_t> word_size(Pid pid) {
  const std::string path = memory_file(pid, "exe");
  File file(path);
  char ident[EI_NIDENT] = {};
  if (!file.is_open() || file.read(ident, sizeof ident) < 0) return failure(path);
  return ident[EI_CLASS] == ELFCLASS32 ? 4 : 8;
}

Address mmap_min_address() {
  std::uint64_t value = 0;
  auto text = read_file("/proc/sys/vm/mmap_min_addr");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  return Address(take_number(rest, value) ? value : 0x10000);
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  File file(path);
  if (!file.is_open()) return failure(path);
  std::string text;
  std::size_t used = 0;
  for (ssize_t n = 1; n > 0 && used < limit; used += n) {
    text.resize(std::min(limit, std::max<std::size_t>(4096, used * 2)));
    n = file.read(text.data() + used, text.size() - used);
    if (n < 0) return failure(path);
  }
  text.resize(used);
  return text;
}

Result<std::string> read_link(const std::string& path) {
  std::string target(4096, '\0');  // d_path() of the kernel writes into one page
  const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
  if (n < 0) return failure(path);
  target.resize(n);
  return target;
}

}  // namespace stub::proc_fs
