// Memory made of a few readable pieces, for tests of services that read an inferior.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "stub/base/memory_reader.h"

class SparseMemory : public stub::MemoryReader {
 public:
  // A readable piece. Pieces may touch; they must not overlap.
  void put(std::uint64_t at, std::vector<std::byte> bytes) { pieces_[at] = std::move(bytes); }
  void put(std::uint64_t at, std::string_view text) {
    auto bytes = std::as_bytes(std::span(text));
    put(at, std::vector(bytes.begin(), bytes.end()));
  }
  // Consecutive words of 4 or 8 bytes.
  void put_words(std::uint64_t at, std::size_t word_size, std::vector<std::uint64_t> words) {
    std::vector<std::byte> bytes(words.size() * word_size);
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::memcpy(&bytes[i * word_size], &words[i], word_size);
    }
    put(at, std::move(bytes));
  }

  std::size_t read(stub::Address from, std::span<std::byte> to) override {
    ++reads;
    std::size_t done = 0;
    while (done < to.size()) {
      const std::uint64_t at = from.value() + done;
      auto piece = pieces_.upper_bound(at);
      if (piece == pieces_.begin()) break;
      --piece;
      const std::uint64_t offset = at - piece->first;
      if (offset >= piece->second.size()) break;
      const std::size_t n = std::min(to.size() - done, piece->second.size() - offset);
      std::memcpy(&to[done], &piece->second[offset], n);
      done += n;
    }
    return done;
  }

  std::size_t reads = 0;  // calls so far

 private:
  std::map<std::uint64_t, std::vector<std::byte>> pieces_;
};
