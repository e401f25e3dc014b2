#include "stub/inferior/breakpoint_table.h"

#include <vector>

#include "tests/catch.h"
#include "tests/stub/inferior/largest_program.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

constexpr Address text(0x401000), last_page_end(0x403000);
const Pid pid = fake_pid(1);

// Rewrites memory behind the first read of it: a program that changes its text meanwhile.
class Rewriting : public FakeTracee {
 public:
  std::function<void()> after_read;
  std::size_t read_memory(Pid from, Address at, std::span<std::byte> to) override {
    const std::size_t got = FakeTracee::read_memory(from, at, to);
    if (auto once = std::exchange(after_read, nullptr)) once();
    return got;
  }
};

struct Table {
  Rewriting tracee;
  BreakpointTable sites{tracee, x86::Mode::amd64};

  Table() {
    tracee.add(pid, leader_of(pid));
    memory().map(text, 0x2000, true, false);
    // inc %rax; nop; push %rbp; syscall
    memory().put(text, {0x48, 0xff, 0xc0, 0x90, 0x55, 0x0f, 0x05, 0x90});
  }
  FakeMemory& memory() { return tracee.memory(pid); }
  // As the client sees it.
  std::vector<int> shown(Address from, std::size_t size) {
    std::vector<std::byte> bytes(size);
    bytes.resize(tracee.read_memory(pid, from, bytes));
    sites.mask(from, bytes);
    std::vector<int> values;
    for (const std::byte value : bytes) values.push_back(static_cast<int>(value));
    return values;
  }
  // As Engine::write_memory does it.
  void write(Address to, std::initializer_list<int> values) {
    std::vector<std::byte> image;
    for (const int value : values) image.push_back(static_cast<std::byte>(value));
    sites.patch_write(pid, to, image);
    const std::size_t done = tracee.write_memory(pid, to, image);
    sites.after_write(pid, to, done);
  }
};

using Bytes = std::vector<int>;

TEST_CASE("breakpoint_table: insert and remove are idempotent") {
  Table t;
  const auto first = t.sites.insert_client(pid, text, {});
  REQUIRE(first.has_value());
  CHECK(t.memory().byte(text) == 0xcc);
  CHECK((*first)->shadow == 0x48);
  CHECK((*first)->length == 3);
  const auto second =
      t.sites.insert_client(pid, text, {.conditions = {}, .commands = {}, .persist = true});
  REQUIRE(second.has_value());
  CHECK(*second == *first);
  CHECK((*second)->program.persist);  // replaced
  CHECK((*second)->shadow == 0x48);   // not the int3
  CHECK(t.sites.size() == 1);
  CHECK(t.sites.remove_client(pid, text).has_value());
  CHECK(t.memory().byte(text) == 0x48);
  CHECK(t.sites.empty());
  CHECK(t.sites.find(text) == nullptr);
  const auto again = t.sites.remove_client(pid, text);
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code == Errc::refused);
}

TEST_CASE("breakpoint_table: references of client and stub are counted apart") {
  Table t;
  REQUIRE(t.sites.insert_internal(pid, text).has_value());
  REQUIRE(t.sites.insert_internal(pid, text).has_value());
  CHECK_FALSE(t.sites.find(text)->client);
  CHECK_FALSE(t.sites.remove_client(pid, text).has_value());
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  t.sites.remove_internal(pid, text);
  CHECK(t.sites.remove_client(pid, text).has_value());
  CHECK(t.memory().byte(text) == 0xcc);
  t.sites.remove_internal(pid, text);
  CHECK(t.memory().byte(text) == 0x48);
  t.sites.remove_internal(pid, text);  // nothing there
  CHECK(t.sites.empty());
}

