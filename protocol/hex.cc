#include "protocol/hex.h"

#include <fmt/format.h>

#include <array>

namespace rsp {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

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

template <class Container>
std::optional<Container> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Container result(text.size() / 2, typename Container::value_type{});
  for (std::size_t i = 0; i < result.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    result[i] = static_cast<typename Container::value_type>(high << 4 | low);
  }
  return result;
}

}  // namespace

int hex_digit(char c) { return digit_values[static_cast<unsigned char>(c)]; }

void append_hex(std::string& to, std::span<const std::byte> contents) {
  const std::size_t start = to.size();
  to.resize(start + 2 * contents.size());
  char* out = to.data() + start;
  for (const std::byte b : contents) {
    *out++ = digits[static_cast<std::size_t>(b >> 4)];
    *out++ = digits[static_cast<std::size_t>(b & std::byte{15})];
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
