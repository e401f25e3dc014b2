// Machine code in tests: written and compared as hex text.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/instruction.h"
#include "arch/step_plan.h"
#include "tests/catch.h"

namespace x86 {

inline std::vector<std::uint8_t> code(std::string_view hex) {
  std::vector<std::uint8_t> bytes;
  std::string digits;
  for (const char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

inline std::string hex(std::span<const std::uint8_t> bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const auto b : bytes) {
    if (!text.empty()) text += ' ';
    text += digits[b >> 4];
    text += digits[b & 15];
  }
  return text;
}

inline Instruction decoded(std::string_view hex_text, Mode mode = Mode::amd64) {
  const auto instruction = decode(code(hex_text), mode);
  INFO(hex_text);
  REQUIRE(instruction.has_value());
  return *instruction;
}

// Sparse memory; everything not in it faults.
class FakeMemory : public Memory {
 public:
  std::map<std::uint64_t, std::uint8_t> bytes;

  void map(std::uint64_t from, std::uint64_t size) {
    for (std::uint64_t i = 0; i < size; i++) bytes[from + i] = 0;
  }
  std::uint64_t word(std::uint64_t at, int size = 8) {
    std::uint64_t value = 0;
    for (int i = 0; i < size; i++) value |= std::uint64_t{bytes.at(at + i)} << 8 * i;
    return value;
  }
  void set_word(std::uint64_t at, std::uint64_t value, int size = 8) {
    for (int i = 0; i < size; i++) bytes[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
  }

  bool read(Address from, std::span<std::uint8_t> to) override {
    if (!is_mapped(from, to.size())) return false;
    for (std::size_t i = 0; i < to.size(); i++) to[i] = bytes.at(from.value() + i);
    return true;
  }
  bool write(Address to, std::span<const std::uint8_t> from) override {
    if (!is_mapped(to, from.size())) return false;
    for (std::size_t i = 0; i < from.size(); i++) bytes.at(to.value() + i) = from[i];
    return true;
  }

 private:
  bool is_mapped(Address from, std::size_t size) const {
    for (std::size_t i = 0; i < size; i++) {
      if (!bytes.count(from.value() + i)) return false;
    }
    return true;
  }
};

}  // namespace x86
