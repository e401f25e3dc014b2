// What has connected, by the first bytes that it sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stub {

// GDB and LLDB give a few packets different meanings (session/dialect.h).
enum class Dialect : std::uint8_t { gdb, lldb };

enum class FirstBytes : std::uint8_t {
  gdb,      // a packet, and not LLDB's first
  lldb,     // QStartNoAckMode, with which LLDB begins (GDB: qSupported)
  damaged,  // a packet with a wrong checksum
  http,     // a request line (RFC 9112, section 3)
  foreign,  // nothing that a debugger sends
};

// Longer than the first packet of any client: one that has not been told the PacketSize takes 400
// bytes for the limit (GDB manual, "General Query Packets", qSupported).
inline constexpr std::size_t first_bytes_limit = 4096;

// A client begins with a packet; acknowledgements and an interrupt may stand before it. Anything
// else before it makes a stranger, whatever follows: what a web page makes a browser send has
// packets in its body if its author wants them. Nothing: these are too few bytes to tell.
std::optional<FirstBytes> judge_first_bytes(std::string_view received);

}  // namespace stub
