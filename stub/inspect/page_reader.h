// Memory of a program, read in pages that are kept, for one request that reads it in small pieces.
//
// libthread_db looks for some twenty symbols in all libraries of a program, word by word, and
// cannot pause: it calls us, and waits for the answer. So what it reads is bounded as a whole,
// whatever the program's memory holds (lists without an end, one within the other), at a tenth of a
// second. Page by page that is enough for a program of ten thousand libraries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "stub/base/memory_reader.h"
#include "stub/base/types.h"

namespace stub {

class PageReader final : public MemoryReader {
 public:
  static constexpr std::size_t page_size = 4096;
  static constexpr std::size_t most_fetched = 50'000;  // reads of the program; then it seems empty
  static constexpr std::size_t most_kept = 4096;       // pages

  explicit PageReader(MemoryReader& memory) : memory_(memory) {}

  std::size_t read(Address from, std::span<std::byte> to) override;

 private:
  using Page = std::array<std::byte, page_size>;
  const Page* page(std::uint64_t number);

  MemoryReader& memory_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;  // by address / page_size
  std::size_t fetched_ = 0;
};

}  // namespace stub
