// Files by name, in the file system the inferior sees.
//
// GDB loads the program and its libraries from the target by name, and the names are the
// inferior's: in a container they mean other files than for the stub. There are two ways to follow
// them.
//   - setns(2) in a forked helper that opens files and passes descriptors back. Needs CAP_SYS_ADMIN
//     and CAP_SYS_CHROOT, a process per namespace, a protocol to talk to it; and the helper lives
//     inside a container that may be hostile, with the privileges of the stub.
//   - /proc/PID/root, the root directory that the process has in its mount namespace. It needs no
//     more than the right to trace the process, which a debugger has.
// The second one is used. Its danger is that a name leads out of that directory again: an absolute
// symbolic link inside the container, resolved by us, ends in *our* file system. openat2(2) with
// RESOLVE_IN_ROOT (Linux 5.6) prevents it: the kernel resolves every component, absolute links and
// "..", as chroot(2) would, atomically, and magic links of /proc not at all. Where openat2 is
// missing, foreign names fail; a guess would open the wrong file.
//
// All operations on names therefore begin with one step, `resolve`; operations that the kernel
// offers by name only (unlink, symlink) act on the resolved directory. As long as the process has
// the same root as the stub, names are opened the plain way.
//
// Opening never waits: O_NONBLOCK is added, as a FIFO without a writer would otherwise hold up the
// whole stub. Regular files do not know the flag.
#include "stub/hostio/host_io.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "stub/hostio/file_io.h"
#include "stub/hostio/md5.h"
#include "stub/kernel/living_path.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

tl::unexpected<Error> failure(const std::string& what, int error = errno) {
  return fail(Errc::system, fmt::format("{}: {}", what, std::strerror(error)), error);
}

template <class Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

int open_in_root(int root, const char* path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint32_t>(flags);
  how.mode = flags & O_CREAT ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT;
  long fd;
  int attempts = 8;  // EAGAIN: a rename elsewhere made the check of ".." inconclusive, openat2(2)
  do {
    fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --attempts > 0)));
  return static_cast<int>(fd);
}

bool shares_our_root(Pid pid) {
  const std::string theirs = proc_fs::memory_file(pid, "");
  return proc_fs::is_same_file(theirs + "ns/mnt", "/proc/self/ns/mnt") &&
         proc_fs::is_same_file(theirs + "root", "/proc/self/root");
}

// The kernel hands out the lowest number that is free.
bool descriptors_are_short() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto kept = std::min<std::uint64_t>(HostIo::kept_descriptors, limit.rlim_cur / 2);
  const UniqueFd next(::open("/", O_PATH | O_CLOEXEC));
  return !next.valid() || static_cast<std::uint64_t>(next.get()) >= limit.rlim_cur - kept;
}

struct SplitPath {
  std::string directory;
  std::string name;
};

SplitPath split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash + 1), path.substr(slash + 1)};
}

}  // namespace

// ---- rights and names --------------------------------------------------------------------------

Result<void> HostIo::may_read() const {
  if (policy_ != HostIoPolicy::off) return {};
  return fail(Errc::refused, "access to files is switched off", EPERM);
}

Result<void> HostIo::may_change() const {
  if (policy_ == HostIoPolicy::full) return {};
  return fail(Errc::refused, "changing files is switched off", EPERM);
}

Result<int> HostIo::descriptor(std::int64_t number) const {
  const auto found =
      number >= 0 && number <= INT_MAX ? files_.find(static_cast<int>(number)) : files_.end();
  if (found != files_.end()) return found->first;
  return failure("no such file is open", EINVAL);  // not EBADF: what gdbserver answers
}

// The root directory of the chosen process; -1 when names can be used as they are.
Result<UniqueFd> HostIo::root() const {
  if (!filesystem_ || shares_our_root(*filesystem_)) return UniqueFd();
  const std::string path = proc_fs::memory_file(*filesystem_, "root");
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return failure(path);
  return fd;
}

Result<UniqueFd> HostIo::resolve(const std::string& path, int flags, mode_t mode) const {
  if (path.find('\0') != std::string::npos) return failure("a NUL in a file name", EINVAL);
  const auto in = root();
  if (!in) return tl::unexpected(in.error());
  flags |= flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const std::string ours = in->valid() ? path : proc_fs::living_path(path);
  UniqueFd fd(!in->valid() ? retried([&] { return ::open(ours.c_str(), flags, mode); })
                           : open_in_root(in->get(), path.c_str(), flags, mode));
  if (!fd.valid()) return failure(path);
  return fd;
}

Result<struct stat> HostIo::status_of(const std::string& path, int flags) const {
  if (auto allowed = may_read(); !allowed) return tl::unexpected(allowed.error());
  return resolve(path, O_PATH | flags).and_then([&](const UniqueFd& fd) -> Result<struct stat> {
    struct stat status;
    if (::fstat(fd.get(), &status) < 0) return failure(path);
    return status;
  });
}

Result<void> HostIo::set_filesystem(std::optional<Pid> pid) {
  if (auto allowed = may_read(); !allowed) return allowed;
  filesystem_ = pid;
  return {};
}

// ---- open files --------------------------------------------------------------------------------

Result<std::int64_t> HostIo::open(const std::string& path, std::uint32_t flags,
                                  std::uint32_t mode) {
  const auto host_flags = file_io::open_flags(flags);
  const auto host_mode = file_io::permissions(mode);
  if (!host_flags || !host_mode) return failure(path, EINVAL);
  const bool changes = *host_flags & (O_ACCMODE | O_CREAT | O_TRUNC);
  if (auto allowed = changes ? may_change() : may_read(); !allowed) {
    return tl::unexpected(allowed.error());
  }
  if (files_.size() >= max_open_files || descriptors_are_short()) return failure(path, EMFILE);
  return resolve(path, *host_flags, *host_mode).map([&](UniqueFd fd) -> std::int64_t {
    const int number = fd.get();
    files_[number].fd = std::move(fd);
    return number;
  });
}

