#include "stub/hostio/file_io.h"

#include <fcntl.h>

#include <cerrno>
#include <span>
#include <utility>

namespace stub::file_io {
namespace {

constexpr int e_unknown = 9999;

// Most numbers are equal; the rows say which errors exist at all.
constexpr std::pair<int, int> errnos[] = {
    {EPERM, 1},   {ENOENT, 2},  {EINTR, 4},         {EIO, 5},     {EBADF, 9},    {EACCES, 13},
    {EFAULT, 14}, {EBUSY, 16},  {EEXIST, 17},       {ENODEV, 19}, {ENOTDIR, 20}, {EISDIR, 21},
    {EINVAL, 22}, {ENFILE, 23}, {EMFILE, 24},       {EFBIG, 27},  {ENOSPC, 28},  {ESPIPE, 29},
    {EROFS, 30},  {ENOSYS, 88}, {ENAMETOOLONG, 91},
};

struct Flag {
  std::uint32_t wire;
  int host;
};
constexpr std::uint32_t access_mask = 3;
constexpr Flag flags_table[] = {
    {0x8, O_APPEND},        {0x200, O_CREAT},       {0x400, O_TRUNC},
    {0x800, O_EXCL},        {1u << 28, O_NONBLOCK},  // LLDB's own, lldb/Host/File.h
    {1u << 29, O_NOFOLLOW}, {1u << 30, O_CLOEXEC},
};
constexpr int access_modes[] = {O_RDONLY, O_WRONLY, O_RDWR};

// The kinds of file the protocol can name; others are sent with their permissions only.
constexpr std::pair<mode_t, std::uint32_t> kinds[] = {
    {S_IFREG, 0100000}, {S_IFDIR, 040000}, {S_IFCHR, 020000}, {S_IFLNK, 0120000}};
constexpr std::uint32_t permission_bits = 0777;
constexpr std::uint32_t settable_kinds = 0140000;  // accepted in a mode to create with, no effect

class BigEndian {
 public:
  explicit BigEndian(std::span<std::byte> to) : to_(to) {}
  void put(std::size_t size, std::uint64_t value) {
    for (std::size_t i = size; i-- > 0; value >>= 8) to_[i] = static_cast<std::byte>(value);
    to_ = to_.subspan(size);
  }

 private:
  std::span<std::byte> to_;
};

}  // namespace

int errno_of(int host_errno) {
  for (auto [host, wire] : errnos) {
    if (host == host_errno) return wire;
  }
  return e_unknown;
}

int errno_of(const Error& error) {
  if (error.sys_errno != 0) return errno_of(error.sys_errno);
  return errno_of(error.code == Errc::refused ? EPERM : EINVAL);
}

std::optional<int> open_flags(std::uint32_t flags) {
  if ((flags & access_mask) >= std::size(access_modes)) return std::nullopt;
  int host = access_modes[flags & access_mask];
  flags &= ~access_mask;
  for (const Flag& flag : flags_table) {
    if (flags & flag.wire) host |= flag.host;
    flags &= ~flag.wire;
  }
  return flags == 0 ? std::optional(host) : std::nullopt;
}

std::optional<mode_t> permissions(std::uint32_t mode) {
  if (mode & ~(permission_bits | settable_kinds)) return std::nullopt;
  return mode & permission_bits;
}

std::array<std::byte, 64> encode(const struct stat& status) {
  std::uint32_t mode = status.st_mode & permission_bits;
  for (auto [host, wire] : kinds) {
    if ((status.st_mode & S_IFMT) == host) mode |= wire;
  }
  std::array<std::byte, 64> bytes;
  BigEndian out(bytes);
  out.put(4, status.st_dev);
  out.put(4, status.st_ino);
  out.put(4, mode);
  out.put(4, status.st_nlink);
  out.put(4, status.st_uid);
  out.put(4, status.st_gid);
  out.put(4, status.st_rdev);
  out.put(8, status.st_size);
  out.put(8, status.st_blksize);
  out.put(8, status.st_blocks);
  out.put(4, status.st_atime);
  out.put(4, status.st_mtime);
  out.put(4, status.st_ctime);
  return bytes;
}

}  // namespace stub::file_io
