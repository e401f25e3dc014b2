// Files of the target for the client: the vFile packets (GDB manual, "Host I/O Packets") and what
// LLDB adds to them. Values in and out; the session does the packet text.
//
// A failure carries the host's errno; file_io::errno_of gives the number for the reply.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stub/base/types.h"
#include "stub/base/unique_fd.h"
#include "stub/base/work.h"

namespace stub {

// What a client may do with files.
enum class HostIoPolicy {
  off,   // nothing
  read,  // look, never change
  full,
};

// The files of one client: one object per connection. Its end closes them.
class HostIo {
 public:
  static constexpr std::size_t max_open_files = 256;
  // Descriptors that are left to the stub itself, whatever clients open: half of what the limit of
  // the process allows where that is less.
  static constexpr std::uint64_t kept_descriptors = 64;
  static constexpr std::size_t max_transfer = 1u << 20;  // bytes of one pread
  static constexpr std::size_t first_window = 1u << 14;
  static constexpr std::uint64_t max_digested = 1u << 30;

  // No more than `most_digested` bytes of a file are read for its digest.
  explicit HostIo(HostIoPolicy policy, std::uint64_t most_digested = max_digested)
      : policy_(policy), most_digested_(most_digested) {}

  // setfs: names are from now on those that this process sees (its mount namespace and its root
  // directory); nullopt (wire: 0) for those that the stub sees. Whether the process exists is found
  // out at the next use of a name.
  Result<void> set_filesystem(std::optional<Pid> pid);

  // `flags` and `mode` as on the wire. The descriptor is valid for this object only.
  Result<std::int64_t> open(const std::string& path, std::uint32_t flags, std::uint32_t mode);
  Result<void> close(std::int64_t fd);
  // Fewer bytes than asked for at the end of the file, and when that is more than the window:
  // clients ask for as much as a packet can hold even where they want only a header (gdb in each of
  // a program's libraries), so a read at a new place is answered with first_window bytes at most,
  // and each that goes on from there with twice as much, up to max_transfer.
  Result<std::vector<std::byte>> pread(std::int64_t fd, std::uint64_t count, std::uint64_t offset);
  Result<std::size_t> pwrite(std::int64_t fd, std::uint64_t offset,
                             std::span<const std::byte> data);
  Result<struct stat> fstat(std::int64_t fd);
  Result<struct stat> stat(const std::string& path);
  Result<struct stat> lstat(const std::string& path);
  Result<void> unlink(const std::string& path);
  Result<std::string> readlink(const std::string& path);

  // LLDB's. `size` and `mode` follow from `stat`.
  bool exists(const std::string& path);
  Result<void> symlink(const std::string& target, const std::string& path);
  // Two little-endian words, in the order and form of LLDB's reply `F,%016x%016x`. Of regular files
  // only: others need not have an end. A file that is replaced meanwhile is digested as it was.
  using Digest = std::array<std::uint64_t, 2>;
  Work<Result<Digest>> md5(std::string path) const;

 private:
  Result<void> may_read() const;
  Result<void> may_change() const;
  struct OpenFile {
    UniqueFd fd;
    std::uint64_t next = 0;  // where the last read ended
    std::size_t window = first_window / 2;
  };

  Result<int> descriptor(std::int64_t number) const;
  Result<UniqueFd> root() const;
  Result<UniqueFd> resolve(const std::string& path, int flags, mode_t mode = 0) const;
  Result<struct stat> status_of(const std::string& path, int flags) const;
  Result<UniqueFd> open_for_digest(const std::string& path) const;

  HostIoPolicy policy_;
  std::uint64_t most_digested_;
  std::optional<Pid> filesystem_;
  std::map<int, OpenFile> files_;  // by the number the client knows, which is our descriptor
};

}  // namespace stub
