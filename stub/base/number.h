// Numbers that people and service managers write.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stub {

// The whole of `text` as a number; nothing when it is none, or one too large for the type.
template <class Number>
std::optional<Number> whole_number(std::string_view text, int base = 10) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

// Decimal, or hexadecimal behind 0x.
inline std::optional<std::uint64_t> decimal_or_hex(std::string_view text) {
  if (!text.starts_with("0x")) return whole_number<std::uint64_t>(text);
  return whole_number<std::uint64_t>(text.substr(2), 16);
}

}  // namespace stub
