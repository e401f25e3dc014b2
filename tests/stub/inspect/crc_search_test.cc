#include "stub/inspect/crc_search.h"

#include <string>

#include "tests/catch.h"
#include "tests/stub/base/sparse_memory.h"

namespace {

using stub::Address;
using stub::Errc;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

stub::Result<std::uint32_t> crc_of(stub::MemoryReader& memory, Address start,
                                   std::uint64_t length) {
  return finish(stub::memory_crc32(memory, start, length));
}

stub::Result<std::optional<Address>> found_in(stub::MemoryReader& memory, Address start,
                                              std::uint64_t length,
                                              std::span<const std::byte> pattern) {
  return finish(stub::search_memory(memory, start, length, {pattern.begin(), pattern.end()}));
}

constexpr std::uint64_t base = 0x10000;
constexpr std::size_t chunk = 1u << 16;

}  // namespace

TEST_CASE("crc32 is GDB's") {
  // CRC-32/MPEG-2, whose published check value is 0x0376e6e7; it is the same without a complement.
  CHECK(stub::crc32(bytes("123456789")) == 0x0376e6e7);
  CHECK(stub::crc32({}) == 0xffffffff);
  CHECK(stub::crc32(bytes("56789"), stub::crc32(bytes("1234"))) == 0x0376e6e7);
}

TEST_CASE("crc32 of memory") {
  SparseMemory memory;
  const std::string data = std::string(chunk - 3, 'a') + "123456789" + std::string(chunk, 'b');
  memory.put(base, data);
  CHECK(crc_of(memory, Address(base), data.size()) == stub::crc32(bytes(data)));
  CHECK(crc_of(memory, Address(base + chunk - 3), 9) == 0x0376e6e7);
  CHECK(crc_of(memory, Address(1), 0) == 0xffffffff);
  for (auto [start, length] : {std::pair<std::uint64_t, std::uint64_t>{base, data.size() + 1},
                               {base - 1, 1},
                               {base, UINT64_MAX}}) {
    auto crc = crc_of(memory, Address(start), length);
    REQUIRE_FALSE(crc);
    CHECK(crc.error().code == Errc::bad_address);
  }
}

TEST_CASE("search at every offset around a chunk's end") {
  const std::string pattern = "needle";
  for (std::size_t at = chunk - 8; at < chunk + 16; ++at) {
    CAPTURE(at);
    std::string data(2 * chunk + 100, 'n');
    data.replace(at, pattern.size(), pattern);
    SparseMemory memory;
    memory.put(base, data);
    auto find = [&](std::uint64_t length) {
      return found_in(memory, Address(base), length, bytes(pattern)).value();
    };
    CHECK(find(data.size()) == Address(base + at));
    CHECK(find(at + pattern.size()) == Address(base + at));  // ends with the range
    CHECK(find(at + pattern.size() - 1) == std::nullopt);    // not wholly in it
    CHECK(memory.reads <= 8);
  }
}

TEST_CASE("search: patterns of unusual sizes") {
  SparseMemory memory;
  const std::string data = std::string(3 * chunk, 'x') + "y";
  memory.put(base, data);
  auto find = [&](const std::string& pattern, std::uint64_t length) {
    return found_in(memory, Address(base), length, bytes(pattern)).value();
  };
  CHECK(find("", 10) == Address(base));
  CHECK(find("", 0) == Address(base));
  CHECK(find("x", 1) == Address(base));
  CHECK(find("x", 0) == std::nullopt);
  CHECK(find("y", data.size()) == Address(base + 3 * chunk));
  CHECK(find(data, data.size()) == Address(base));
  CHECK(find(data, data.size() - 1) == std::nullopt);
  CHECK(find(std::string(2 * chunk, 'x') + "y", data.size()) == Address(base + chunk));
  CHECK(find("z", data.size()) == std::nullopt);
}

TEST_CASE("search: the first of several, also when they overlap") {
  SparseMemory memory;
  memory.put(base, "..aabaabaaab..");
  CHECK(found_in(memory, Address(base), 14, bytes("aabaab")).value() == Address(base + 2));
  CHECK(found_in(memory, Address(base + 3), 11, bytes("aab")).value() == Address(base + 5));
}

TEST_CASE("search and unreadable memory") {
  SparseMemory memory;
  memory.put(base, "hay needle hay");
  auto found = [&](std::uint64_t start, std::string_view pattern) {
    return found_in(memory, Address(start), 1u << 30, bytes(pattern));
  };
  CHECK(found(base, "needle").value() == Address(base + 4));  // before the end of what is readable
  for (auto result : {found(base, "missing"), found(base - 1, "needle")}) {
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::bad_address);
  }
  CHECK(found(base, "missing").error().text == "cannot read memory at 0x1000e");
}
