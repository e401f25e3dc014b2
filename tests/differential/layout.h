// Where things are in the inferior. One file of memory is mapped into it piece by piece, read-write
// into the test, so that filling and comparing memory costs no system call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "arch/address.h"

namespace differential {

inline constexpr std::size_t page = 4096;
inline constexpr std::size_t code_size = 16 * page;
inline constexpr std::size_t data_size = 4 * page;

// Offsets in the file.
inline constexpr std::size_t site_offset = 0;
inline constexpr std::size_t near_offset = site_offset + code_size;
inline constexpr std::size_t far_offset = near_offset + code_size;
inline constexpr std::size_t data_offset = far_offset + code_size;
inline constexpr std::size_t read_only_offset = data_offset + data_size;
inline constexpr std::size_t file_size = read_only_offset + page;

struct Layout {
  std::uint64_t sites, near_slots, far_slots, data;
  // A page that can be read only, behind a page that is not there.
  std::uint64_t read_only() const { return data + data_size + page; }
};

// Near slots and data are within 2 GiB of the sites, far slots of neither.
inline constexpr Layout amd64_layout = {0x5555'0000'0000, 0x5555'4000'0000, 0x7e00'0000'0000,
                                        0x5555'2000'0000};
#ifdef __SANITIZE_ADDRESS__  // its shadow memory is in the upper half of 32 bits
inline constexpr std::uint64_t i386_far_slots = 0x7000'0000;
#else
inline constexpr std::uint64_t i386_far_slots = 0xe000'0000;
#endif
inline constexpr Layout i386_layout = {0x1000'0000, 0x6000'0000, i386_far_slots, 0x2000'0000};

constexpr const Layout& layout_of(x86::Mode mode) {
  return mode == x86::Mode::amd64 ? amd64_layout : i386_layout;
}

}  // namespace differential
