// Walking the link map.
//
// The dynamic linker publishes `struct r_debug` (<link.h>) for debuggers: its address is stored in
// the value of the main program's DT_DEBUG entry, the dynamic section is found through the program
// headers, and those through the auxiliary vector. This needs no symbols and works for 32-bit and
// 64-bit programs alike: all structures are sequences of words.
//
//   r_debug      r_version, r_map, r_brk, r_state, r_ldbase; from version 2 (glibc 2.35) also
//   r_next,
//                the r_debug of the next namespace (dlmopen)
//   link_map     l_addr, l_name, l_ld, l_next, l_prev
//
// All of it lies in the memory of a program that may be damaged or hostile, or running while it is
// read. So nothing is followed without limit: a link is taken only when the successor points back
// (which also ends most cycles, and is how a half-made change of a running program shows), and
// libraries, namespaces, name lengths and the document as a whole have a maximum.
//
// The text of the document and its conditions are those observed of gdbserver 13.1: the first entry
// of the first namespace is the program itself and gives `main-lm`, nameless entries are left out.
#include "stub/inspect/libraries_svr4.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "stub/base/xml.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

constexpr std::size_t max_program_headers = 256;
constexpr std::size_t max_dynamic_entries = 4096;
constexpr std::size_t max_namespaces = 64;          // glibc has 16 (DL_NNS)
constexpr std::size_t max_document = 16u << 20;     // about 100,000 libraries
constexpr std::size_t max_name = 4096;              // PATH_MAX
constexpr std::size_t libraries_in_a_piece = 1024;  // 3 ms
constexpr std::size_t max_libraries = 1u << 17;     // nameless ones take no room in the document

// ---- words -----------------------------------------------------------------------------------

template <std::size_t n>
using Words = std::array<std::uint64_t, n>;

// Consecutive words of the program, zero-extended.
template <std::size_t n>
std::optional<Words<n>> read_words(const ProgramImage& program, Address from) {
  std::array<std::byte, 8 * n> bytes;
  const std::span used = std::span(bytes).first(program.word_size * n);
  if (program.memory.read(from, used) != used.size()) return std::nullopt;
  Words<n> words{};
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&words[i], &used[i * program.word_size], program.word_size);
  }
  return words;
}

// ---- the program's DT_DEBUG --------------------------------------------------------------------

struct Segments {
  std::optional<std::uint64_t> phdr;     // p_vaddr of PT_PHDR
  std::optional<std::uint64_t> first;    // p_vaddr of the PT_LOAD at file offset 0
  std::optional<std::uint64_t> dynamic;  // p_vaddr of PT_DYNAMIC
};

template <class Phdr>
Segments read_segments(const ProgramImage& program, Address at, std::size_t count) {
  std::vector<Phdr> headers(count);
  const auto bytes = std::as_writable_bytes(std::span(headers));
  headers.resize(program.memory.read(at, bytes) / sizeof(Phdr));
  Segments found;
  for (const Phdr& header : headers) {
    if (header.p_type == PT_PHDR) found.phdr = header.p_vaddr;
    if (header.p_type == PT_DYNAMIC) found.dynamic = header.p_vaddr;
    if (header.p_type == PT_LOAD && header.p_offset == 0) found.first = header.p_vaddr;
  }
  return found;
}

// The distance between where the program was linked and where it is. Without PT_PHDR (static-pie of
// older linkers) the headers are taken to follow the ELF header, which is where linkers put them.
std::optional<std::uint64_t> load_bias(const ProgramImage& program, const Segments& segments,
                                       std::uint64_t phdr) {
  if (segments.phdr) return phdr - *segments.phdr;
  if (!segments.first) return std::nullopt;
  return phdr - (program.word_size == 4 ? sizeof(Elf32_Ehdr) : sizeof(Elf64_Ehdr)) -
         *segments.first;
}

std::optional<Address> find_dynamic(const ProgramImage& program) {
  const auto phdr = proc_fs::auxv_value(program.auxv, program.word_size, AT_PHDR);
  const auto count = proc_fs::auxv_value(program.auxv, program.word_size, AT_PHNUM);
  if (!phdr || !count || *count > max_program_headers) return std::nullopt;
  const Segments segments = program.word_size == 4
                                ? read_segments<Elf32_Phdr>(program, Address(*phdr), *count)
                                : read_segments<Elf64_Phdr>(program, Address(*phdr), *count);
  const auto bias = load_bias(program, segments, *phdr);
  if (!bias || !segments.dynamic) return std::nullopt;
  const std::uint64_t at = *bias + *segments.dynamic;
  return Address(program.word_size == 4 ? at & UINT32_MAX : at);
}

// ---- the document ------------------------------------------------------------------------------

struct LinkMap {
  std::uint64_t address, name, dynamic, next, prev;
};

std::optional<LinkMap> read_link_map(const ProgramImage& program, std::uint64_t at) {
  auto words = read_words<5>(program, Address(at));
  if (!words) return std::nullopt;
  const auto [address, name, dynamic, next, prev] = *words;
  return LinkMap{address, name, dynamic, next, prev};
}

