#include "protocol/agent_printf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <utility>

namespace rsp {
namespace {

constexpr std::size_t longest_string = 64 * 1024;
constexpr unsigned widest_field = 1024;  // width or precision
constexpr std::uint8_t plain_int_bits = 32;
constexpr std::string_view flags = "-+ #0";
constexpr std::string_view integer_conversions = "diuoxX";

// gdb's escapes (it refuses octal and hexadecimal ones before sending).
constexpr std::pair<char, char> escapes[] = {
    {'\\', '\\'}, {'a', '\a'}, {'b', '\b'}, {'e', '\033'}, {'f', '\f'},
    {'n', '\n'},  {'r', '\r'}, {'t', '\t'}, {'v', '\v'},   {'"', '"'},
};

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return fail(Errc::malformed, "Bad escape at the end of a format");
    const auto found = std::ranges::find(escapes, text[i], &std::pair<char, char>::first);
    if (found == std::end(escapes)) return fail(Errc::malformed, "Unknown escape in a format");
    out += found->second;
  }
  return out;
}

// The decimal number at `at`, which moves behind it. Too large ones end up beyond widest_field.
unsigned number(std::string_view text, std::size_t& at) {
  unsigned value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = std::min(value * 10 + static_cast<unsigned>(text[at] - '0'), widest_field + 1);
  }
  return value;
}

// Bits of the integer that a length modifier at `at` announces. long is 64 bits here whatever the
// inferior's is: expressions compute with 64 bits, extended as the type asks.
std::uint8_t modifier_bits(std::string_view text, std::size_t& at) {
  const auto take = [&](std::string_view modifier) {
    if (!text.substr(at).starts_with(modifier)) return false;
    at += modifier.size();
    return true;
  };
  if (take("hh")) return 8;
  if (take("h")) return 16;
  if (take("ll") || take("l") || take("z") || take("j") || take("t")) return 64;
  return plain_int_bits;
}

std::string integer_text(const char* format, char conversion, unsigned bits, std::uint64_t value) {
  const unsigned unused = 64 - bits;
  value <<= unused;
  const bool is_signed = conversion == 'd' || conversion == 'i';
  const auto extended =
      is_signed ? static_cast<long long>(value) >> unused : static_cast<long long>(value >> unused);
  std::array<char, widest_field + 64> text;  // precision, sign, prefix
  const int size = std::snprintf(text.data(), text.size(), format, extended);
  return std::string(text.data(), static_cast<std::size_t>(size));
}

// Reads a string up to its NUL, `limit` bytes or the first unreadable page. False: nothing
// readable.
bool read_string(AgentMemory& memory, std::uint64_t address, std::size_t limit, std::string& out) {
  constexpr std::size_t block_size =
      256;  // divides the page, so that no block crosses into another
  std::array<std::byte, block_size> block;
  while (out.size() < limit) {
    const std::size_t size = std::min(block_size - address % block_size, limit - out.size());
    if (!memory.read(address, std::span(block).first(size))) return !out.empty();
    const auto* text = reinterpret_cast<const char*>(block.data());
    const std::string_view read(text, size);
    const auto nul = read.find('\0');
    out.append(read.substr(0, nul));
    if (nul != read.npos) return true;
    address += size;
  }
  return true;
}

}  // namespace

std::size_t AgentFormat::memory_size() const {
  std::size_t size = sizeof *this;
  for (const Piece& piece : pieces_) size += sizeof piece + piece.text.capacity();
  return size;
}

Result<AgentFormat> AgentFormat::verify(std::string_view format) {
  const auto text = unescape(format);
  if (!text) return tl::unexpected(text.error());
  AgentFormat result;
  std::string literal;
  const auto end_literal = [&] {
    if (literal.empty()) return;
    result.pieces_.emplace_back().text = std::exchange(literal, {});
  };
  for (std::size_t at = 0; at < text->size();) {
    if ((*text)[at] != '%') {
      literal += (*text)[at++];
    } else if (text->compare(at, 2, "%%") == 0) {
      literal += '%';
      at += 2;
    } else {
      end_literal();
      auto piece = parse_conversion(*text, ++at);
      if (!piece) return tl::unexpected(piece.error());
      result.pieces_.push_back(std::move(*piece));
      ++result.argument_count_;
    }
  }
  end_literal();
  return result;
}

// `at` is behind the percent sign and moves behind the conversion.
Result<AgentFormat::Piece> AgentFormat::parse_conversion(std::string_view text, std::size_t& at) {
  const std::size_t start = at;
  Piece piece;
  for (; at < text.size() && flags.find(text[at]) != flags.npos; ++at) {
    piece.left = piece.left || text[at] == '-';
  }
  piece.width = number(text, at);
  if (at < text.size() && text[at] == '.') piece.precision = number(text, ++at);
  const std::string_view field = text.substr(start, at - start);
  if (piece.width > widest_field ||
      (piece.precision != std::string::npos && piece.precision > widest_field)) {
    return fail(Errc::refused, "Field too wide in a printf format");
  }
  piece.bits = modifier_bits(text, at);
  if (at == text.size()) return fail(Errc::malformed, "Incomplete conversion in a printf format");
  piece.conversion = text[at++];
  const bool integer = integer_conversions.find(piece.conversion) != integer_conversions.npos;
  const bool narrow_text =
      piece.bits == plain_int_bits && (piece.conversion == 'c' || piece.conversion == 's');
  if (!integer && !narrow_text && piece.conversion != 'p') {
    return fail(Errc::unsupported, fmt::format("Format directive '%{}' not supported in printf "
                                               "bytecode",
                                               text.substr(start, at - start)));
  }
  if (integer) piece.text = fmt::format("%{}ll{}", field, piece.conversion);
  return piece;
}

Result<void> AgentFormat::print(std::span<const std::uint64_t> arguments, AgentMemory& memory,
                                std::string& out) const {
  assert(arguments.size() == argument_count_);
  auto next = arguments.begin();
  for (const Piece& piece : pieces_) {
    if (piece.conversion == 0) {
      out += piece.text;
    } else if (auto done = print_argument(piece, *next++, memory, out); !done) {
      return done;
    }
  }
  return {};
}

Result<void> AgentFormat::print_argument(const Piece& piece, std::uint64_t argument,
                                         AgentMemory& memory, std::string& out) {
  std::string text;
  switch (piece.conversion) {
    case 's': {
      const std::size_t limit = std::min(piece.precision, longest_string);
      if (argument == 0) {
        text = "(null)";
      } else if (!read_string(memory, argument, limit, text)) {
        return fail(Errc::bad_address, fmt::format("Cannot read a string at {:#x}", argument));
      }
      break;
    }
    case 'p':
      text = argument == 0 ? "(nil)" : fmt::format("{:#x}", argument);
      break;
    case 'c':
      text = static_cast<char>(argument);
      break;
    default:
      out += integer_text(piece.text.c_str(), piece.conversion, piece.bits, argument);
      return {};
  }
  const std::string padding(piece.width > text.size() ? piece.width - text.size() : 0, ' ');
  out += piece.left ? text + padding : padding + text;
  return {};
}

}  // namespace rsp