Result<void> HostIo::close(std::int64_t fd) {
  return descriptor(fd).map([&](int number) { files_.erase(number); });
}

Result<std::vector<std::byte>> HostIo::pread(std::int64_t number, std::uint64_t count,
                                             std::uint64_t offset) {
  const auto fd = descriptor(number);
  if (!fd) return tl::unexpected(fd.error());
  if (offset > INT64_MAX) return failure("pread", EINVAL);
  OpenFile& file = files_.at(*fd);
  file.window = offset == file.next ? std::min(2 * file.window, max_transfer) : first_window;
  std::vector<std::byte> data(std::min<std::uint64_t>(count, file.window));
  const auto n =
      retried([&] { return ::pread(*fd, data.data(), data.size(), static_cast<off_t>(offset)); });
  if (n < 0) return failure("pread");
  file.next = offset + static_cast<std::uint64_t>(n);
  data.resize(n);
  return data;
}

Result<std::size_t> HostIo::pwrite(std::int64_t number, std::uint64_t offset,
                                   std::span<const std::byte> data) {
  const auto fd = descriptor(number);
  if (!fd) return tl::unexpected(fd.error());
  if (auto allowed = may_change(); !allowed) return tl::unexpected(allowed.error());
  if (offset > INT64_MAX) return failure("pwrite", EINVAL);
  const auto n =
      retried([&] { return ::pwrite(*fd, data.data(), data.size(), static_cast<off_t>(offset)); });
  if (n < 0) return failure("pwrite");
  return static_cast<std::size_t>(n);
}

Result<struct stat> HostIo::fstat(std::int64_t number) {
  const auto fd = descriptor(number);
  if (!fd) return tl::unexpected(fd.error());
  struct stat status;
  if (::fstat(*fd, &status) < 0) return failure("fstat");
  return status;
}

// ---- names -------------------------------------------------------------------------------------

Result<struct stat> HostIo::stat(const std::string& path) { return status_of(path, 0); }

Result<struct stat> HostIo::lstat(const std::string& path) { return status_of(path, O_NOFOLLOW); }

bool HostIo::exists(const std::string& path) { return status_of(path, 0).has_value(); }

Result<std::string> HostIo::readlink(const std::string& path) {
  if (auto allowed = may_read(); !allowed) return tl::unexpected(allowed.error());
  return resolve(path, O_PATH | O_NOFOLLOW)
      .and_then([&](const UniqueFd& fd) -> Result<std::string> {
        std::string target(4096, '\0');  // PATH_MAX, the longest target Linux stores
        const ssize_t n = ::readlinkat(fd.get(), "", target.data(), target.size());
        if (n < 0) return failure(path, errno == ENOENT ? EINVAL : errno);  // ENOENT: not a link
        target.resize(n);
        return target;
      });
}

Result<void> HostIo::unlink(const std::string& path) {
  if (auto allowed = may_change(); !allowed) return allowed;
  const SplitPath parts = split(path);
  return resolve(parts.directory, O_PATH | O_DIRECTORY).and_then([&](const UniqueFd& directory) {
    if (::unlinkat(directory.get(), parts.name.c_str(), 0) == 0) return Result<void>();
    return Result<void>(failure(path));
  });
}

Result<void> HostIo::symlink(const std::string& target, const std::string& path) {
  if (auto allowed = may_change(); !allowed) return allowed;
  const SplitPath parts = split(path);
  return resolve(parts.directory, O_PATH | O_DIRECTORY).and_then([&](const UniqueFd& directory) {
    if (::symlinkat(target.c_str(), directory.get(), parts.name.c_str()) == 0) {
      return Result<void>();
    }
    return Result<void>(failure(path));
  });
}

// The name is resolved without opening what it names: to open a device may have consequences.
Result<UniqueFd> HostIo::open_for_digest(const std::string& path) const {
  if (auto allowed = may_read(); !allowed) return tl::unexpected(allowed.error());
  const auto status = status_of(path, 0);
  if (!status) return tl::unexpected(status.error());
  if (!S_ISREG(status->st_mode)) return failure(path, EINVAL);
  return resolve(path, O_RDONLY);
}

// Without waiting: the kernel's own files (/proc/kmsg, trace_pipe) seem to be regular ones.
Work<Result<HostIo::Digest>> HostIo::md5(std::string path) const {
  constexpr std::size_t piece = 1u << 16;  // a tenth of a millisecond's work
  const auto file = open_for_digest(path);
  if (!file) co_return tl::unexpected(file.error());
  const std::uint64_t most = most_digested_;
  Md5 digest;
  std::vector<std::byte> buffer(piece);
  for (std::uint64_t size = 0;;) {
    const auto n = retried([&] { return ::read(file->get(), buffer.data(), buffer.size()); });
    if (n < 0) co_return failure(path);
    if (n == 0) break;
    digest.add(std::span(buffer).first(static_cast<std::size_t>(n)));
    size += static_cast<std::uint64_t>(n);
    if (size > most) co_return failure(path, EFBIG);
    co_await Pause{};
  }
  Digest words;
  const auto bytes = digest.finish();
  std::memcpy(words.data(), bytes.data(), bytes.size());
  co_return words;
}

}  // namespace stub
