#include "stub/inspect/libraries_svr4.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "stub/kernel/proc_fs.h"
#include "tests/catch.h"
#include "tests/stub/base/sparse_memory.h"

namespace {

using stub::Address;
using stub::Errc;
using stub::libraries_svr4;
using stub::LibrariesAnnex;
using stub::MainLinkMap;
using stub::parse_libraries_annex;
using stub::ProgramImage;
using stub::shlib_info_address;

const std::string empty_list = R"(<library-list-svr4 version="1.0"></library-list-svr4>)";

std::vector<std::byte> bytes_of(const auto& values) {
  auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// A program linked at 0 and loaded at 0x10000, with a dynamic section at 0x11000.
struct Program {
  explicit Program(std::size_t word_size) : word(word_size) {
    if (word == 8) {
      make<Elf64_Phdr, Elf64_Ehdr>();
    } else {
      make<Elf32_Phdr, Elf32_Ehdr>();
    }
    memory.put_words(0x11000, word, {DT_NEEDED, 1, DT_DEBUG, 0x20000, DT_NULL, 0});
  }

  template <class Phdr, class Ehdr>
  void make(bool with_phdr = true) {
    std::vector<Phdr> headers(3);
    headers[0].p_type = with_phdr ? PT_PHDR : PT_NOTE;
    headers[0].p_vaddr = sizeof(Ehdr);
    headers[1].p_type = PT_LOAD;
    headers[2].p_type = PT_DYNAMIC;
    headers[2].p_vaddr = 0x1000;
    memory.put(0x10000 + sizeof(Ehdr), bytes_of(headers));
    auxv.resize(4 * word);
    const std::uint64_t values[] = {AT_PHDR, 0x10000 + sizeof(Ehdr), AT_PHNUM, 3};
    for (int i = 0; i < 4; ++i) std::memcpy(&auxv[i * word], &values[i], word);
  }

  void r_debug(std::uint64_t at, int version, std::uint64_t map, std::uint64_t next = 0) {
    memory.put_words(at, word, {static_cast<std::uint64_t>(version), map, 0, 0, 0, next});
  }
  // The name's text is put at `at` + 0x80.
  void link_map(std::uint64_t at, std::string_view name, std::uint64_t next, std::uint64_t prev) {
    memory.put_words(at, word, {at * 16, at + 0x80, at * 16 + 8, next, prev});
    memory.put(at + 0x80, std::string(name) + '\0');
  }
  ProgramImage image() { return {memory, auxv, word}; }

  std::size_t word;
  std::vector<std::byte> auxv;
  SparseMemory memory;
};

std::string library(const char* name, const char* lm, const char* lmid) {
  const std::string at = lm;
  return std::string("<library name=\"") + name + "\" lm=\"" + at + "\" l_addr=\"" + at +
         "0\" l_ld=\"" + at + "8\" lmid=\"" + lmid + "\"/>";
}

// Reads this process.
class OwnMemory : public stub::MemoryReader {
 public:
  ~OwnMemory() override { ::close(fd_); }
  std::size_t read(Address from, std::span<std::byte> to) override {
    const ssize_t n = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(from.value()));
    return n < 0 ? 0 : n;
  }

 private:
  int fd_ = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
};

}  // namespace

TEST_CASE("libraries annex") {
  auto same = [](std::string_view annex, std::uint64_t start, std::uint64_t prev,
                 std::uint64_t lmid) {
    auto parsed = parse_libraries_annex(annex);
    return parsed && parsed->start == start && parsed->prev == prev && parsed->lmid == lmid;
  };
  CHECK(same("", 0, 0, 0));
  CHECK(same("start=7ffff7ffe8b0;prev=7FF", 0x7ffff7ffe8b0, 0x7ff, 0));
  CHECK(same("lmid=3;prev=2;start=1;", 1, 2, 3));
  CHECK(same("start=;foo=zz;bar;prev=5", 0, 5, 0));
  for (const char* bad : {"start=xyz", "start=0x1", "start=1;prev=0,", "start=11111111111111111"}) {
    CAPTURE(bad);
    auto parsed = parse_libraries_annex(bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::malformed);
  }
}

TEST_CASE("the link map of a program, 64 and 32 bits") {
  for (std::size_t word : {8, 4}) {
    CAPTURE(word);
    Program p(word);
    CHECK(shlib_info_address(p.image()) == Address(0x11000 + 3 * word));
    p.r_debug(0x20000, 2, 0x30000, 0x21000);
    p.link_map(0x30000, "", 0x31000, 0);
    p.link_map(0x31000, "linux-vdso.so.1", 0x32000, 0x30000);
    p.link_map(0x32000, "/lib/a<b>.so", 0x33000, 0x31000);
    p.link_map(0x33000, "", 0, 0x32000);      // nameless: left out
    p.r_debug(0x21000, 1, 0x34000, 0x20000);  // version 1 has no r_next
    p.link_map(0x34000, "/lib/other.so", 0, 0);

    const std::string all = library("linux-vdso.so.1", "0x31000", "0x20000") +
                            library("/lib/a&lt;b&gt;.so", "0x32000", "0x20000") +
                            library("/lib/other.so", "0x34000", "0x21000");
    CHECK(finish(libraries_svr4(p.image(), {})) ==
          R"(<library-list-svr4 version="1.0" main-lm="0x30000">)" + all + "</library-list-svr4>");
    CHECK(finish(libraries_svr4(p.image(), {}, MainLinkMap::left_out)) ==
          R"(<library-list-svr4 version="1.0">)" + all + "</library-list-svr4>");

    // From a link map on; lmid is echoed.
    CHECK(finish(libraries_svr4(p.image(), {0x32000, 0x31000, 0x77})) ==
          R"(<library-list-svr4 version="1.0">)" +
              library("/lib/a&lt;b&gt;.so", "0x32000", "0x77") + "</library-list-svr4>");
    CHECK(finish(libraries_svr4(p.image(), {0x32000, 0, 0})) == empty_list);  // l_prev differs
    CHECK(finish(libraries_svr4(p.image(), {1, 0, 0})) == empty_list);        // no such memory
  }
}

