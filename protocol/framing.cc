#include "protocol/framing.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "protocol/hex.h"

namespace rsp {
namespace {

constexpr std::array<bool, 256> escaped_bytes = [] {
  std::array<bool, 256> set{};
  for (const char c : {'#', '$', '}', '*'}) set[static_cast<unsigned char>(c)] = true;
  return set;
}();

bool needs_escape(char c) { return escaped_bytes[static_cast<unsigned char>(c)]; }

void append_frame(std::string& to, char start, std::string_view payload) {
  const auto sum = static_cast<std::byte>(checksum(payload));
  to.reserve(to.size() + payload.size() + 4);
  to.push_back(start);
  to.append(payload);
  to.push_back('#');
  append_hex(to, {&sum, 1});
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

void append_repeated(std::string& to, char c, std::size_t times) {
  while (times > shortest_repetition) {
    const std::size_t further = sendable(times - 1);
    to.push_back(c);
    to.push_back('*');
    to.push_back(static_cast<char>(further + 29));
    times -= 1 + further;
  }
  to.append(times, c);
}

}  // namespace

std::uint8_t checksum(std::string_view bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint8_t{0}, [](std::uint8_t sum, char c) {
    return static_cast<std::uint8_t>(sum + static_cast<unsigned char>(c));
  });
}

void append_packet(std::string& to, std::string_view payload) { append_frame(to, '$', payload); }

std::string frame_packet(std::string_view payload) {
  std::string result;
  append_frame(result, '$', payload);
  return result;
}

std::string frame_notification(std::string_view payload) {
  std::string result;
  append_frame(result, '%', payload);
  return result;
}

std::size_t append_escaped(std::string& to, std::span<const std::byte> data, std::size_t room) {
  const auto* const begin = reinterpret_cast<const char*>(data.data());
  const char* const end = begin + data.size();
  const char* at = begin;
  while (at != end) {
    const char* const stretch_end = std::find_if(at, end, needs_escape);
    const std::size_t plain = std::min<std::size_t>(stretch_end - at, room);
    to.append(at, plain);
    at += plain;
    room -= plain;
    if (at != stretch_end || at == end || room < 2) break;
    to.push_back('}');
    to.push_back(static_cast<char>(*at++ ^ 0x20));
    room -= 2;
  }
  return static_cast<std::size_t>(at - begin);
}

std::string escaped(std::string_view text) {
  std::string result;
  append_escaped(result, as_bytes(text), std::numeric_limits<std::size_t>::max());
  return result;
}

std::string run_length_encoded(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const char c = *at;
    const char* const start = at;
    while (at != end && *at == c) ++at;
    append_repeated(result, c, static_cast<std::size_t>(at - start));
  }
  return result;
}

}  // namespace rsp