// Up to its NUL, or to the first byte that cannot be read. Most names fit into the first piece.
std::string read_name(const ProgramImage& program, std::uint64_t at) {
  std::string name;
  for (std::size_t piece = 128; name.size() < max_name; piece = max_name - name.size()) {
    std::string buffer(piece, '\0');
    buffer.resize(
        program.memory.read(Address(at) + name.size(), std::as_writable_bytes(std::span(buffer))));
    const std::size_t nul = buffer.find('\0');
    name += buffer.substr(0, nul);
    if (nul != std::string::npos || buffer.size() < piece) break;
  }
  return name;
}

class Document {
 public:
  Document(const ProgramImage& program, MainLinkMap main) : program_(program), main_(main) {}

  // The link maps from `at` on, whose first has `prev` as its predecessor. False: not to the end.
  Work<bool> add_chain(std::uint64_t at, std::uint64_t prev, std::uint64_t lmid) {
    while (at != 0 && room()) {
      const auto map = read_link_map(program_, at);
      if (!map || map->prev != prev) break;
      add(at, *map, lmid);
      prev = std::exchange(at, map->next);
      if (count_ % libraries_in_a_piece == 0) co_await Pause{};
    }
    co_return at == 0;
  }

  // The first namespace: its first entry is the program itself.
  Work<bool> add_default_chain(std::uint64_t at, std::uint64_t lmid) {
    const auto main = at == 0 ? std::nullopt : read_link_map(program_, at);
    if (!main || main->prev != 0) co_return false;
    if (main_ == MainLinkMap::named) main_lm_ = fmt::format(" main-lm=\"{:#x}\"", at);
    co_return co_await add_chain(main->next, at, lmid);
  }

  std::string text() const {
    return fmt::format("<library-list-svr4 version=\"1.0\"{}>{}</library-list-svr4>", main_lm_,
                       libraries_);
  }

 private:
  bool room() { return libraries_.size() < max_document && count_++ < max_libraries; }

  void add(std::uint64_t at, const LinkMap& map, std::uint64_t lmid) {
    const std::string name = read_name(program_, map.name);
    if (name.empty()) return;
    fmt::format_to(std::back_inserter(libraries_),
                   R"(<library name="{}" lm="{:#x}" l_addr="{:#x}" l_ld="{:#x}" lmid="{:#x}"/>)",
                   xml_text(name), at, map.address, map.dynamic, lmid);
  }

  const ProgramImage& program_;
  MainLinkMap main_;
  std::string main_lm_;
  std::string libraries_;
  std::size_t count_ = 0;
};

struct RDebug {
  std::uint64_t version, map, next;
};

std::optional<RDebug> read_r_debug(const ProgramImage& program, std::uint64_t at) {
  const auto words = read_words<5>(program, Address(at));
  if (!words) return std::nullopt;
  RDebug found{(*words)[0] & UINT32_MAX, (*words)[1], 0};  // r_version is an int
  if (found.version < 2) return found;
  const auto next = read_words<1>(program, Address(at) + 5 * program.word_size);
  if (next) found.next = (*next)[0];
  return found;
}

}  // namespace

Result<LibrariesAnnex> parse_libraries_annex(std::string_view annex) {
  LibrariesAnnex parsed;
  while (!annex.empty()) {
    std::string_view field = annex.substr(0, annex.find(';'));
    annex.remove_prefix(std::min(field.size() + 1, annex.size()));
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = field.substr(0, equals), value = field.substr(equals + 1);
    std::uint64_t* into = key == "start"  ? &parsed.start
                          : key == "prev" ? &parsed.prev
                          : key == "lmid" ? &parsed.lmid
                                          : nullptr;
    if (into == nullptr || value.empty()) continue;
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *into, 16);
    if (error != std::errc() || end != value.data() + value.size()) {
      return fail(Errc::malformed, "libraries-svr4: bad address in annex");
    }
  }
  return parsed;
}

Result<Address> shlib_info_address(const ProgramImage& program) {
  auto at = find_dynamic(program);
  for (std::size_t n = 0; at && n < max_dynamic_entries; ++n) {
    const auto entry = read_words<2>(program, *at);
    if (!entry || (*entry)[0] == DT_NULL) break;
    if ((*entry)[0] == DT_DEBUG) return *at + program.word_size;
    *at += 2 * program.word_size;
  }
  return fail(Errc::refused, "the program has no DT_DEBUG entry");
}

Work<Result<std::string>> libraries_svr4(ProgramImage program, LibrariesAnnex annex,
                                         MainLinkMap main_link_map) {
  const auto location = shlib_info_address(program);
  if (!location) co_return tl::unexpected(location.error());
  Document document(program, main_link_map);
  if (annex.start != 0) {
    co_await document.add_chain(annex.start, annex.prev, annex.lmid);
    co_return document.text();
  }
  const auto first = read_words<1>(program, *location);
  std::uint64_t at = first ? (*first)[0] : 0;
  for (std::size_t n = 0; at != 0 && n < max_namespaces; ++n) {
    const auto r_debug = read_r_debug(program, at);
    if (!r_debug || r_debug->version == 0) break;
    if (n == 0) {
      co_await document.add_default_chain(r_debug->map, at);
    } else {
      co_await document.add_chain(r_debug->map, 0, at);
    }
    at = r_debug->next;
  }
  co_return document.text();
}

}  // namespace stub
