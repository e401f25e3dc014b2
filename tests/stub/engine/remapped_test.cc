// Memory that changes under sites, slots and what else was put into it: the program unmaps it, maps
// a file or other data over it, unloads a library and loads one again.
#include <vector>

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

using Bytes = std::vector<int>;

// ---- the table of sites ------------------------------------------------------------------------

constexpr Address library(0x7f0000400000);
const Pid pid = fake_pid(1);

struct Library {
  FakeTracee tracee;
  BreakpointTable sites{tracee, x86::Mode::amd64};

  Library() {
    tracee.add(pid, leader_of(pid));
    load({0x48, 0xff, 0xc0, 0x90, 0x55, 0x0f, 0x05, 0x90});  // inc %rax; nop; push %rbp; syscall
  }
  FakeMemory& memory() { return tracee.memory(pid); }
  void load(std::initializer_list<int> text) { memory().map_file(library, text); }
  void insert(Address at) { REQUIRE(sites.insert_client(pid, at, {}).has_value()); }
  // As the client sees it.
  Bytes shown(Address from, std::size_t size) {
    std::vector<std::byte> bytes(size);
    sites.verify(pid, from, size);
    bytes.resize(tracee.read_memory(pid, from, bytes));
    sites.mask(from, bytes);
    Bytes values;
    for (const std::byte value : bytes) values.push_back(static_cast<int>(value));
    return values;
  }
};

TEST_CASE("remapped: a library is loaded again at the same address, and its site inserted again") {
  Library l;
  l.insert(library);
  SECTION("the same one") {
    l.load({0x48, 0xff, 0xc0, 0x90, 0x55, 0x0f, 0x05, 0x90});
    CHECK(l.shown(library, 3) == Bytes{0x48, 0xff, 0xc0});
    l.insert(library);
    CHECK(l.memory().byte(library) == 0xcc);
    CHECK(l.sites.find(library)->length == 3);
    CHECK(l.shown(library, 3) == Bytes{0x48, 0xff, 0xc0});
  }
  SECTION("another one") {
    l.load({0x55, 0x48, 0x89, 0xe5});
    l.insert(library);
    CHECK(l.memory().byte(library) == 0xcc);
    CHECK(l.sites.find(library)->shadow == 0x55);
    CHECK(l.sites.find(library)->plan.lane() == x86::Lane::emulate);
    REQUIRE(l.sites.remove_client(pid, library).has_value());
    CHECK(l.memory().byte(library) == 0x55);
  }
  SECTION("which has an int3 of its own there") {
    l.load({0xcc, 0xff, 0xc0});
    l.insert(library);
    CHECK(l.sites.find(library)->shadow == 0xcc);
    CHECK(l.shown(library, 1) == Bytes{0xcc});
    REQUIRE(l.sites.remove_client(pid, library).has_value());
    CHECK(l.memory().byte(library) == 0xcc);
  }
  SECTION("between them there is nothing") {
    l.memory().unmap(library, 1);
    const auto nowhere = l.sites.insert_client(pid, library, {});
    REQUIRE_FALSE(nowhere.has_value());
    CHECK(nowhere.error().code == Errc::bad_address);
    CHECK(l.sites.empty());
  }
  SECTION("the program has just written over it") {
    l.memory().put(library, {0x90});
    l.insert(library);
    CHECK(l.memory().byte(library) == 0xcc);
    CHECK(l.sites.find(library)->shadow == 0x90);
    CHECK(l.sites.find(library)->length == 1);
  }
}

