#include "protocol/framing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
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
constexpr std::size_t shortest_run = shortest_repetition + 1;

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

constexpr std::uint64_t every_byte = 0x0101010101010101;

std::uint64_t word_at(std::string_view text, std::size_t at) {
  static_assert(std::endian::native == std::endian::little,
                "the first character is the lowest byte");
  std::uint64_t word = 0;
  std::memcpy(&word, text.data() + at, sizeof word);
  return word;
}

// The index of the lowest byte that is zero, or 8. (x - 1) & ~x has its top bit set in a zero byte;
// a borrow can only set it in the bytes above one.
unsigned first_zero_byte(std::uint64_t word) {
  return static_cast<unsigned>(std::countr_zero((word - every_byte) & ~word & every_byte << 7)) / 8;
}

std::size_t end_of_run(std::string_view text, std::size_t at) {
  const char c = text[at];
  const std::uint64_t repeated = every_byte * static_cast<unsigned char>(c);
  while (at + sizeof repeated <= text.size() && word_at(text, at) == repeated)
    at += sizeof repeated;
  while (at < text.size() && text[at] == c) ++at;
  return at;
}

// Where the first `shortest_run` equal characters begin, from `at` on; the text's size if nowhere.
// Text without runs must cost next to nothing, so six places are tried at once: a character equal
// to its successor leaves a zero byte in `differs`, and a run is three of these in a row.
std::size_t find_run(std::string_view text, std::size_t at) {
  constexpr std::size_t places = 6;
  constexpr std::uint64_t no_place = 0xffff'0000'0000'0000;
  for (; at + sizeof(std::uint64_t) + 1 <= text.size(); at += places) {
    const std::uint64_t differs = word_at(text, at) ^ word_at(text, at + 1);
    const unsigned place = first_zero_byte(differs | differs >> 8 | differs >> 16 | no_place);
    if (place < places) return at + place;
  }
  for (; at + shortest_run <= text.size(); ++at)
    if (end_of_run(text, at) >= at + shortest_run) return at;
  return text.size();
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
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t run = find_run(text, at);
    result.append(text, at, run - at);
    if (run == text.size()) break;
    at = end_of_run(text, run);
    append_repeated(result, text[run], at - run);
  }
  return result;
}

}  // namespace rsp
