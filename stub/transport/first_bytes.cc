#include "stub/transport/first_bytes.h"

#include <algorithm>

namespace stub {

std::optional<Dialect> dialect_of_first_bytes(std::string_view received) {
  constexpr std::string_view lldb = "$QStartNoAckMode#";
  received.remove_prefix(std::min(received.find_first_not_of('+'), received.size()));
  if (received.starts_with(lldb)) return Dialect::lldb;
  if (lldb.starts_with(received)) return std::nullopt;
  return Dialect::gdb;
}

}  // namespace stub
