#include "stub/base/memory_map.h"

#include <vector>

#include "tests/catch.h"

namespace {

using stub::find_gap_at;
using stub::find_gap_near;
using stub::find_mapping;
using stub::Gap;
using stub::Mapping;
using x86::Address;
using x86::Mode;

constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

Mapping mapping(std::uint64_t start, std::uint64_t end, std::string path = "") {
  Mapping m;
  m.start = Address(start);
  m.end = Address(end);
  m.read = true;
  m.path = std::move(path);
  return m;
}

// A position-independent program as the kernel lays it out without randomisation.
const std::vector<Mapping> pie = {
    mapping(0x555555554000, 0x55555555a000, "/bin/prog"),
    mapping(0x55555555a000, 0x55555557b000, "[heap]"),
    mapping(0x7ffff7c00000, 0x7ffff7dd5000, "/lib/libc.so.6"),
    mapping(0x7ffff7de0000, 0x7ffff7de3000),
    mapping(0x7ffff7fc9000, 0x7ffff7fcb000, "[vdso]"),
    mapping(0x7ffff7fcb000, 0x7ffff7fff000, "/lib/ld.so"),
    mapping(0x7ffffffde000, 0x7ffffffff000, "[stack]"),
    mapping(0xffffffffff600000, 0xffffffffff601000, "[vsyscall]"),
};

const std::vector<Mapping> fixed_position = {
    mapping(0x400000, 0x410000, "/bin/prog"),
    mapping(0x11000000, 0x11021000, "[heap]"),
    mapping(0x7ffff7fc9000, 0x7ffff7fff000, "/lib/ld.so"),
    mapping(0x7ffffffde000, 0x7ffffffff000, "[stack]"),
};

const std::vector<Mapping> i386 = {
    mapping(0x8048000, 0x8060000, "/bin/prog"),
    mapping(0x8060000, 0x8081000, "[heap]"),
    mapping(0xf7c00000, 0xf7ffe000, "/lib/libc.so.6"),
    mapping(0xfffdd000, 0xffffe000, "[stack]"),
};

}  // namespace

TEST_CASE("find_mapping and find_gap_at") {
  CHECK(find_mapping(pie, Address(0x555555554000)) == &pie[0]);
  CHECK(find_mapping(pie, Address(0x555555559fff)) == &pie[0]);
  CHECK(find_mapping(pie, Address(0x55555555a000)) == &pie[1]);
  CHECK(find_mapping(pie, Address(0x555555553fff)) == nullptr);
  CHECK(find_mapping(pie, Address(0x55555557b000)) == nullptr);
  CHECK(find_mapping(pie, Address(UINT64_MAX)) == nullptr);
  CHECK(find_mapping({}, Address(0)) == nullptr);

  CHECK(find_gap_at(pie, Address(0x555555554000)) == std::nullopt);
  CHECK(find_gap_at(pie, Address(0)) == Gap{Address(0), Address(0x555555554000)});
  CHECK(find_gap_at(pie, Address(0x7ffff7dd5000)) ==
        Gap{Address(0x7ffff7dd5000), Address(0x7ffff7de0000)});
  CHECK(find_gap_at(pie, Address(0xffffffffff601000)) ==
        Gap{Address(0xffffffffff601000), Address(UINT64_MAX)});
  CHECK(find_gap_at({}, Address(7)) == Gap{Address(0), Address(UINT64_MAX)});
}

TEST_CASE("find_gap_near: where the area goes in usual layouts") {
  struct Row {
    const char* what;
    const std::vector<Mapping>& mappings;
    std::uint64_t text;
    Mode mode;
    std::uint64_t from, to;  // the area has to lie in here
  };
  const Row rows[] = {
      {"below a PIE", pie, 0x555555555000, Mode::amd64, 0x555555555000 - 1 * gib, 0x555555554000},
      {"below the libraries", pie, 0x7ffff7c28000, Mode::amd64, 0x7ffff7c28000 - 1 * gib,
       0x7ffff7c00000 - 256 * mib},
      {"below the libraries for ld.so, too", pie, 0x7ffff7fcc000, Mode::amd64,
       0x7ffff7fcc000 - 1 * gib, 0x7ffff7c00000 - 256 * mib},
      {"between page 0 and a fixed program", fixed_position, 0x401000, Mode::amd64, 0x10000,
       0x300000},
      {"i386, below the program", i386, 0x8049000, Mode::i386, 0x10000, 0x7f48000},
      {"i386, below the libraries", i386, 0xf7c28000, Mode::i386, 0x18081000, 0xf7b00000},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    constexpr std::uint64_t size = 256 * kib;
    auto at = find_gap_near(row.mappings, Address(row.text), size, row.mode);
    REQUIRE(at);
    CHECK(at->value() % 4096 == 0);
    CHECK(at->value() >= row.from);
    CHECK(at->value() + size <= row.to);
  }
}

