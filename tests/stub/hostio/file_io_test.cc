#include "stub/hostio/file_io.h"

#include <fcntl.h>

#include <cerrno>
#include <vector>

#include "tests/catch.h"

namespace file_io = stub::file_io;

TEST_CASE("errno numbers of the protocol") {
  const std::pair<int, int> rows[] = {
      {EPERM, 1},         {ENOENT, 2},   {EINTR, 4},     {EIO, 5},        {EBADF, 9},
      {EACCES, 13},       {EFAULT, 14},  {EBUSY, 16},    {EEXIST, 17},    {ENODEV, 19},
      {ENOTDIR, 20},      {EISDIR, 21},  {EINVAL, 22},   {ENFILE, 23},    {EMFILE, 24},
      {EFBIG, 27},        {ENOSPC, 28},  {ESPIPE, 29},   {EROFS, 30},     {ENOSYS, 88},
      {ENAMETOOLONG, 91}, {ELOOP, 9999}, {EAGAIN, 9999}, {ENOTSUP, 9999},
  };
  for (auto [host, wire] : rows) {
    CAPTURE(host);
    CHECK(file_io::errno_of(host) == wire);
  }
  CHECK(file_io::errno_of(stub::Error{stub::Errc::system, ENAMETOOLONG, ""}) == 91);
  CHECK(file_io::errno_of(stub::Error{stub::Errc::refused, 0, ""}) == 1);
  CHECK(file_io::errno_of(stub::Error{stub::Errc::malformed, 0, ""}) == 22);
}

TEST_CASE("open flags") {
  CHECK(file_io::open_flags(0) == O_RDONLY);
  CHECK(file_io::open_flags(1) == O_WRONLY);
  CHECK(file_io::open_flags(2) == O_RDWR);
  CHECK(file_io::open_flags(3) == std::nullopt);
  CHECK(file_io::open_flags(4) == std::nullopt);
  CHECK(file_io::open_flags(0x601) == (O_WRONLY | O_CREAT | O_TRUNC));
  CHECK(file_io::open_flags(0xa0a) == (O_RDWR | O_CREAT | O_EXCL | O_APPEND));
  CHECK(file_io::open_flags(0x7000'0000) == (O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  CHECK(file_io::open_flags(0x8000'0000) == std::nullopt);
}

TEST_CASE("permissions") {
  CHECK(file_io::permissions(0644) == 0644);
  CHECK(file_io::permissions(0100755) == 0755);
  CHECK(file_io::permissions(0040700) == 0700);
  CHECK(file_io::permissions(04755) == std::nullopt);  // set-user-id is not in the protocol
  CHECK(file_io::permissions(0x10000) == std::nullopt);
}

TEST_CASE("struct stat on the wire") {
  struct stat status {};
  status.st_dev = 0x01020304;
  status.st_ino = 0x1'0506'0708;  // only 32 bits fit
  status.st_mode = S_IFREG | 04755;
  status.st_nlink = 2;
  status.st_uid = 1000;
  status.st_gid = 0xfffffffe;
  status.st_rdev = 0x0a0b0c0d;
  status.st_size = 0x1122334455667788;
  status.st_blksize = 4096;
  status.st_blocks = 8;
  status.st_atime = 0x5f000001;
  status.st_mtime = 0x5f000002;
  status.st_ctime = 0x5f000003;
  const std::vector<int> expected = {
      1,    2,    3,    4,                             // dev
      5,    6,    7,    8,                             // ino
      0,    0,    0x81, 0xed,                          // mode
      0,    0,    0,    2,                             // nlink
      0,    0,    3,    0xe8,                          // uid
      0xff, 0xff, 0xff, 0xfe,                          // gid
      0xa,  0xb,  0xc,  0xd,                           // rdev
      0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,  // size
      0,    0,    0,    0,    0,    0,    0x10, 0,     // blksize
      0,    0,    0,    0,    0,    0,    0,    8,     // blocks
      0x5f, 0,    0,    1,                             // atime
      0x5f, 0,    0,    2,                             // mtime
      0x5f, 0,    0,    3,                             // ctime
  };
  std::vector<int> actual;
  for (std::byte b : file_io::encode(status)) actual.push_back(static_cast<int>(b));
  CHECK(actual == expected);

  auto mode = [&](mode_t m) {
    status.st_mode = m;
    const auto bytes = file_io::encode(status);
    return static_cast<int>(bytes[10]) << 8 | static_cast<int>(bytes[11]);
  };
  CHECK(mode(S_IFDIR | 01777) == 0040777);
  CHECK(mode(S_IFCHR | 0666) == 0020666);
  CHECK(mode(S_IFLNK | 0777) == 0120777);
  CHECK(mode(S_IFSOCK | 0600) == 0600);  // kinds the protocol does not name
  CHECK(mode(S_IFIFO | 0600) == 0600);
}
