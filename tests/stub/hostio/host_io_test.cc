#include "stub/hostio/host_io.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "tests/catch.h"

namespace {

namespace fs = std::filesystem;
using stub::HostIo;
using stub::HostIoPolicy;
using stub::Pid;

constexpr std::uint32_t read_only = 0, write_only = 1, read_write = 2;
constexpr std::uint32_t create = 0x200, truncating = 0x400, exclusive = 0x800;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "host_io_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string text_of(const stub::Result<std::vector<std::byte>>& data) {
  if (!data) return "error " + std::to_string(data.error().sys_errno);
  return {reinterpret_cast<const char*>(data->data()), data->size()};
}

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

int error_of(const auto& result) { return result ? 0 : result.error().sys_errno; }

// A process whose root directory is `root`. 0 where the machine does not allow that.
class Jailed {
 public:
  explicit Jailed(const std::string& root) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      bool ok = ::chroot(root.c_str()) == 0;
      if (!ok) {
        ok = ::unshare(CLONE_NEWUSER) == 0 && ::chroot(root.c_str()) == 0;
        ::prctl(PR_SET_DUMPABLE, 1);
      }
      if (::write(ready[1], ok ? "y" : "n", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char answer = 'n';
    works_ = ::read(ready[0], &answer, 1) == 1 && answer == 'y';
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Jailed() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool works() const { return works_; }
  Pid pid() const { return Pid{pid_}; }

 private:
  pid_t pid_ = 0;
  bool works_ = false;
};

}  // namespace

TEST_CASE("open, pread, pwrite, close") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::full);
  write_file(dir / "f", "hello world");

  auto fd = io.open(dir / "f", read_only, 0);
  REQUIRE(fd);
  CHECK(text_of(io.pread(*fd, 100, 0)) == "hello world");
  CHECK(text_of(io.pread(*fd, 5, 6)) == "world");
  CHECK(text_of(io.pread(*fd, 5, 100)).empty());
  CHECK(text_of(io.pread(*fd, 0, 0)).empty());
  CHECK(io.pread(*fd, UINT64_MAX, 0).value().size() == 11);
  CHECK(error_of(io.pread(*fd, 5, UINT64_MAX)) == EINVAL);
  CHECK(error_of(io.pwrite(*fd, 0, bytes("x"))) == EBADF);
  CHECK(io.fstat(*fd).value().st_size == 11);
  CHECK(io.close(*fd));
  CHECK(error_of(io.close(*fd)) == EINVAL);
  CHECK(error_of(io.pread(*fd, 5, 0)) == EINVAL);
  CHECK(error_of(io.fstat(*fd)) == EINVAL);

  auto out = io.open(dir / "new", write_only | create | exclusive, 0600);
  REQUIRE(out);
  CHECK(io.pwrite(*out, 3, bytes("abc")) == 3);
  CHECK(text_of(dir / "new") == std::string("\0\0\0abc", 6));
  CHECK((io.stat(dir / "new").value().st_mode & 0777) == 0600);
  CHECK(error_of(io.open(dir / "new", write_only | create | exclusive, 0600)) == EEXIST);
  CHECK(io.open(dir / "new", write_only | truncating, 0));
  CHECK(text_of(dir / "new").empty());
}

TEST_CASE("whatever is opened, some descriptors are left") {
  HostIo io(HostIoPolicy::full);
  TemporaryDirectory dir;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  for (const rlim_t limit : {rlim_t{200}, rlim_t{60}}) {
    const rlimit lower{limit, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &lower) == 0);
    std::vector<std::int64_t> opened;
    stub::Result<std::int64_t> last = 0;
    while ((last = io.open("/dev/null", read_only, 0))) opened.push_back(*last);
    const auto created = io.open(dir / "new", write_only | create, 0600);
    std::vector<int> left;
    for (int fd; (fd = ::dup(0)) >= 0;) left.push_back(fd);
    for (const int fd : left) ::close(fd);
    for (const std::int64_t fd : opened) CHECK(io.close(fd));
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(error_of(last) == EMFILE);
    CHECK(error_of(created) == EMFILE);
    CHECK_FALSE(fs::exists(dir / "new"));
    CHECK(left.size() == std::min<rlim_t>(HostIo::kept_descriptors, limit / 2));
    CHECK(opened.size() > 10);
  }
}

TEST_CASE("no more of a file is digested than was said") {
  TemporaryDirectory dir;
  write_file(dir / "f", std::string(100'000, 'x'));
  const HostIo enough(HostIoPolicy::read, 100'000), less(HostIoPolicy::read, 99'999);
  CHECK(finish(enough.md5(dir / "f")).has_value());
  CHECK(error_of(finish(less.md5(dir / "f"))) == EFBIG);
}

TEST_CASE("a read at a new place is small, those that go on from there are not") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::full);
  constexpr std::size_t size = 1u << 20, first = HostIo::first_window;
  write_file(dir / "f", std::string(size, 'x'));
  const auto fd = io.open(dir / "f", read_only, 0);
  REQUIRE(fd);
  CHECK(io.pread(*fd, size, 0).value().size() == first);
  CHECK(io.pread(*fd, size, first).value().size() == 2 * first);
  CHECK(io.pread(*fd, size, 3 * first).value().size() == 4 * first);
  CHECK(io.pread(*fd, size, 100).value().size() == first);
  CHECK(io.pread(*fd, 10, 100 + first).value().size() == 10);
  std::size_t done = 0;
  while (const std::size_t got = io.pread(*fd, UINT64_MAX, done).value().size()) done += got;
  CHECK(done == size);
}