TEST_CASE("remapped: an int3 of new text is not ours, whoever asks") {
  Library l;
  l.insert(library);
  l.load({0xcc, 0x90, 0xc3});
  SECTION("a read") { CHECK(l.shown(library, 3) == Bytes{0xcc, 0x90, 0xc3}); }
  SECTION("its thread") { CHECK(l.sites.find_hit(pid, library) == nullptr); }
  SECTION("a removal") {
    CHECK(l.sites.remove_client(pid, library).has_value());
    CHECK(l.sites.empty());
  }
  SECTION("the end of the session") { l.sites.restore_all(pid); }
  SECTION("a successor of the server") {
    BreakpointTable inherited{l.tracee, x86::Mode::amd64};
    inherited.inherit({.address = library, .space = {}, .shadow = 0x48, .own_page = true});
    inherited.restore_all(pid);
  }
  SECTION("a plan") {
    Site& site = *l.sites.find(library);
    l.sites.replan(pid, site);
    CHECK(site.gone);
  }
  SECTION("an in-place step") {
    Site& site = *l.sites.find(library);
    l.sites.lift(pid, site);
    CHECK(l.memory().byte(library) == 0xcc);
    l.sites.put_back(pid, site);
  }
  CHECK(l.memory().byte(library) == 0xcc);
  CHECK(l.memory().byte(library + 1) == 0x90);
}

TEST_CASE("remapped: what the client writes to new text is not made a breakpoint") {
  Library l;
  l.insert(library);
  l.load({0x90, 0x90, 0xc3});
  std::array image{std::byte{0x55}, std::byte{0xc3}};
  l.sites.patch_write(pid, library, image);
  CHECK(image[0] == std::byte{0x55});
}

// Our own write makes the page one of the process's own again.
TEST_CASE("remapped: one site is inserted again, its neighbour in the page is not") {
  Library l;
  l.insert(library);
  l.insert(library + 4);
  l.load({0x48, 0xff, 0xc0, 0x90, 0xcc, 0x0f, 0x05, 0x90});
  l.insert(library);
  CHECK(l.sites.find(library + 4)->gone);
  CHECK(l.shown(library, 5) == Bytes{0x48, 0xff, 0xc0, 0x90, 0xcc});
  CHECK(l.sites.remove_client(pid, library + 4).has_value());
  l.sites.restore_all(pid);
  CHECK(l.memory().byte(library) == 0x48);
  CHECK(l.memory().byte(library + 4) == 0xcc);
}

TEST_CASE("remapped: a fork child has copies of what is there, and of nothing else") {
  Library l;
  l.insert(library);
  l.insert(library + 4);
  l.load({0xcc, 0xff, 0xc0, 0x90, 0x55});
  l.insert(library + 4);
  const Pid child = fake_pid(2);
  l.tracee.add(child, leader_of(child));
  l.tracee.copy_memory(child, pid);
  BreakpointTable copy{l.tracee, x86::Mode::amd64};
  copy.copy_from(l.sites);
  copy.restore_all(child);
  CHECK(l.tracee.memory(child).byte(library) == 0xcc);
  CHECK(l.tracee.memory(child).byte(library + 4) == 0x55);
  copy.put_in_missing(child);
  CHECK(l.tracee.memory(child).byte(library + 4) == 0xcc);
}

TEST_CASE("remapped: where the page tells nothing, the byte has to do") {
  Library l;
  SECTION("shared memory") { l.memory().share(library, 1); }
  SECTION("a kernel that does not tell") { l.tracee.tells_own_pages = false; }
  l.insert(library);
  CHECK(l.shown(library, 1) == Bytes{0x48});
  l.insert(library);
  CHECK(l.sites.find(library)->shadow == 0x48);
  CHECK(l.sites.remove_client(pid, library).has_value());
  CHECK(l.memory().byte(library) == 0x48);
}

TEST_CASE("remapped: memory that is unmapped is an error for who removes the site, which goes") {
  Library l;
  l.insert(library);
  l.memory().unmap(library, 1);
  const auto removed = l.sites.remove_client(pid, library);
  REQUIRE_FALSE(removed.has_value());
  CHECK(removed.error().code == Errc::bad_address);
  CHECK(l.sites.empty());
  CHECK(l.sites.remove_client(pid, library).error().code == Errc::refused);
}

