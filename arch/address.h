// An address in the inferior: never a pointer of ours and never a bare integer.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace x86 {

class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}
  constexpr std::uint64_t value() const { return value_; }
  constexpr auto operator<=>(const Address&) const = default;

  // Arithmetic wraps at 64 bits, as the processor's does.
  friend constexpr Address operator+(Address a, std::uint64_t n) { return Address(a.value_ + n); }
  friend constexpr Address operator-(Address a, std::uint64_t n) { return Address(a.value_ - n); }
  friend constexpr std::int64_t operator-(Address a, Address b) {
    return static_cast<std::int64_t>(a.value_ - b.value_);
  }
  constexpr Address& operator+=(std::uint64_t n) {
    value_ += n;
    return *this;
  }
  constexpr Address& operator-=(std::uint64_t n) {
    value_ -= n;
    return *this;
  }

 private:
  std::uint64_t value_ = 0;
};

// What the inferior's code segment makes the processor decode.
enum class Mode : std::uint8_t { amd64, i386 };

}  // namespace x86

template <>
struct std::hash<x86::Address> {
  std::size_t operator()(x86::Address a) const noexcept {
    return std::hash<std::uint64_t>{}(a.value());
  }
};