TEST_CASE("breakpoint_table: memory that is not there") {
  Table t;
  for (const Address at : {Address(0), text - 1, last_page_end, Address(~std::uint64_t{0})}) {
    const auto site = t.sites.insert_client(pid, at, {});
    REQUIRE_FALSE(site.has_value());
    CHECK(site.error().code == Errc::bad_address);
  }
  CHECK(t.sites.empty());
  // An instruction that the end of the mapping cuts off still makes a site.
  t.memory().put(last_page_end - 1, {0x48});
  const auto cut = t.sites.insert_client(pid, last_page_end - 1, {});
  REQUIRE(cut.has_value());
  CHECK((*cut)->plan.lane() == x86::Lane::in_place);
  // Text that vanished is an error when its site is removed, and the site is gone with it.
  t.memory().unmap(text, 0x2000);
  const auto removed = t.sites.remove_client(pid, last_page_end - 1);
  REQUIRE_FALSE(removed.has_value());
  CHECK(removed.error().code == Errc::bad_address);
  CHECK(t.sites.empty());
}

TEST_CASE("breakpoint_table: reads are masked") {
  Table t;
  const Bytes original = t.shown(text, 8);
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  REQUIRE(t.sites.insert_client(pid, text + 3, {}).has_value());
  REQUIRE(t.sites.insert_client(pid, text + 4, {}).has_value());
  REQUIRE(t.sites.insert_client(pid, text + 5, {}).has_value());
  CHECK(t.shown(text, 8) == original);
  CHECK(t.shown(text + 1, 2) == Bytes{0xff, 0xc0});
  CHECK(t.shown(text, 1) == Bytes{0x48});
  CHECK(t.shown(text + 4, 1) == Bytes{0x55});
  CHECK(t.shown(text - 8, 8).empty());
  CHECK(t.shown(text + 6, 0).empty());
  // The program's own byte over our int3 is the truth.
  t.memory().put(text, {0x77});
  CHECK(t.shown(text, 2) == Bytes{0x77, 0xff});
  // An int3 of the program's own is one.
  t.memory().put(text + 7, {0xcc});
  CHECK(t.shown(text + 7, 1) == Bytes{0xcc});
}

TEST_CASE("breakpoint_table: a write over a site changes the shadow and leaves the int3") {
  Table t;
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  CHECK(t.sites.find(text)->plan.lane() == x86::Lane::boost);
  t.write(text - 0, {0xcf});
  CHECK(t.memory().byte(text) == 0xcc);
  CHECK(t.sites.find(text)->shadow == 0xcf);
  CHECK(t.sites.find(text)->plan.lane() == x86::Lane::in_place);  // iret
  CHECK(t.shown(text, 3) == Bytes{0xcf, 0xff, 0xc0});
  t.write(text, {0x90, 0x90, 0x90});
  CHECK(t.sites.find(text)->plan.lane() == x86::Lane::emulate);
  CHECK(t.sites.find(text)->length == 1);
  // A write behind the first byte changes the plan too.
  t.write(text, {0x48, 0xff, 0xc0});
  CHECK(t.sites.find(text)->length == 3);
  t.write(text + 2, {0xe0});  // jmp *%rax
  CHECK(t.sites.find(text)->plan.lane() == x86::Lane::emulate);
  CHECK(t.sites.find(text)->original[2] == 0xe0);
  CHECK(t.sites.remove_client(pid, text).has_value());
  CHECK(t.memory().byte(text) == 0x48);
  // A write of cc over a site is the program's cc.
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  t.write(text, {0xcc});
  CHECK(t.shown(text, 1) == Bytes{0xcc});
  CHECK(t.sites.remove_client(pid, text).has_value());
  CHECK(t.memory().byte(text) == 0xcc);
}

TEST_CASE("breakpoint_table: the byte comes back only where it is still ours") {
  Table t;
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  REQUIRE(t.sites.insert_client(pid, text + 4, {}).has_value());
  t.memory().put(text, {0x77});
  t.sites.restore_all(pid);
  CHECK(t.memory().byte(text) == 0x77);
  CHECK(t.memory().byte(text + 4) == 0x55);
  CHECK(t.sites.size() == 2);
  CHECK(t.sites.remove_client(pid, text).has_value());
  CHECK(t.memory().byte(text) == 0x77);
}