TEST_CASE("errors of open") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::full);
  CHECK(error_of(io.open(dir / "none", read_only, 0)) == ENOENT);
  CHECK(error_of(io.open(dir.path().string(), write_only, 0)) == EISDIR);
  CHECK(error_of(io.open(dir / "x", 3, 0)) == EINVAL);
  CHECK(error_of(io.open(dir / "x", create | 4, 0)) == EINVAL);
  CHECK(error_of(io.open(dir / "x", write_only | create, 07777)) == EINVAL);
  CHECK(error_of(io.open("", read_only, 0)) == ENOENT);
  CHECK(error_of(io.open(std::string("/etc\0/passwd", 12), read_only, 0)) == EINVAL);
  CHECK(error_of(io.open("/" + std::string(5000, 'x'), read_only, 0)) == ENAMETOOLONG);
  CHECK_FALSE(fs::exists(dir / "x"));
}

TEST_CASE("a descriptor that was not opened here is none") {
  HostIo io(HostIoPolicy::full);
  for (std::int64_t fd : {0L, 1L, 2L, 3L, -1L, 99L, INT64_MAX, 1L << 32}) {
    CHECK(error_of(io.pread(fd, 1, 0)) == EINVAL);
    CHECK(error_of(io.pwrite(fd, 0, bytes("x"))) == EINVAL);
    CHECK(error_of(io.close(fd)) == EINVAL);
  }
}

TEST_CASE("a FIFO does not hold up the stub") {
  TemporaryDirectory dir;
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  HostIo io(HostIoPolicy::full);
  CHECK(io.open(dir / "fifo", read_only, 0));
  CHECK_FALSE(io.open(dir / "fifo2", read_write, 0));
}

TEST_CASE("open files are bounded, and closed with the client") {
  TemporaryDirectory dir;
  write_file(dir / "f", "x");
  int last = -1;
  {
    HostIo io(HostIoPolicy::read);
    for (std::size_t i = 0; i < HostIo::max_open_files; ++i) {
      last = io.open(dir / "f", read_only, 0).value();
    }
    CHECK(error_of(io.open(dir / "f", read_only, 0)) == EMFILE);
    CHECK(io.close(last));
    last = io.open(dir / "f", read_only, 0).value();
    CHECK(::fcntl(last, F_GETFD) == FD_CLOEXEC);
  }
  CHECK(::fcntl(last, F_GETFD) == -1);
}

TEST_CASE("names: stat, lstat, readlink, symlink, unlink, exists") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::full);
  write_file(dir / "f", "abc");
  CHECK(io.symlink("f", dir / "link"));
  CHECK(error_of(io.symlink("f", dir / "link")) == EEXIST);
  CHECK(error_of(io.symlink("f", dir / "none/link")) == ENOENT);
  CHECK(io.readlink(dir / "link") == "f");
  CHECK(error_of(io.readlink(dir / "f")) == EINVAL);
  CHECK(error_of(io.readlink(dir / "none")) == ENOENT);
  CHECK(S_ISREG(io.stat(dir / "link").value().st_mode));
  CHECK(S_ISLNK(io.lstat(dir / "link").value().st_mode));
  CHECK(io.exists(dir / "link"));
  CHECK(io.unlink(dir / "f"));
  CHECK_FALSE(io.exists(dir / "f"));
  CHECK_FALSE(io.exists(dir / "link"));
  CHECK(io.lstat(dir / "link"));
  CHECK(io.unlink(dir / "link"));
  CHECK(error_of(io.unlink(dir / "link")) == ENOENT);
  CHECK(error_of(io.unlink(dir.path().string())) == EISDIR);
  CHECK(error_of(io.stat(dir / "f")) == ENOENT);
}

TEST_CASE("md5 as LLDB prints it") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::read);
  write_file(dir / "f", "hello world");
  CHECK(finish(io.md5(dir / "f")) == HostIo::Digest{0xd0ee1ee0bb3bb65e, 0xc3cd5a8fbb22cb93});
  CHECK(error_of(finish(io.md5(dir / "none"))) == ENOENT);
}

TEST_CASE("only regular files have a digest: others need not end, and opening one may wait") {
  TemporaryDirectory dir;
  const HostIo io(HostIoPolicy::read);
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  fs::create_symlink("/dev/zero", dir / "link");
  for (const std::string& path :
       {std::string("/dev/zero"), dir / "link", dir / "fifo", dir.path().string()}) {
    CAPTURE(path);
    CHECK(error_of(finish(io.md5(path))) == EINVAL);
  }
}

