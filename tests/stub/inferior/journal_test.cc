#include "stub/inferior/journal.h"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "stub/engine/engine.h"
#include "tests/catch.h"
#include "tests/stub/engine/engine_fixture.h"
#include "tests/stub/inferior/largest_program.h"

namespace stub {
namespace {

// What somebody reads who has nothing but the descriptor.
std::vector<SiteRow> sites_of(const Journal& written) {
  Journal read;
  REQUIRE(read.open(written.fd()));
  std::vector<SiteRow> rows;
  read.sites.for_each([&](const SiteRow& row) { rows.push_back(row); });
  return rows;
}

struct CreatedJournal : Journal {
  CreatedJournal() { REQUIRE(create()); }
  ~CreatedJournal() { ::close(fd()); }
};

SiteRow site(std::uint64_t address) {
  return {.address = Address(address), .space = SpaceId{7}, .shadow = 0x55};
}

TEST_CASE("journal: rows are read by another through the descriptor") {
  CreatedJournal journal;
  CHECK(sites_of(journal).empty());
  auto* first = journal.sites.add(site(0x1000));
  auto* second = journal.sites.add(site(0x2000));
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  REQUIRE(sites_of(journal).size() == 2);
  CHECK(sites_of(journal)[1].address == Address(0x2000));
  CHECK(sites_of(journal)[1].shadow == 0x55);

  journal.sites.remove(first);
  REQUIRE(sites_of(journal).size() == 1);
  CHECK(sites_of(journal)[0].address == Address(0x2000));

  CHECK(journal.sites.add(site(0x3000)) == first);  // the place is used again
  CHECK(sites_of(journal).size() == 2);
  journal.clear();
  CHECK(sites_of(journal).empty());
}

TEST_CASE("journal: a hundred thousand sites have room, and a full sheet says so") {
  CreatedJournal journal;
  std::size_t count = 0;
  while (journal.sites.add(site(count)) != nullptr) ++count;
  CHECK(count >= 100'000);
  CHECK(sites_of(journal).size() == count);
}

TEST_CASE("journal: without a file nothing is recorded") {
  Journal none;
  CHECK_FALSE(none.is_open());
  CHECK(none.sites.add(site(0x1000)) == nullptr);
  none.sites.for_each([](const SiteRow&) { FAIL("a row out of nowhere"); });
}

TEST_CASE("journal: bytes of a dead daemon are restored, where they still are its own") {
  CreatedJournal journal;
  FakeTracee tracee;
  const Pid one = fake_pid(1), two = fake_pid(2);
  for (const Pid pid : {one, two}) {
    tracee.add(pid, leader_of(pid));
    World::fill(tracee.memory(pid));
  }
  tracee.memory(one).put(boost_site, {0xcc});
  tracee.memory(one).put(push_site, {0x90});   // rewritten by the program
  tracee.memory(two).put(boost_site, {0xcc});  // of its own
  const auto at = [](Address address, SpaceId space, std::uint8_t shadow) {
    return SiteRow{.address = address, .space = space, .shadow = shadow};
  };
  journal.processes.add({.pid = one, .space = SpaceId{1}, .mode = x86::Mode::amd64});
  journal.processes.add({.pid = two, .space = SpaceId{2}, .mode = x86::Mode::amd64});
  journal.sites.add(at(boost_site, SpaceId{1}, 0x48));
  journal.sites.add(at(push_site, SpaceId{1}, 0x55));
  journal.sites.add(at(push_site, SpaceId{3}, 0x55));  // its process is gone
  Engine(tracee).clean_up_after(journal);
  CHECK(tracee.memory(one).byte(boost_site) == 0x48);
  CHECK(tracee.memory(one).byte(push_site) == 0x90);
  CHECK(tracee.memory(two).byte(boost_site) == 0xcc);
}

// In a process of its own, which has a journal as the daemon has.
bool with_journal(const std::function<bool()>& check) {
  const pid_t child = fork();
  if (child == 0) _exit(journal().create() && check() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST_CASE("journal: what it has no room for is not done") {
  SECTION("a slot") {
    CHECK(with_journal([] {
      Slot slot;
      slot.address = area;
      slot.site = text;
      SsolAreas areas(SpaceId{1});
      areas.add({area, 2 * x86::slot_size});
      const bool before = areas.occupy(slot) != nullptr;
      while (journal().slots.add({}) != nullptr) {
      }
      Slot next = slot;
      next.address = *areas.free_slot(text, true);
      return before && areas.occupy(next) == nullptr && areas.at(next.address) == nullptr &&
             areas.free_slot(text, true) == next.address;
    }));
  }
  SECTION("a site, and one of a fork child") {
    CHECK(with_journal([] {
      FakeTracee tracee;
      const Pid parent = fake_pid(1), child = fake_pid(2);
      for (const Pid pid : {parent, child}) {
        tracee.add(pid, leader_of(pid));
        World::fill(tracee.memory(pid));
      }
      BreakpointTable sites(tracee, x86::Mode::amd64, SpaceId{1});
      BreakpointTable copy(tracee, x86::Mode::amd64, SpaceId{2});
      const bool before = sites.insert_client(parent, boost_site, {}).has_value();
      tracee.memory(child).put(boost_site, {0xcc});
      while (journal().sites.add({}) != nullptr) {
      }
      copy.copy_from(sites);
      copy.drop_internal(child);
      return before && !sites.insert_client(parent, push_site, {}) &&
             tracee.memory(parent).byte(push_site) == 0x55 && copy.empty() &&
             tracee.memory(child).byte(boost_site) == 0x48 &&
             tracee.memory(parent).byte(boost_site) == 0xcc;
    }));
  }
  SECTION("nor do the conditions of a fork child's lost sites count") {
    CHECK(with_journal([] {
      FakeTracee tracee;
      const Pid parent = fake_pid(1), child = fake_pid(2);
      for (const Pid pid : {parent, child}) {
        tracee.add(pid, leader_of(pid));
        tracee.memory(pid).map(text, 0x1000, true, false);
      }
      BreakpointTable sites(tracee, x86::Mode::amd64, SpaceId{1});
      BreakpointTable copy(tracee, x86::Mode::amd64, SpaceId{2});
      std::uint64_t count = 0;
      while (sites.insert_client(parent, text + count, largest_program())) ++count;
      while (journal().sites.add({}) != nullptr) {
      }
      copy.copy_from(sites);
      copy.drop_internal(child);
      (void)sites.remove_client(parent, text);  // room for one
      return count > 10 && copy.empty() &&
             copy.insert_client(child, text, largest_program()).has_value();
    }));
  }
}

}  // namespace
}  // namespace stub