TEST_CASE("breakpoint_table: text rewritten between decoding and inserting") {
  Table t;
  t.tracee.after_read = [&] { t.memory().put(text + 1, {0xff, 0xe0}); };  // jmp *%rax
  const auto site = t.sites.insert_client(pid, text, {});
  REQUIRE(site.has_value());
  CHECK((*site)->plan.lane() == x86::Lane::emulate);
  CHECK((*site)->original[2] == 0xe0);
  CHECK((*site)->original[0] == 0x48);
  CHECK((*site)->shadow == 0x48);
}

TEST_CASE("breakpoint_table: the plan is made from the program's bytes, other sites' int3 or not") {
  Table t;
  // In the middle of the instruction first, then the instruction.
  REQUIRE(t.sites.insert_client(pid, text + 1, {}).has_value());
  const auto site = t.sites.insert_client(pid, text, {});
  REQUIRE(site.has_value());
  CHECK((*site)->original[1] == 0xff);
  CHECK((*site)->length == 3);
  t.sites.replan(pid, **site);
  CHECK((*site)->original[0] == 0x48);
  CHECK((*site)->plan.lane() == x86::Lane::boost);
}

TEST_CASE("breakpoint_table: lift and put back") {
  Table t;
  const auto site = t.sites.insert_client(pid, text, {});
  REQUIRE(site.has_value());
  t.sites.lift(pid, **site);
  CHECK(t.memory().byte(text) == 0x48);
  CHECK(t.shown(text, 1) == Bytes{0x48});
  t.sites.put_back(pid, **site);
  CHECK(t.memory().byte(text) == 0xcc);
}

TEST_CASE("breakpoint_table: a fork child's copy is its own") {
  Table t;
  REQUIRE(t.sites.insert_client(pid, text, {.conditions = {}, .commands = {}, .persist = true})
              .has_value());
  t.sites.find(text)->statistics.hits = 7;
  const Pid child = fake_pid(2);
  t.tracee.add(child, leader_of(child));
  t.tracee.copy_memory(child, pid);
  BreakpointTable copy(t.tracee, x86::Mode::amd64);
  copy.copy_from(t.sites);
  REQUIRE(copy.find(text) != nullptr);
  CHECK(copy.find(text) != t.sites.find(text));
  CHECK(copy.find(text)->client);
  CHECK(copy.find(text)->program.persist);
  CHECK(copy.find(text)->statistics.hits == 0);
  copy.restore_all(child);
  CHECK(t.tracee.memory(child).byte(text) == 0x48);
  CHECK(t.memory().byte(text) == 0xcc);
  copy.clear();
  CHECK(copy.find(text) == nullptr);
  CHECK(t.sites.find(text) != nullptr);
}

TEST_CASE("breakpoint_table: numbers stay, until there are too many of addresses without a site") {
  Table t;
  t.memory().map(last_page_end, most_numbered, true, false);
  REQUIRE(t.sites.insert_client(pid, last_page_end, {}));
  REQUIRE(t.sites.insert_client(pid, text, {}));
  REQUIRE(t.sites.remove_client(pid, last_page_end));
  CHECK(t.sites.address_of(1) == last_page_end);
  CHECK(t.sites.find(text)->number == 2);
  for (std::uint64_t i = 1; i < most_numbered; ++i) {
    REQUIRE(t.sites.insert_client(pid, last_page_end + i, {}));
    REQUIRE(t.sites.remove_client(pid, last_page_end + i));
  }
  CHECK(t.sites.address_of(1) == text);
  CHECK(t.sites.find(text)->number == 1);
  CHECK(t.sites.address_of(2) == last_page_end + (most_numbered - 1));
  CHECK_FALSE(t.sites.address_of(3));
}

