#include "protocol/framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "protocol/hex.h"

namespace rsp {
namespace {

bool needs_escape(char c) { return c == '#' || c == '$' || c == '}' || c == '*'; }

std::string frame(char start, std::string_view payload) {
  std::uint8_t sum = 0;
  for (const char c : payload) sum = static_cast<std::uint8_t>(sum + static_cast<unsigned char>(c));
  std::string result;
  result.reserve(payload.size() + 4);
  result.push_back(start);
  result.append(payload);
  fmt::format_to(std::back_inserter(result), "#{:02x}", sum);
  return result;
}

// A count of further repetitions is sent as a printable character, count + 29. The ones that would
// look like framing or acknowledgement must not occur, so some counts are split.
constexpr std::size_t shortest_repetition = 3;
constexpr std::size_t longest_repetition = '~' - 29;

std::size_t sendable(std::size_t further) {
  std::size_t count = std::min(further, longest_repetition);
  auto code = [&] { return static_cast<char>(count + 29); };
  while (code() == '#' || code() == '$' || code() == '+' || code() == '-') --count;
  return count;
}

}  // namespace

std::string frame_packet(std::string_view payload) { return frame('$', payload); }
std::string frame_notification(std::string_view payload) { return frame('%', payload); }

std::size_t append_escaped(std::string& to, std::span<const std::byte> data, std::size_t room) {
  std::size_t used = 0;
  for (const std::byte b : data) {
    const char c = static_cast<char>(b);
    const std::size_t cost = needs_escape(c) ? 2 : 1;
    if (cost > room) break;
    if (cost == 2) to.push_back('}');
    to.push_back(cost == 2 ? static_cast<char>(c ^ 0x20) : c);
    room -= cost;
    ++used;
  }
  return used;
}

std::string escaped(std::string_view text) {
  std::string result;
  append_escaped(result, as_bytes(text), std::numeric_limits<std::size_t>::max());
  return result;
}

std::string run_length_encoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const std::size_t end = std::min(text.find_first_not_of(c, i), text.size());
    const std::size_t further = end - i - 1;
    result.push_back(c);
    ++i;
    if (further < shortest_repetition) continue;
    const std::size_t count = sendable(further);
    result.push_back('*');
    result.push_back(static_cast<char>(count + 29));
    i += count;
  }
  return result;
}

}  // namespace rsp
