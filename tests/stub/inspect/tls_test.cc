#include "stub/inspect/tls.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include "tests/catch.h"
#include "tests/stub/inspect/self_program.h"

using namespace stub;

namespace {

// ---- this program ----------------------------------------------------------------------------

thread_local volatile int variable_of_ours = 1;

// A module's block in the calling thread as the dynamic linker tells it; null: not allocated.
struct Block {
  std::string name;
  std::uint64_t link_map = 0, address = 0;
};

std::vector<Block> blocks_of_this_thread() {
  std::vector<Block> blocks;
  const auto visit = [](dl_phdr_info* info, std::size_t, void* to) {
    if (info->dlpi_tls_modid != 0) {
      static_cast<std::vector<Block>*>(to)->push_back(
          {info->dlpi_name, 0, reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data)});
    }
    return 0;
  };
  dl_iterate_phdr(visit, &blocks);
  for (Block& block : blocks) {
    for (link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
      if (block.name == map->l_name) block.link_map = reinterpret_cast<std::uintptr_t>(map);
    }
  }
  return blocks;
}

void check_this_thread(SelfProgram& self) {
  const TlsThread thread = self.this_thread();
  for (const Block& block : blocks_of_this_thread()) {
    INFO(block.name);
    const auto address = tls_address(thread, 0x10, Address(block.link_map));
    const auto library = ThreadDb::load("$sdir").and_then(
        [&](const ThreadDb& db) { return db.tls_address(thread, 0x10, Address(block.link_map)); });
    if (block.address != 0) {
      CHECK(address == Address(block.address + 0x10));
      CHECK(library == Address(block.address + 0x10));
    } else {
      REQUIRE_FALSE(address.has_value());
      CHECK(address.error().code == Errc::refused);
      REQUIRE_FALSE(library.has_value());
      CHECK(library.error().code == Errc::refused);
    }
  }
}

// A library with thread-local storage, made on the spot and opened; closed and deleted at the end.
struct OpenedLibrary {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("sidestep-tls-" + std::to_string(getpid()) + ".so"))
                         .string();
  void* handle = nullptr;
  OpenedLibrary() {
    const std::string command =
        "echo 'static __thread long v = 7; long* address(void) { return &v; }' | "
        "cc -shared -fPIC -x c - -o " +
        path;
    REQUIRE(std::system(command.c_str()) == 0);
    handle = dlopen(path.c_str(), RTLD_NOW);
    REQUIRE(handle != nullptr);
  }
  ~OpenedLibrary() {
    if (handle != nullptr) dlclose(handle);
    std::filesystem::remove(path);
  }
  void touch() { reinterpret_cast<long* (*)()>(dlsym(handle, "address"))(); }
};

// ---- a program made of bytes -------------------------------------------------------------------

class FakeProgram : public MemoryReader {
 public:
  explicit FakeProgram(std::size_t word_size) : word_size_(word_size) {}

  std::size_t read(Address from, std::span<std::byte> to) override {
    std::size_t done = 0;
    for (; done < to.size(); ++done) {
      const auto found = bytes_.find(from.value() + done);
      if (found == bytes_.end()) break;
      to[done] = found->second;
    }
    return done;
  }
  template <class T>
  void put(std::uint64_t at, const T& value) {
    std::byte bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof value);
    for (std::size_t i = 0; i < sizeof(T); ++i) bytes_[at + i] = bytes[i];
  }
  void words(std::uint64_t at, std::vector<std::uint64_t> values) {
    for (std::uint64_t value : values) {
      if (word_size_ == 8) {
        put(at, value);
      } else {
        put(at, static_cast<std::uint32_t>(value));
      }
      at += word_size_;
    }
  }
  void text(std::uint64_t at, std::string_view text) {
    for (char c : text) put(at++, c);
    put(at, '\0');
  }
  TlsThread thread(std::uint64_t thread_pointer) {
    auxv_.clear();
    for (std::uint64_t value : {std::uint64_t{AT_PHDR}, headers, std::uint64_t{AT_PHNUM},
                                header_count, std::uint64_t{AT_NULL}, std::uint64_t{0}}) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      auxv_.insert(auxv_.end(), bytes, bytes + word_size_);
    }
    TlsThread thread{{*this, auxv_, word_size_}, Pid{1}, Tid{1}, {}};
    (word_size_ == 8 ? thread.registers.fs_base : thread.registers.gs_base) = thread_pointer;
    return thread;
  }

  std::uint64_t headers = 0x400040, header_count = 0;

 private:
  std::size_t word_size_;
  std::map<std::uint64_t, std::byte> bytes_;
  std::vector<std::byte> auxv_;
};

