#include "stub/base/xml.h"

#include <cstddef>

#include "stub/base/utf8.h"

namespace stub {

std::string xml_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const char c = text.front();
    std::size_t length = utf8_length(text);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '\'') {
      out += "&apos;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (length == 0 || (length == 1 && c < ' ' && c != '\t' && c != '\n')) {
      out += '?';
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace stub