TEST_CASE("find_gap_near: heap and stack keep their room") {
  // Nothing free below the text: the area goes above, behind the heap's reserve, within reach.
  std::vector<Mapping> full_below = {
      mapping(0x10000, 0x40000000, "reserved"),
      mapping(0x40000000, 0x40010000, "/bin/prog"),
      mapping(0x40010000, 0x40020000, "[heap]"),
  };
  auto at = find_gap_near(full_below, Address(0x40001000), 64 * kib, Mode::amd64);
  REQUIRE(at);
  CHECK(at->value() >= 0x40020000 + 1 * gib);
  CHECK(at->value() + 64 * kib <= 0x40001000 + 2 * gib);

  // The only free space is the stack's.
  std::vector<Mapping> stack_only = {
      mapping(0x10000, 0x7ffff0000000, "reserved"),
      mapping(0x7ffff7fff000, 0x7ffffffff000, "[stack]"),
  };
  CHECK(find_gap_near(stack_only, Address(0x7fffeff00000), 64 * kib, Mode::amd64) == std::nullopt);
}

TEST_CASE("find_gap_near: crowded neighbourhoods") {
  const std::uint64_t text = 0x500000000000;
  // Everything within 2 GiB is taken, except what `hole` leaves.
  auto crowded = [&](std::uint64_t hole, std::uint64_t size) {
    std::vector<Mapping> m;
    if (size == 0) return std::vector{mapping(text - 3 * gib, text + 3 * gib)};
    m.push_back(mapping(text - 3 * gib, hole));
    m.push_back(mapping(hole + size, text + 3 * gib));
    return m;
  };
  SECTION("full: nothing") {
    CHECK(find_gap_near(crowded(0, 0), Address(text), 4 * kib, Mode::amd64) == std::nullopt);
  }
  SECTION("a hole that fits with a page on either side is used, below or above") {
    for (std::uint64_t hole : {text - 1536 * mib, text + 1600 * mib}) {
      CHECK(find_gap_near(crowded(hole, 72 * kib), Address(text), 64 * kib, Mode::amd64) ==
            Address(hole + 4096));
    }
  }
  SECTION("a hole that is one page too small is not") {
    CHECK(find_gap_near(crowded(text - 64 * mib, 68 * kib), Address(text), 64 * kib, Mode::amd64) ==
          std::nullopt);
  }
  SECTION("a hole out of reach is not") {
    for (std::uint64_t hole : {text - 2 * gib, text + 2 * gib}) {
      CHECK(find_gap_near(crowded(hole, mib), Address(text), 64 * kib, Mode::amd64) ==
            std::nullopt);
    }
  }
  SECTION("a mapping inside another one ends nothing") {
    auto m = crowded(0, 0);
    m.push_back(mapping(text - gib, text - gib + mib));
    CHECK(find_gap_near(m, Address(text), 4 * kib, Mode::amd64) == std::nullopt);
  }
  SECTION("of two holes below, the larger") {
    std::vector<Mapping> m = {mapping(text - 3 * gib, text - 600 * mib),
                              mapping(text - 500 * mib, text - 400 * mib),
                              mapping(text - 390 * mib, text + 3 * gib)};
    auto at = find_gap_near(m, Address(text), 64 * kib, Mode::amd64);
    REQUIRE(at);
    CHECK(at->value() > text - 600 * mib);
    CHECK(at->value() < text - 500 * mib);
  }
}

TEST_CASE("find_gap_near: ends of the address space") {
  SECTION("mmap_min_addr is respected") {
    std::vector<Mapping> m = {mapping(0x20000, 0x30000), mapping(0x30000, 0xff000000)};
    CHECK(find_gap_near(m, Address(0x20000), 4 * kib, Mode::amd64, Address(0x1f000)) ==
          std::nullopt);
    auto at = find_gap_near(m, Address(0x20000), 4 * kib, Mode::amd64, Address(0x10000));
    REQUIRE(at);
    CHECK(*at >= Address(0x10000));
  }
  SECTION("nothing at or above the end of user space") {
    std::vector<Mapping> m = {mapping(0x10000, 0x7ffffffff000)};
    CHECK(find_gap_near(m, Address(0x7fffffffe000), 4 * kib, Mode::amd64) == std::nullopt);
    CHECK(find_gap_near({}, Address(UINT64_MAX), 4 * kib, Mode::amd64) == std::nullopt);
  }
  SECTION("i386: below 4 GiB") {
    std::vector<Mapping> m = {mapping(0x10000, 0xfff00000)};
    CHECK(find_gap_near(m, Address(0xf0000000), 1 * mib, Mode::i386) == std::nullopt);
    CHECK(find_gap_near(m, Address(0xf0000000), 16 * kib, Mode::i386));
  }
  SECTION("no list, no size, too much") {
    CHECK(find_gap_near({}, Address(0x400000), 4 * kib, Mode::amd64));
    CHECK(find_gap_near({}, Address(0x400000), 0, Mode::amd64) == std::nullopt);
    CHECK(find_gap_near({}, Address(0x400000), UINT64_MAX, Mode::amd64) == std::nullopt);
  }
}