TEST_CASE("remapped: by the instruction that is stepped in place") {
  Library l;
  l.insert(library);
  Site& site = *l.sites.find(library);
  l.sites.lift(pid, site);
  CHECK(l.memory().byte(library) == 0x48);
  SECTION("not at all") {
    l.insert(library);  // by the client, meanwhile
    CHECK(l.memory().byte(library) == 0x48);
    l.sites.put_back(pid, site);
    CHECK(l.memory().byte(library) == 0xcc);
  }
  SECTION("the client writes to it") {
    std::array image{std::byte{0x90}};
    l.sites.patch_write(pid, library, image);
    CHECK(image[0] == std::byte{0x90});
    l.tracee.write_memory(pid, library, image);
    l.sites.put_back(pid, site);
    CHECK(l.memory().byte(library) == 0xcc);
    CHECK(site.shadow == 0x90);
  }
  SECTION("it has written over itself") {
    l.memory().put(library, {0x77});
    l.sites.put_back(pid, site);
    CHECK(l.memory().byte(library) == 0x77);
  }
  SECTION("it has mapped other text") {
    l.load({0x48, 0x01});
    l.sites.put_back(pid, site);
    CHECK(l.memory().byte(library) == 0x48);
    CHECK(site.gone);
  }
  SECTION("it has unmapped itself") {
    l.memory().unmap(library, 1);
    l.sites.put_back(pid, site);
  }
}

// ---- threads -----------------------------------------------------------------------------------

const std::vector<rsp::AgentExpression>& never() {
  static const std::vector<rsp::AgentExpression> conditions{
      *rsp::AgentExpression::verify(rsp::Bytecode{0x22, 0, 0x27}, rsp::AgentUse::condition)};
  return conditions;
}

TEST_CASE("remapped: a thread executes an int3 of the new text") {
  World w;
  w.memory().map_file(library, {0x48, 0xff, 0xc0});
  SECTION("where a breakpoint was") {
    w.insert(library);
    w.memory().map_file(library, {0xcc, 0x90, 0x90});
    w.run();
    w.tracee.execute_int3(w.leader, library);
  }
  SECTION("where one with a condition was: it is seen when the instruction is stepped over") {
    REQUIRE(w.engine
                .insert_breakpoint(w.pid, library,
                                   {.conditions = never(), .commands = {}, .persist = false})
                .has_value());
    w.memory().map_file(library, {0xcc, 0x90, 0x90});
    w.run();
    w.tracee.execute_int3(w.leader, library);
    CHECK(w.report() == "nothing");
    CHECK(w.kernel_pc(1) == library.value());
    w.tracee.execute_int3(w.leader, library);
  }
  CHECK(w.report() == "1 signal 5");
  CHECK(w.pc(1) == library.value() + 1);
  CHECK(w.memory().byte(library) == 0xcc);
}

TEST_CASE("remapped: a thread stands at a breakpoint whose text goes") {
  World w;
  w.memory().map_file(library, {0x48, 0xff, 0xc0});
  w.insert(library);
  w.run();
  w.tracee.execute_int3(w.leader, library);
  REQUIRE(w.report() == "1 breakpoint");
  w.memory().map_file(library, {0x90, 0x90});
  w.run();
  CHECK(w.kernel_pc(1) == library.value());
  CHECK(w.tracee.last("resume", w.leader)->how == ResumeHow::run);
  CHECK(w.memory().byte(library) == 0x90);
}

// ---- areas -------------------------------------------------------------------------------------

TEST_CASE("remapped: no slot is written into memory that the program has put in the area's place") {
  World w;
  SECTION("data") { w.memory().map(area, 0x1000); }
  SECTION("code that the program has still to write") { w.memory().map(area, 0x1000, true, false); }
  SECTION("a file") { w.memory().map_file(area, {0}); }
  w.insert(boost_site);
  w.run();
  w.tracee.execute_int3(w.leader, boost_site);
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
  for (std::uint64_t at = 0; at < 0x1000; ++at) REQUIRE(w.memory().byte(area + at) == 0);
  CHECK_FALSE(w.space().areas.contains(area));
  CHECK(w.kernel_pc(1) == boost_site.value());  // in place
}

