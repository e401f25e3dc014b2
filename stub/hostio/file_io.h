// The numbers of GDB's File-I/O protocol, which the vFile packets use instead of any host's (GDB
// manual, "Protocol-specific Representation of Datatypes" and "Constants"), and their Linux values.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "stub/base/types.h"

namespace stub::file_io {

// An errno of the host as the protocol's. Those the protocol does not know are 9999 (EUNKNOWN).
int errno_of(int host_errno);
// What a failed vFile operation replies: `F-1,ERRNO` in hex.
int errno_of(const Error& error);

// Flags for open(2) from the protocol's; the bits that LLDB adds (non-blocking, no symlinks, close
// on exec) are understood as well. nullopt: an unknown bit, or an access mode that does not exist.
std::optional<int> open_flags(std::uint32_t flags);
// Permissions from the protocol's mode_t. nullopt: an unknown bit.
std::optional<mode_t> permissions(std::uint32_t mode);

// `struct stat` as the protocol sends it: 64 bytes, big-endian.
std::array<std::byte, 64> encode(const struct stat& status);

}  // namespace stub::file_io