TEST_CASE("breakpoint_table: thousands of sites") {
  Table t;
  for (std::uint64_t i = 8; i < 0x2000; ++i)
    REQUIRE(t.sites.insert_client(pid, text + i, {}).has_value());
  CHECK(t.shown(text, 0x2000)[0x1fff] == 0);
  std::size_t visited = 0;
  t.sites.for_each([&](Site& site) { visited += site.client; });
  CHECK(visited == 0x2000 - 8);
  for (std::uint64_t i = 8; i < 0x2000; ++i)
    REQUIRE(t.sites.remove_client(pid, text + i).has_value());
  CHECK(t.memory().byte(text + 100) == 0);
}

TEST_CASE("breakpoint_table: sites that were taken out are restored in copies of the memory") {
  Table t;
  const Pid child = fake_pid(2);
  REQUIRE(t.sites.insert_client(pid, text, {}).has_value());
  REQUIRE(t.sites.insert_internal(pid, text + 4).has_value());
  t.tracee.add(child, leader_of(child));
  t.tracee.copy_memory(child, pid);
  REQUIRE(t.sites.remove_client(pid, text).has_value());
  const std::uint64_t between = t.sites.removals();
  t.sites.remove_internal(pid, text + 4);
  t.sites.restore_removed(child, between);
  CHECK(t.tracee.memory(child).byte(text) == 0xcc);
  CHECK(t.tracee.memory(child).byte(text + 4) == 0x55);
  t.sites.restore_removed(child, 0);
  CHECK(t.tracee.memory(child).byte(text) == 0x48);
}

TEST_CASE("breakpoint_table: the latest removals are remembered, and not all there ever were") {
  Table t;
  const Pid child = fake_pid(2);
  const Address first(0x800000);
  const std::uint64_t count = 70'000;
  t.memory().map(first, count + 16, true, false);
  for (std::uint64_t i = 0; i < count; ++i) {
    REQUIRE(t.sites.insert_client(pid, first + i, {}).has_value());
    if (i == count - 1) {
      t.tracee.add(child, leader_of(child));
      t.tracee.copy_memory(child, pid);
      t.tracee.memory(child).put(first, {0xcc});
    }
    REQUIRE(t.sites.remove_client(pid, first + i).has_value());
  }
  CHECK(t.sites.removals() == count);
  t.sites.restore_removed(child, 0);
  CHECK(t.tracee.memory(child).byte(first) == 0xcc);
  CHECK(t.tracee.memory(child).byte(first + (count - 1)) == 0);
}

TEST_CASE("breakpoint_table: all conditions together take so much memory and no more") {
  Table t;
  const std::size_t size = largest_program().memory_size();
  CHECK(size > 30000 * sizeof(std::uint64_t));
  const std::size_t most = most_program_memory / size;
  const auto insert = [&](std::size_t n) {
    return t.sites.insert_client(pid, text + n, largest_program());
  };
  for (std::size_t n = 0; n < most; ++n) REQUIRE(insert(n).has_value());
  REQUIRE_FALSE(insert(most).has_value());
  CHECK(insert(most).error().code == Errc::refused);
  CHECK(t.memory().byte(text + most) != 0xcc);
  CHECK(t.sites.insert_client(pid, text + most, {}).has_value());
  for (int i = 0; i < 3; ++i) CHECK(insert(0).has_value());  // in place of itself

  REQUIRE(t.sites.remove_client(pid, text).has_value());
  CHECK(insert(0).has_value());
  CHECK_FALSE(insert(most).has_value());

  BreakpointTable child{t.tracee, x86::Mode::amd64};
  child.copy_from(t.sites);
  CHECK_FALSE(child.insert_client(pid, text + most, largest_program()).has_value());
  child.clear();
  CHECK(child.insert_client(pid, text + most, largest_program()).has_value());
}

}  // namespace
}  // namespace stub
