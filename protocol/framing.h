// Packets and notifications on their way out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rsp {

// The sum that ends a packet: of all bytes modulo 256.
std::uint8_t checksum(std::string_view bytes);

// $payload#cc. The payload goes out as it is: text replies hold nothing that needs escaping, binary
// parts went through append_escaped().
std::string frame_packet(std::string_view payload);
void append_packet(std::string& to, std::string_view payload);
// %payload#cc
std::string frame_notification(std::string_view payload);

// Binary data in a reply: `#`, `$`, `}` and `*` become `}` and the byte XOR 0x20. Appends as much
// of `data` as fits into `room` bytes and returns how many bytes of `data` that were.
std::size_t append_escaped(std::string& to, std::span<const std::byte> data, std::size_t room);
std::string escaped(std::string_view text);

// Repetitions of four and more become `c*n` (GDB manual, "Overview", run-length encoding). For text
// replies only: LLDB undoes it there, but not in binary ones.
std::string run_length_encoded(std::string_view text);

}  // namespace rsp
