// Which debugger has connected, by the first bytes that it sends.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace stub {

// GDB and LLDB give a few packets different meanings (session/dialect.h).
enum class Dialect : std::uint8_t { gdb, lldb };

// LLDB begins with QStartNoAckMode, GDB with qSupported. Nothing: these are too few bytes to tell.
std::optional<Dialect> dialect_of_first_bytes(std::string_view received);

}  // namespace stub
