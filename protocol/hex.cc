#include "protocol/hex.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace rsp {
namespace {

// Both digits of a byte at once.
constexpr std::array<std::array<char, 2>, 256> digit_pairs = [] {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {digits[i >> 4], digits[i & 15]};
  return pairs;
}();

constexpr std::array<std::int8_t, 256> digit_values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = std::int8_t(i);
  for (int i = 0; i < 6; ++i) {
    values[static_cast<std::size_t>('a' + i)] = std::int8_t(10 + i);
    values[static_cast<std::size_t>('A' + i)] = std::int8_t(10 + i);
  }
  return values;
}();

int value_of(char c) { return digit_values[static_cast<unsigned char>(c)]; }

template <class Container>
std::optional<Container> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Container result(text.size() / 2, typename Container::value_type{});
  int bad = 0;  // negative once there was something that is no digit
  const char* in = text.data();
  for (auto& out : result) {
    const int high = value_of(*in++);
    const int low = value_of(*in++);
    bad |= high | low;
    out = static_cast<typename Container::value_type>(high << 4 | low);
  }
  if (bad < 0) return std::nullopt;
  return result;
}

}  // namespace

int hex_digit(char c) { return value_of(c); }

void append_hex(std::string& to, std::span<const std::byte> contents) {
  const std::size_t start = to.size();
  to.resize(start + 2 * contents.size());
  char* out = to.data() + start;
  for (const std::byte b : contents) {
    std::memcpy(out, digit_pairs[std::to_integer<std::size_t>(b)].data(), 2);
    out += 2;
  }
}

std::string to_hex(std::span<const std::byte> contents) {
  std::string result;
  append_hex(result, contents);
  return result;
}

std::string to_hex(std::string_view text) { return to_hex(as_bytes(text)); }

std::string hex_number(std::uint64_t value) { return fmt::format("{:x}", value); }

std::optional<std::vector<std::byte>> bytes_from_hex(std::string_view text) {
  return from_hex<std::vector<std::byte>>(text);
}

std::optional<std::string> text_from_hex(std::string_view text) {
  return from_hex<std::string>(text);
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace rsp