TEST_CASE("remapped: a slot that was used is not written again into other memory") {
  World w;
  (void)enter_slot(w, 1, boost_site);
  w.at(1).regs.rip = boost_site.value() + 3;
  w.memory().map(area, 0x1000);
  w.tracee.execute_int3(w.leader, boost_site);
  REQUIRE(w.report() == "1 breakpoint");
  w.run();
  for (std::uint64_t at = 0; at < 0x1000; ++at) REQUIRE(w.memory().byte(area + at) == 0);
  CHECK(w.kernel_pc(1) == boost_site.value());
}

TEST_CASE("remapped: a thread in code of the program's own, where an area was, is where it is") {
  World w;
  const Slot* slot = enter_slot(w, 1, boost_site);
  const Address pc = slot->address + slot->code.executed;
  w.at(1).regs.rip = pc.value();
  SECTION("its own code") {
    w.memory().map_file(area, {0x90});
    w.tracee.signal(w.leader, SIGUSR1);
    CHECK(w.report() == "1 signal 10");
    CHECK(w.pc(1) == pc.value());
  }
  SECTION("where nothing can be executed it comes from the slot") {
    w.memory().map(area, 0x1000);
    w.tracee.signal(w.leader, SIGUSR1);
    CHECK(w.report() == "1 signal 10");
    CHECK(w.pc(1) == boost_site.value() + 3);
  }
  SECTION("nor where nothing is mapped") {
    w.memory().unmap(area, 0x1000);
    w.tracee.signal(w.leader, SIGUSR1);
    CHECK(w.report() == "1 signal 10");
    CHECK(w.pc(1) == boost_site.value() + 3);
  }
}

TEST_CASE("remapped: what an area is") {
  World w;
  const SsolAreas::Range range{area, 0x1000};
  const auto is_one = [&] { return is_area(w.tracee, w.pid, w.memory().mappings(), range); };
  CHECK(is_one());
  SECTION("mapped a moment ago") {
    w.memory().map(area, 0x1000, true, false);
    CHECK(is_one());
  }
  SECTION("writable") {
    w.memory().protect(area, 0x1000, true, true, true);
    CHECK_FALSE(is_one());
  }
  SECTION("not executable") {
    w.memory().protect(area, 0x1000, true, false, false);
    CHECK_FALSE(is_one());
  }
  SECTION("shared") {
    w.memory().share(area, 0x1000);
    CHECK_FALSE(is_one());
  }
  SECTION("a file") {
    w.memory().map_file(area, {0});
    CHECK_FALSE(is_one());
  }
  SECTION("with another name") {
    w.memory().name(area, "[anon:code]");
    CHECK_FALSE(is_one());
    w.memory().name(area, "[anon:sidestep-ssol]");
    CHECK(is_one());
  }
  SECTION("with other code in it") {
    w.memory().put(area + slot_room, {0x90});
    CHECK_FALSE(is_one());
  }
  SECTION("gone, all or half") {
    CHECK_FALSE(is_area(w.tracee, w.pid, w.memory().mappings(), {area, 0x2000}));
    w.memory().unmap(area, 0x1000);
    CHECK_FALSE(is_one());
  }
}

// ---- hardware breakpoints ----------------------------------------------------------------------

TEST_CASE("remapped: debug registers of a library that was unloaded are free") {
  World w;
  const auto point = [&](Address at) {
    return w.engine.insert_hardware(w.pid, rsp::PointType::hardware_breakpoint, at, 1, {});
  };
  w.memory().map_file(library, {0x90});
  for (const std::uint64_t offset : {0, 1, 2, 3}) REQUIRE(point(library + offset).has_value());
  CHECK_FALSE(point(text).has_value());
  w.memory().unmap(library, 1);
  CHECK(point(text).has_value());
}

}  // namespace
}  // namespace stub
