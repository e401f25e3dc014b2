// MD5 (RFC 1321), which LLDB's vFile:MD5 compares files with. Not for anything that must be secure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace stub {

class Md5 {
 public:
  void add(std::span<const std::byte> bytes);
  // The digest, of everything added so far; the object is used up.
  std::array<std::byte, 16> finish();

 private:
  void block(const std::byte* bytes);

  std::array<std::uint32_t, 4> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::array<std::byte, 64> pending_{};
  std::uint64_t size_ = 0;  // bytes added
};

}  // namespace stub