TEST_CASE("programs without a link map") {
  Program p(8);
  SECTION("the dynamic linker has not run") {
    p.memory.put_words(0x11000, 8, {DT_DEBUG, 0, DT_NULL, 0});
    CHECK(finish(libraries_svr4(p.image(), {})) == empty_list);
  }
  SECTION("r_debug is not filled in yet") {
    p.r_debug(0x20000, 0, 0x30000);
    CHECK(finish(libraries_svr4(p.image(), {})) == empty_list);
  }
  SECTION("r_debug cannot be read") { CHECK(finish(libraries_svr4(p.image(), {})) == empty_list); }
  SECTION("no DT_DEBUG") {
    p.memory.put_words(0x11000, 8, {DT_NEEDED, 1, DT_NULL, 0});
    CHECK_FALSE(shlib_info_address(p.image()));
    CHECK_FALSE(finish(libraries_svr4(p.image(), {})));
  }
  SECTION("no auxiliary vector, a cut one, an absurd one") {
    p.auxv.resize(17);
    CHECK_FALSE(shlib_info_address(p.image()));
    p.auxv.clear();
    CHECK_FALSE(shlib_info_address(p.image()));
    const std::uint64_t huge[] = {AT_PHDR, 0x10040, AT_PHNUM, 1u << 30};
    p.auxv = bytes_of(huge);
    CHECK_FALSE(shlib_info_address(p.image()));
  }
  SECTION("no PT_PHDR: the headers follow the ELF header") {
    p.make<Elf64_Phdr, Elf64_Ehdr>(false);
    CHECK(shlib_info_address(p.image()) == Address(0x11018));
  }
}

TEST_CASE("hostile link maps end") {
  Program p(8);
  p.r_debug(0x20000, 2, 0x30000);
  p.link_map(0x30000, "", 0x31000, 0);
  auto text = [&] { return finish(libraries_svr4(p.image(), {})).value(); };
  SECTION("a cycle") {
    p.link_map(0x31000, "a", 0x32000, 0x30000);
    p.link_map(0x32000, "b", 0x31000, 0x31000);
    CHECK(text().size() < 1000);
  }
  SECTION("an entry that is its own neighbour") {
    p.link_map(0x31000, "a", 0x31000, 0x31000);
    CHECK(text().size() < 1000);
    CHECK(finish(libraries_svr4(p.image(), {0x31000, 0x31000, 0})).value().size() < (17u << 20));
  }
  SECTION("a nameless entry that is its own neighbour") {
    p.link_map(0x31000, "", 0x31000, 0x31000);
    CHECK(finish(libraries_svr4(p.image(), {0x31000, 0x31000, 0})) == empty_list);
  }
  SECTION("garbage pointers") {
    p.memory.put_words(0x31000, 8, {1, UINT64_MAX - 3, 2, UINT64_MAX, 0x30000});
    CHECK(text() == R"(<library-list-svr4 version="1.0" main-lm="0x30000"></library-list-svr4>)");
  }
  SECTION("a name without an end") {
    p.memory.put_words(0x31000, 8, {1, 0x100000, 2, 0, 0x30000});
    p.memory.put(0x100000, std::string(1 << 20, '&'));
    CHECK(text().size() < 4096 * 5 + 400);
  }
  SECTION("a name that ends in unreadable memory") {
    p.memory.put_words(0x31000, 8, {1, 0x100000, 2, 0, 0x30000});
    p.memory.put(0x100000, "/lib/x");
    CHECK(text().find("name=\"/lib/x\"") != std::string::npos);
  }
  SECTION("namespaces in a ring") {
    p.r_debug(0x20000, 2, 0x30000, 0x20000);
    p.link_map(0x31000, "a", 0, 0x30000);
    CHECK(text().size() < 64 * 200);
  }
  SECTION("a dynamic section without an end") {
    std::vector<std::uint64_t> words(2 * 100000, DT_NEEDED);
    p.memory.put_words(0x11000, 8, words);
    CHECK_FALSE(shlib_info_address(p.image()));
  }
}

TEST_CASE("this process") {
  OwnMemory memory;
  auto auxv = stub::proc_fs::auxv(stub::Pid{::getpid()});
  REQUIRE(auxv);
  const ProgramImage image{memory, *auxv, sizeof(void*)};
  const auto location = shlib_info_address(image);
  REQUIRE(location);
  const auto* map = ::_r_debug.r_map;
  CHECK(stub::read_value<std::uint64_t>(memory, *location).value_or(0) != 0);
  const std::string text = finish(libraries_svr4(image, {})).value();
  CHECK(text.find("libc.so.6") != std::string::npos);
  for (map = map->l_next; map != nullptr; map = map->l_next) {
    CHECK(text.find(std::string("name=\"") + map->l_name + '"') != std::string::npos);
  }
}
