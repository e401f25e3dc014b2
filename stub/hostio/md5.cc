#include "stub/hostio/md5.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace stub {
namespace {

// RFC 1321, 3.4: T[i] is the integer part of 2^32 * |sin(i)|, i from 1, in radians.
const std::array<std::uint32_t, 64> sines = [] {
  std::array<std::uint32_t, 64> table;
  for (int i = 0; i < 64; ++i) {
    table[i] = static_cast<std::uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0));
  }
  return table;
}();

constexpr int shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

}  // namespace

void Md5::block(const std::byte* bytes) {
  std::array<std::uint32_t, 16> words;
  std::memcpy(words.data(), bytes, sizeof words);
  auto [a, b, c, d] = state_;
  for (int i = 0; i < 64; ++i) {
    std::uint32_t mixed = 0;
    int word = 0;
    switch (i / 16) {
      case 0:
        mixed = (b & c) | (~b & d), word = i;
        break;
      case 1:
        mixed = (b & d) | (c & ~d), word = (5 * i + 1) % 16;
        break;
      case 2:
        mixed = b ^ c ^ d, word = (3 * i + 5) % 16;
        break;
      case 3:
        mixed = c ^ (b | ~d), word = 7 * i % 16;
        break;
    }
    const std::uint32_t sum = a + mixed + words[word] + sines[i];
    a = d, d = c, c = b;
    b += std::rotl(sum, shifts[i / 16][i % 4]);
  }
  state_ = {state_[0] + a, state_[1] + b, state_[2] + c, state_[3] + d};
}

void Md5::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t used = size_ % 64;
    const std::size_t n = std::min(64 - used, bytes.size());
    std::ranges::copy(bytes.first(n), pending_.begin() + used);
    size_ += n;
    bytes = bytes.subspan(n);
    if (size_ % 64 == 0) block(pending_.data());
  }
}

std::array<std::byte, 16> Md5::finish() {
  const std::uint64_t bits = size_ * 8;
  const std::byte mark[] = {std::byte{0x80}};
  const std::byte zero[] = {std::byte{0}};
  add(mark);
  while (size_ % 64 != 56) add(zero);
  add(std::as_bytes(std::span(&bits, 1)));
  std::array<std::byte, 16> digest;
  std::memcpy(digest.data(), state_.data(), digest.size());
  return digest;
}

}  // namespace stub
