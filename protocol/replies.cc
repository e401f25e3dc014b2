#include "protocol/replies.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/cursor.h"
#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/parse.h"

namespace rsp {
namespace {

// What the server does rather than answers.
constexpr std::string_view features_without_packet =
    "multiprocess+;fork-events+;vfork-events+;exec-events+;swbreak+;hwbreak+;no-resumed+;"
    "error-message+";

void append_features(std::string& to, std::string_view features,
                     std::span<const std::string_view> withheld) {
  Cursor in(features);
  while (!in.at_end()) {
    const std::string_view feature = in.until(';');
    const std::string_view name = feature.substr(0, feature.find_last_of("+="));
    if (std::ranges::find(withheld, name) != withheld.end()) continue;
    to.push_back(';');
    to.append(feature);
  }
}

}  // namespace

std::string supported_reply(std::size_t packet_size, std::span<const std::string_view> withheld) {
  std::string reply = fmt::format("PacketSize={:x}", packet_size);
  for (const PacketRow& row : packet_table()) append_features(reply, row.feature, withheld);
  append_features(reply, features_without_packet, withheld);
  return reply;
}

std::string console_output(std::string_view text) { return "O" + to_hex(text); }

std::string error_with_hex_text(const Error& error) {
  std::string reply = to_wire(error, false);
  if (!reply.empty() && !error.text.empty()) reply += ";" + to_hex(error.text);
  return reply;
}

std::string transfer_chunk(std::string_view document, std::uint64_t offset, std::uint64_t length,
                           std::size_t reply_limit) {
  if (offset >= document.size()) return "l";
  const std::string_view rest = document.substr(static_cast<std::size_t>(offset));
  const std::string_view wanted =
      rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(length, rest.size())));
  std::string reply = "m";
  const std::size_t sent = append_escaped(reply, as_bytes(wanted), reply_limit - 1);
  if (sent == rest.size()) reply.front() = 'l';
  return reply;
}

std::string file_result(std::int64_t result) {
  return result < 0 ? fmt::format("F-{:x}", -result) : fmt::format("F{:x}", result);
}

std::string file_error(int gdb_errno) { return fmt::format("F-1,{:x}", gdb_errno); }

std::string file_data(std::span<const std::byte> data, std::size_t reply_limit) {
  // The count stands first and is known last.
  constexpr std::size_t head = sizeof("F;") + 16;
  std::string encoded;
  encoded.reserve(std::min(reply_limit, data.size() + data.size() / 32) + head);
  encoded.append(head, ' ');
  const std::size_t sent = append_escaped(encoded, data, reply_limit - head);
  const std::string text = fmt::format("F{:x};", sent);
  encoded.replace(0, head, text);
  return encoded;
}

std::string xml_escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&apos;";
        break;
      default:
        result.push_back(c);
    }
  }
  return result;
}

}  // namespace rsp
