// The mappings of a process, and what can be told from a list of them alone.
//
// A list is sorted by address and free of overlaps, as /proc/PID/maps is (proc_fs.h reads it).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "arch/address.h"
#include "stub/base/types.h"

namespace stub {

inline constexpr std::uint64_t page_size = 4096;

// One line of /proc/PID/maps, proc_pid_maps(5).
struct Mapping {
  Address start;  // first byte
  Address end;    // one past the last
  bool read = false;
  bool write = false;
  bool execute = false;
  bool shared = false;
  std::uint64_t offset = 0;  // into the file, in bytes
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::uint64_t inode = 0;  // 0: not backed by a file
  // File name, pseudo-name such as "[stack]" or "[anon:NAME]", or empty. A name ends in "
  // (deleted)" when the file has been unlinked.
  std::string path;

  std::uint64_t size() const { return end.value() - start.value(); }
  bool contains(Address a) const { return start <= a && a < end; }
  bool operator==(const Mapping&) const = default;
};

// The mapping that contains `address`, or null. Logarithmic.
const Mapping* find_mapping(std::span<const Mapping> mappings, Address address);

// The unmapped range around an address that is in no mapping: [start, end).
struct Gap {
  Address start;
  Address end;
  bool operator==(const Gap&) const = default;
};
// nullopt when `address` is mapped. The last gap ends at the highest address.
std::optional<Gap> find_gap_at(std::span<const Mapping> mappings, Address address);

// A page-aligned place for `size` bytes (rounded up to pages) of code that `text` and what it
// refers to can reach with 32-bit displacements, or nullopt. `lowest` is the kernel's
// vm.mmap_min_addr; `mappings` are sorted by start and may overlap. Where in the gap, and which
// gap, is explained in memory_map.cc.
std::optional<Address> find_gap_near(std::span<const Mapping> mappings, Address text,
                                     std::uint64_t size, x86::Mode mode,
                                     Address lowest = Address(0x10000));

}  // namespace stub