template <class Phdr>
Phdr header(unsigned type, std::uint64_t address, std::uint64_t file_size = 0,
            std::uint64_t memory_size = 0, std::uint64_t alignment = 1) {
  Phdr h{};
  h.p_type = type;
  h.p_vaddr = static_cast<decltype(h.p_vaddr)>(address);
  h.p_filesz = static_cast<decltype(h.p_filesz)>(file_size);
  h.p_memsz = static_cast<decltype(h.p_memsz)>(memory_size);
  h.p_align = static_cast<decltype(h.p_align)>(alignment);
  return h;
}

// A static program with a TLS segment of 0x4c bytes, 0x40-aligned.
template <class Phdr>
FakeProgram static_program(std::size_t word_size) {
  FakeProgram program(word_size);
  program.put(program.headers, header<Phdr>(PT_TLS, 0x4c0000, 8, 0x4c, 0x40));
  program.header_count = 1;
  return program;
}

constexpr std::uint64_t library_map = 0x7f0000001000, library_base = 0x7f0000100000;
constexpr std::uint64_t thread_pointer = 0x7f0000200000, vector = 0x7f0000300000;

// A program with a dynamic linker of that name and a library with a TLS segment of 0x40 bytes,
// which its link map describes at some place; `behind` are the words after the alignment.
FakeProgram dynamic_program(std::string_view interpreter, std::vector<std::uint64_t> behind) {
  FakeProgram program(8);
  program.put(program.headers, header<Elf64_Phdr>(PT_PHDR, 0x40));
  program.put(program.headers + sizeof(Elf64_Phdr), header<Elf64_Phdr>(PT_INTERP, 0x318));
  program.header_count = 2;
  program.text(0x400318, interpreter);

  Elf64_Ehdr ehdr{};
  std::memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
  ehdr.e_phoff = 0x40;
  ehdr.e_phnum = 1;
  program.put(library_base, ehdr);
  program.put(library_base + 0x40, header<Elf64_Phdr>(PT_TLS, 0x3dc0, 0x10, 0x40, 0x20));

  std::vector<std::uint64_t> map{library_base, 0,    0,   0, 0,
                                 0x10,         0x40, 0x20};  // and misleading words
  map.insert(map.end(), {library_base + 0x3dc0, 0x10, 0x40, 0x20});
  map.insert(map.end(), behind.begin(), behind.end());
  program.words(library_map, map);
  program.words(thread_pointer, {thread_pointer, vector});
  return program;
}

Result<Address> ask(FakeProgram& program, std::uint64_t offset = 8) {
  return tls_address(program.thread(thread_pointer), offset, Address(library_map));
}

constexpr const char* glibc = "/lib64/ld-linux-x86-64.so.2";
constexpr const char* musl = "/lib/ld-musl-x86_64.so.1";
constexpr std::uint64_t none = ~std::uint64_t{0};

}  // namespace

TEST_CASE("every module of this program in two threads") {
  SelfProgram self;
  variable_of_ours = 2;
  REQUIRE(blocks_of_this_thread().size() >= 2);  // this program and libc
  check_this_thread(self);
  std::thread([&] { check_this_thread(self); }).join();
}

