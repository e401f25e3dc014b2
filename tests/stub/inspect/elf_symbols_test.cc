#include "stub/inspect/elf_symbols.h"

#include <dlfcn.h>

#include <cstdint>

#include "tests/catch.h"
#include "tests/stub/inspect/self_program.h"

using namespace stub;

TEST_CASE("dynamic symbols are where the dynamic linker finds them") {
  SelfProgram self;
  for (const char* name : {"gnu_get_libc_version", "environ", "_r_debug", "getpid"}) {
    INFO(name);
    const auto found = find_dynamic_symbol(self.image(), name);
    REQUIRE(found.has_value());
    CHECK(found->value() == reinterpret_cast<std::uintptr_t>(dlsym(RTLD_DEFAULT, name)));
  }
  for (const char* name : {"", "no_such_symbol", "gnu_get_libc_versio", "gnu_get_libc_version_"}) {
    INFO(name);
    CHECK_FALSE(find_dynamic_symbol(self.image(), name).has_value());
  }
}

// Its list of libraries has no end.
struct EndlessProgram : SelfProgram {
  std::size_t reads = 0;
  std::size_t read(stub::Address from, std::span<std::byte> to) override {
    ++reads;
    const std::size_t size = SelfProgram::read(from, to);
    if (auto* map = reinterpret_cast<link_map*>(to.data());
        to.size() == 40 && map->l_next == nullptr)
      map->l_next = _r_debug.r_map;
    return size;
  }
};

TEST_CASE("dynamic symbols are not looked for without end") {
  EndlessProgram program;
  CHECK_FALSE(find_dynamic_symbol(program.image(), "no_such_symbol").has_value());
  CHECK(program.reads < 500'000);
}

TEST_CASE("the main program's link map") {
  SelfProgram self;
  CHECK(main_link_map(self.image())->value() == reinterpret_cast<std::uintptr_t>(_r_debug.r_map));
}

TEST_CASE("a program without an auxiliary vector has no symbols") {
  SelfProgram self;
  self.auxv.clear();
  CHECK_FALSE(find_dynamic_symbol(self.image(), "getpid").has_value());
  CHECK_FALSE(main_link_map(self.image()).has_value());
}