TEST_CASE("a large file is digested in pieces, as it was when the first was read") {
  TemporaryDirectory dir;
  HostIo io(HostIoPolicy::read);
  write_file(dir / "f", std::string(1u << 20, 'x'));
  auto work = io.md5(dir / "f");
  int steps = 0;
  std::optional<stub::Result<HostIo::Digest>> digest;
  for (; !digest; ++steps) {
    digest = work.step();
    if (steps == 0) fs::remove(dir / "f");
  }
  CHECK(steps > 8);
  CHECK(digest->value() == HostIo::Digest{0x5949d00272f861b5, 0x105bcf05ee8875e3});
}

TEST_CASE("policies") {
  TemporaryDirectory dir;
  write_file(dir / "f", "abc");
  SECTION("read: nothing can be changed") {
    HostIo io(HostIoPolicy::read);
    CHECK(io.open(dir / "f", read_only, 0));
    CHECK(io.stat(dir / "f"));
    CHECK(error_of(io.open(dir / "f", write_only, 0)) == EPERM);
    CHECK(error_of(io.open(dir / "f", read_write, 0)) == EPERM);
    CHECK(error_of(io.open(dir / "f", read_only | truncating, 0)) == EPERM);
    CHECK(error_of(io.open(dir / "g", read_only | create, 0600)) == EPERM);
    CHECK(error_of(io.unlink(dir / "f")) == EPERM);
    CHECK(error_of(io.symlink("f", dir / "g")) == EPERM);
    CHECK(text_of(dir / "f") == "abc");
    CHECK_FALSE(fs::exists(dir / "g"));
  }
  SECTION("off: nothing at all") {
    HostIo io(HostIoPolicy::off);
    CHECK(error_of(io.open(dir / "f", read_only, 0)) == EPERM);
    CHECK(error_of(io.stat(dir / "f")) == EPERM);
    CHECK(error_of(io.lstat(dir / "f")) == EPERM);
    CHECK(error_of(io.readlink(dir / "f")) == EPERM);
    CHECK(error_of(finish(io.md5(dir / "f"))) == EPERM);
    CHECK(error_of(io.set_filesystem(Pid{1})) == EPERM);
    CHECK_FALSE(io.exists(dir / "f"));
  }
}

TEST_CASE("names of another root directory") {
  TemporaryDirectory jail;
  fs::create_directories(jail / "etc");
  write_file(jail / "etc/hello", "inside");
  fs::create_symlink("/etc/hello", jail / "absolute");
  fs::create_symlink("../../../../../../../../etc/hello", jail / "upwards");
  fs::create_symlink("/etc/passwd", jail / "escape");
  write_file(jail.path().parent_path().string() + "/host_io_outside", "outside");
  Jailed process(jail.path().string());
  if (!process.works()) {
    WARN("chroot is not allowed here: not tested");
    return;
  }
  HostIo io(HostIoPolicy::full);
  REQUIRE(io.set_filesystem(process.pid()));
  auto content = [&](const std::string& path) {
    auto fd = io.open(path, read_only, 0);
    return fd ? text_of(io.pread(*fd, 100, 0)) : "error " + std::to_string(fd.error().sys_errno);
  };
  CHECK(content("/etc/hello") == "inside");
  CHECK(content("/absolute") == "inside");
  CHECK(content("/upwards") == "inside");
  CHECK(content("/../host_io_outside") == "error 2");
  CHECK(content("/escape") == "error 2");
  CHECK(io.readlink("/escape") == "/etc/passwd");
  CHECK(io.stat("/absolute").value().st_size == 6);
  CHECK(S_ISLNK(io.lstat("/absolute").value().st_mode));
  auto out = io.open("/etc/new", write_only | create, 0640);
  REQUIRE(out);
  CHECK(fs::exists(jail / "etc/new"));
  CHECK(io.unlink("/etc/new"));
  CHECK_FALSE(fs::exists(jail / "etc/new"));
  CHECK(error_of(io.unlink("/../host_io_outside")) == ENOENT);
  CHECK(io.symlink("x", "/link"));
  CHECK(fs::is_symlink(jail / "link"));

  // Back to our own names.
  REQUIRE(io.set_filesystem(std::nullopt));
  CHECK(content("/absolute") == "error 2");
  CHECK(content(jail / "etc/hello") == "inside");
  fs::remove(jail.path().parent_path() / "host_io_outside");
}

TEST_CASE("names of a process with our root are ours, of a vanished one nobody's") {
  TemporaryDirectory dir;
  write_file(dir / "f", "abc");
  HostIo io(HostIoPolicy::read);
  REQUIRE(io.set_filesystem(Pid{::getppid()}));
  CHECK(io.stat(dir / "f"));
  CHECK(io.readlink("/proc/self/exe"));  // magic links work where names are resolved plainly
  REQUIRE(io.set_filesystem(Pid{0x3fffffff}));
  CHECK(error_of(io.stat(dir / "f")) == ENOENT);
}
