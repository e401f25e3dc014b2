// What the inferior can influence and the stub reads as text or structures: files of /proc and the
// link map. The first byte chooses which, the rest is the content.
//
// Holds: mappings are not empty; the documents made of hostile memory are of bounded size.
#include <algorithm>
#include <cstring>

#include "stub/libraries_svr4.h"
#include "stub/proc_fs.h"
#include "stub/xml.h"
#include "tests/fuzz/fuzz.h"

namespace {

// The content is what is at 0, again and again, so that most pointers point to something.
class Memory : public stub::MemoryReader {
 public:
  explicit Memory(std::span<const std::uint8_t> content) : content_(content) {}
  std::size_t read(stub::Address from, std::span<std::byte> to) override {
    if (content_.empty() || from.value() >= 1u << 20) return 0;
    const std::size_t n = std::min<std::size_t>(to.size(), (1u << 20) - from.value());
    for (std::size_t i = 0; i < n; ++i) {
      to[i] = static_cast<std::byte>(content_[(from.value() + i) % content_.size()]);
    }
    return n;
  }

 private:
  std::span<const std::uint8_t> content_;
};

void check_libraries(std::span<const std::uint8_t> content, std::size_t word_size) {
  Memory memory(content);
  const auto auxv = std::as_bytes(content.first(std::min<std::size_t>(content.size(), 64)));
  const stub::ProgramImage program{memory, auxv, word_size};
  stub::shlib_info_address(program);
  for (stub::LibrariesAnnex annex : {stub::LibrariesAnnex{}, {8, 0, 0}, {16, 8, 1}}) {
    const auto document = stub::libraries_svr4(program, annex);
    if (document) FUZZ_CHECK(document->size() < 32u << 20);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span content(data + 1, size - 1);
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  switch (data[0] % 6) {
    case 0:
      stub::proc_fs::parse_status(text);
      break;
    case 1:
      stub::proc_fs::parse_stat(text);
      break;
    case 2:
      for (const stub::Mapping& m : stub::proc_fs::parse_maps(text)) FUZZ_CHECK(m.start < m.end);
      break;
    case 3:
      stub::parse_libraries_annex(text);
      break;
    case 4:
      check_libraries(content, 8);
      break;
    case 5:
      check_libraries(content, 4);
      break;
  }
  FUZZ_CHECK(stub::xml_text(text).find_first_of("<>\"'") == std::string::npos);
  return 0;
}
