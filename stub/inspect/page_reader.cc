#include "stub/inspect/page_reader.h"

#include <algorithm>

namespace stub {

std::size_t PageReader::read(Address from, std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    const std::uint64_t at = from.value() + done;
    const Page* kept = page(at / page_size);
    if (kept == nullptr) break;
    const std::size_t offset = at % page_size;
    const std::size_t size = std::min(to.size() - done, page_size - offset);
    std::ranges::copy(std::span(*kept).subspan(offset, size), to.begin() + done);
    done += size;
  }
  return done;
}

// Null when it cannot be read: memory is readable in whole pages.
const PageReader::Page* PageReader::page(std::uint64_t number) {
  if (const auto kept = pages_.find(number); kept != pages_.end()) return kept->second.get();
  if (fetched_ == most_fetched) return nullptr;
  ++fetched_;
  auto page = std::make_unique<Page>();
  if (memory_.read(Address(number * page_size), *page) != page_size) return nullptr;
  if (pages_.size() == most_kept) pages_.clear();
  return (pages_[number] = std::move(page)).get();
}

}  // namespace stub
