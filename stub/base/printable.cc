#include "stub/base/printable.h"

#include <fmt/format.h>

#include "stub/base/utf8.h"

namespace stub {
namespace {

// U+0080 to U+009F: c2 80 to c2 9f.
bool is_control(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead < 0x20 || lead == 0x7f;
  return lead == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

void append_escaped(std::string& to, std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n')
      to += "\\n";
    else if (c == '\t')
      to += "\\t";
    else
      fmt::format_to(std::back_inserter(to), "\\x{:02x}", static_cast<unsigned char>(c));
  }
}

}  // namespace

std::string printable(std::string_view text, std::string_view kept) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    text.remove_prefix(character.size());
    const bool stays = kept.find(character[0]) != kept.npos;
    if (stays || (length != 0 && !is_control(character)))
      result += character;
    else
      append_escaped(result, character);
  }
  return result;
}

}  // namespace stub
