#include "stub/inspect/crc_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace stub {
namespace {

constexpr std::size_t chunk_size = 1u << 16;  // of one piece of work: 0.2 ms
constexpr std::uint32_t polynomial = 0x04c11db7;

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i << 24;
    for (int bit = 0; bit < 8; ++bit) {
      value = value & 0x80000000 ? value << 1 ^ polynomial : value << 1;
    }
    table[i] = value;
  }
  return table;
}();

tl::unexpected<Error> unreadable(Address at) {
  return fail(Errc::bad_address, fmt::format("cannot read memory at {:#x}", at.value()));
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t initial) {
  std::uint32_t crc = initial;
  for (std::byte b : bytes) {
    crc = crc << 8 ^ crc_table[crc >> 24 ^ static_cast<std::uint32_t>(b)];
  }
  return crc;
}

Work<Result<std::uint32_t>> memory_crc32(MemoryReader& memory, Address start,
                                         std::uint64_t length) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(chunk_size, length));
  std::uint32_t crc = 0xffffffff;
  while (length > 0) {
    const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), length));
    const std::size_t n = memory.read(start, chunk);
    if (n < chunk.size()) co_return unreadable(start + n);
    crc = crc32(chunk, crc);
    start += n;
    length -= n;
    co_await Pause{};
  }
  co_return crc;
}

// The buffer holds what remains of the last chunk (less than a pattern: it may be the beginning of
// a match) and the next chunk behind it.
Work<Result<std::optional<Address>>> search_memory(MemoryReader& memory, Address start,
                                                   std::uint64_t length,
                                                   std::vector<std::byte> pattern) {
  if (pattern.empty()) co_return start;
  if (pattern.size() > length) co_return std::nullopt;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(length, pattern.size() + chunk_size));
  std::size_t kept = 0;  // `start` is the address of buffer[0]
  while (length >= pattern.size()) {
    const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), length));
    const std::size_t filled = kept + memory.read(start + kept, chunk.subspan(kept));
    const void* match = ::memmem(chunk.data(), filled, pattern.data(), pattern.size());
    if (match != nullptr) co_return start + (static_cast<const std::byte*>(match) - chunk.data());
    if (filled < chunk.size()) co_return unreadable(start + filled);
    kept = pattern.size() - 1;
    std::ranges::copy(chunk.last(kept), buffer.begin());
    start += chunk.size() - kept;
    length -= chunk.size() - kept;
    co_await Pause{};
  }
  co_return std::nullopt;
}

}  // namespace stub
