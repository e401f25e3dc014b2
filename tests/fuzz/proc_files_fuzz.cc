// What the inferior can influence and the stub reads as text or structures: files of /proc and the
// link map. The first byte chooses which, the rest is the content.
//
// Holds: mappings are not empty; the documents made of hostile memory are of bounded size and
// well-formed.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "stub/base/xml.h"
#include "stub/inspect/libraries_svr4.h"
#include "stub/kernel/proc_fs.h"
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

bool is_reference(std::string_view text) {
  for (const char* known : {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#"})
    if (text.starts_with(known)) return true;
  return false;
}

// What an XML parser wants of characters, whatever they stand for.
bool is_xml_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (static_cast<unsigned char>(text[i]) < ' ' && text[i] != '\n' && text[i] != '\t')
      return false;
    if (text[i] == '&' && !is_reference(text.substr(i))) return false;
  }
  return true;
}

// Elements within each other, with quoted attributes, and only blanks between the tags.
bool is_well_formed(std::string_view xml) {
  if (!is_xml_text(xml)) return false;
  std::vector<std::string_view> open;
  for (std::size_t tag; (tag = xml.find('<')) != xml.npos;) {
    const std::size_t end = xml.find('>', tag);
    if (xml.substr(0, tag).find_first_not_of(" \n") != xml.npos || end == xml.npos) return false;
    const std::string_view inside = xml.substr(tag + 1, end - tag - 1);
    xml.remove_prefix(end + 1);
    if (inside.find('<') != xml.npos || std::ranges::count(inside, '"') % 2 != 0) return false;
    if (inside.starts_with('/')) {
      if (open.empty() || open.back() != inside.substr(1)) return false;
      open.pop_back();
    } else if (!inside.ends_with('/')) {
      open.push_back(inside.substr(0, inside.find(' ')));
    }
  }
  return open.empty() && xml.find_first_not_of(" \n") == xml.npos;
}

void check_libraries(std::span<const std::uint8_t> content, std::size_t word_size) {
  Memory memory(content);
  const auto auxv = std::as_bytes(content.first(std::min<std::size_t>(content.size(), 64)));
  const stub::ProgramImage program{memory, auxv, word_size};
  stub::shlib_info_address(program);
  for (stub::LibrariesAnnex annex : {stub::LibrariesAnnex{}, {8, 0, 0}, {16, 8, 1}}) {
    const auto document = finish(stub::libraries_svr4(program, annex));
    if (!document) continue;
    FUZZ_CHECK(document->size() < 32u << 20);
    FUZZ_CHECK(is_well_formed(*document));
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
  const std::string quoted = stub::xml_text(text);
  FUZZ_CHECK(quoted.find_first_of("<>\"'") == std::string::npos);
  FUZZ_CHECK(is_xml_text(quoted));
  return 0;
}
