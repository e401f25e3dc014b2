// Reading the inferior's memory, for services that need nothing else of it.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "stub/base/types.h"

namespace stub {

class MemoryReader {
 public:
  virtual ~MemoryReader() = default;
  // The number of bytes read from the front: a short count says where the first unreadable byte is.
  virtual std::size_t read(Address from, std::span<std::byte> to) = 0;
};

// One value in the byte order of the processor, or nothing when a byte of it cannot be read.
template <class T>
std::optional<T> read_value(MemoryReader& memory, Address from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  auto bytes = std::as_writable_bytes(std::span(&value, 1));
  if (memory.read(from, bytes) != bytes.size()) return std::nullopt;
  return value;
}

}  // namespace stub
