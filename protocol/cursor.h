// A reader over the text of one packet: every function either takes what it is asked for from the
// front, or takes nothing and says so.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string_view>

namespace rsp {

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  std::string_view rest() const { return text_; }

  bool take(char c) { return take(std::string_view(&c, 1)); }
  bool take(std::string_view prefix) {
    if (!text_.starts_with(prefix)) return false;
    text_.remove_prefix(prefix.size());
    return true;
  }

  // A number without sign that fits T. Any count of leading zeros is fine.
  template <std::integral T>
  bool hex(T& value) {
    return number(value, 16);
  }
  template <std::integral T>
  bool decimal(T& value) {
    return number(value, 10);
  }

  // What stands before `end`, which is taken too; everything when `end` does not occur.
  std::string_view until(char end) {
    const std::size_t at = text_.find(end);
    const std::string_view result = text_.substr(0, at);
    text_.remove_prefix(at == text_.npos ? text_.size() : at + 1);
    return result;
  }
  // The next `count` characters, fewer at the end.
  std::string_view take_up_to(std::size_t count) {
    const std::string_view result = text_.substr(0, count);
    text_.remove_prefix(result.size());
    return result;
  }

 private:
  template <std::integral T>
  bool number(T& value, int base) {
    std::uint64_t parsed = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data(), end, parsed, base);
    if (error != std::errc{} || parsed > static_cast<std::uint64_t>(std::numeric_limits<T>::max()))
      return false;
    value = static_cast<T>(parsed);
    text_.remove_prefix(static_cast<std::size_t>(stop - text_.data()));
    return true;
  }

  std::string_view text_;
};

}  // namespace rsp
