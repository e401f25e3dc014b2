// Replies that are more than a word. All of them are payloads: framing.h makes packets of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rsp {

inline constexpr std::string_view ok_reply = "OK";

// The reply to qSupported: PacketSize, then the features of the packet table and those that belong
// to no packet of the client, without the ones named in `withheld` (`name`, without + or value).
std::string supported_reply(std::size_t packet_size, std::span<const std::string_view> withheld);

// `O` and the text in hexadecimal: shown on the client's console.
std::string console_output(std::string_view text);

// LLDB's form of an error with text, allowed once it sent QEnableErrorStrings: `Exx;hex(text)`.
std::string error_with_hex_text(const Error& error);

// The reply to a qXfer read: `m` and a part of `document` when more follows, `l` and the rest when
// not, a bare `l` for an offset at or past the end (GDB manual, "General Query Packets", qXfer
// read). At most `length` bytes of the document, and fewer where escapes would make the reply
// larger than `reply_limit`.
std::string transfer_chunk(std::string_view document, std::uint64_t offset, std::uint64_t length,
                           std::size_t reply_limit);

// Host I/O results: F with a number, F with an errno, F with a number and binary data.
std::string file_result(std::int64_t result);
std::string file_error(int gdb_errno);
// `data` is cut where its escaped form would exceed `reply_limit`; the number is what was sent.
std::string file_data(std::span<const std::byte> data, std::size_t reply_limit);

// The five characters XML reserves, as entities.
std::string xml_escaped(std::string_view text);

}  // namespace rsp
