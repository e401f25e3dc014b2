#include "stub/inspect/page_reader.h"

#include <string>

#include "tests/catch.h"
#include "tests/stub/base/sparse_memory.h"

namespace stub {
namespace {

constexpr std::uint64_t base = 0x10000;

std::string read(MemoryReader& memory, std::uint64_t at, std::size_t size) {
  std::string text(size, '?');
  text.resize(memory.read(Address(at), std::as_writable_bytes(std::span(text))));
  return text;
}

TEST_CASE("page reader: small reads cost one read of the program for each page") {
  SparseMemory memory;
  std::string data(3 * PageReader::page_size, 'x');
  data.replace(PageReader::page_size - 3, 6, "abcdef");
  memory.put(base, data);
  PageReader pages(memory);
  CHECK(read(pages, base + PageReader::page_size - 3, 6) == "abcdef");
  for (std::size_t at = 0; at < data.size(); at += 8)
    CHECK(read(pages, base + at, 8) == data.substr(at, 8));
  CHECK(memory.reads == 3);
  CHECK(read(pages, base + 10, data.size()) == data.substr(10));  // up to the end of the readable
  CHECK(read(pages, base - 1, 2).empty());
}

TEST_CASE("page reader: what is read of the program is bounded") {
  SparseMemory memory;
  memory.put(base, std::string(8 * PageReader::page_size, 'x'));
  PageReader pages(memory);
  for (std::size_t i = 0; i < PageReader::most_fetched; ++i) read(pages, 8, 1);  // not there
  CHECK(memory.reads == PageReader::most_fetched);
  CHECK(read(pages, base, 8).empty());
  CHECK(memory.reads == PageReader::most_fetched);
}

}  // namespace
}  // namespace stub
