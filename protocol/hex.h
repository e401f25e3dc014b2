// Hexadecimal as packets use it: two lower-case digits per byte of contents, numbers without
// leading zeros and with the most significant digit first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rsp {

// The value of a digit of either case, or -1.
int hex_digit(char c);

void append_hex(std::string& to, std::span<const std::byte> contents);
std::string to_hex(std::span<const std::byte> contents);
std::string to_hex(std::string_view text);
std::string hex_number(std::uint64_t value);

// nullopt for an odd number of digits or anything that is no digit.
std::optional<std::vector<std::byte>> bytes_from_hex(std::string_view digits);
std::optional<std::string> text_from_hex(std::string_view digits);

std::span<const std::byte> as_bytes(std::string_view text);

}  // namespace rsp