TEST_CASE("a library opened later has a block in the threads that touched it") {
  SelfProgram self;
  OpenedLibrary library;
  std::thread([&] { check_this_thread(self); }).join();
  std::thread([&] {
    library.touch();
    check_this_thread(self);
  }).join();
  library.touch();
  check_this_thread(self);
}

TEST_CASE("directories the user names are the only ones") {
  SelfProgram self;
  const auto refused = tls_address(self.this_thread(), 0, Address(0), {"/nonexistent:/neither"});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::refused);
  CHECK(refused.error().text.find("/neither/libthread_db.so.1") != std::string::npos);
  CHECK(tls_address(self.this_thread(), 0, Address(0), {"/nonexistent:$sdir"}).has_value());
  CHECK_FALSE(ThreadDb::load("").has_value());
}

TEST_CASE("the main program's block ends at the thread pointer") {
  FakeProgram amd64 = static_program<Elf64_Phdr>(8);
  CHECK(tls_address(amd64.thread(thread_pointer), 8, Address(0)) ==
        Address(thread_pointer - 0x80 + 8));
  FakeProgram i386 = static_program<Elf32_Phdr>(4);
  CHECK(tls_address(i386.thread(0xf7d00800), 8, Address(0)) == Address(0xf7d00800 - 0x80 + 8));
}

TEST_CASE("no thread pointer, no TLS segment, no headers") {
  FakeProgram program = static_program<Elf64_Phdr>(8);
  CHECK(tls_address(program.thread(0), 0, Address(0)).error().code == Errc::refused);
  program.put(program.headers,
              header<Elf64_Phdr>(PT_TLS, 0x4c0000, 8, 0x4c, 3));  // no power of two
  CHECK(tls_address(program.thread(thread_pointer), 0, Address(0)).error().code == Errc::refused);
  program.header_count = 0;
  CHECK(tls_address(program.thread(thread_pointer), 0, Address(0)).error().code == Errc::refused);
  program.headers = 0;
  CHECK_FALSE(tls_address(program.thread(thread_pointer), 0, Address(0)).has_value());
}

TEST_CASE("glibc without libthread_db") {
  SECTION("a block below the thread pointer") {
    FakeProgram program = dynamic_program(glibc, {0, 0x140, 2});
    CHECK(ask(program) == Address(thread_pointer - 0x140 + 8));
  }
  for (const std::uint64_t no_static_offset : {std::uint64_t{0}, none}) {
    FakeProgram program = dynamic_program(glibc, {0, no_static_offset, 2});
    program.words(vector - 16, {3, 0, 1, 0, 0x1111, 0, 0x2220, 0, none, 0});  // length, 0, 1, 2, 3
    CHECK(ask(program) == Address(0x2228));
    program.words(vector + 32, {none});
    CHECK(ask(program).error().code == Errc::refused);  // not allocated
    program.words(vector + 32, {0x2220});
    program.words(vector - 16, {1});
    CHECK(ask(program).error().code == Errc::refused);  // vector not grown yet
  }
}

TEST_CASE("musl") {
  // The offset behind the alignment counts at start-up only; the vector always.
  FakeProgram program = dynamic_program(musl, {0x140, 2});
  program.words(vector, {2, 0x1111, 0x2220});
  CHECK(ask(program) == Address(0x2228));
  program.words(vector, {1});
  CHECK(ask(program).error().code == Errc::refused);
}

TEST_CASE("link maps that are none") {
  FakeProgram program = dynamic_program(glibc, {0, 0x140, 2});
  const TlsThread thread = program.thread(thread_pointer);
  CHECK(tls_address(thread, 0, Address(0x10)).error().code == Errc::bad_address);
  CHECK(tls_address(thread, 0, Address(vector)).error().code == Errc::bad_address);
  program.words(0x5000, {0x400000});  // readable, but no ELF file there
  CHECK(tls_address(thread, 0, Address(0x5000)).error().code == Errc::bad_address);
  FakeProgram short_map = dynamic_program(glibc, {});  // ends behind the alignment
  CHECK(ask(short_map).error().code == Errc::refused);
}
