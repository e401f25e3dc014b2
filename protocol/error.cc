#include "protocol/error.h"

#include <fmt/format.h>

namespace rsp {
namespace {

// Text goes out unescaped, so characters that mean something to the framing are replaced.
std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    const bool framing = c == '#' || c == '$' || c == '}' || c == '*';
    if (framing || static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return result;
}

// GDB looks at no number, but File-I/O style errno values are what it prints when asked to; 01 is
// what gdbserver says whatever the reason was. Only a failed system call has more to tell.
int number(const Error& error) {
  const bool has_errno = error.code == Errc::system && error.sys_errno > 0;
  return has_errno && error.sys_errno < 0x100 ? error.sys_errno : 1;
}

}  // namespace

std::string to_wire(const Error& error, bool accepts_text) {
  if (error.code == Errc::unsupported) return {};
  if (accepts_text && !error.text.empty()) return "E." + printable(error.text);
  return fmt::format("E{:02x}", number(error));
}

}  // namespace rsp
