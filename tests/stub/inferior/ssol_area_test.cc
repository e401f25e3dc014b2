#include "stub/inferior/ssol_area.h"

#include "tests/arch/code.h"
#include "tests/catch.h"

namespace stub {
namespace {

using x86::Ending;

constexpr Address text(0x401000), near_area(0x500000), far_area(0x7fff'0000'0000);
const std::uint64_t slots = 4;

Slot slot_for(Address address, Address site, const x86::Instruction& instruction,
              Ending ending = Ending::jump_back) {
  const auto code = x86::relocate(instruction, site, address, ending);
  REQUIRE(code.has_value());
  return {.address = address,
          .site = site,
          .instruction = instruction,
          .code = *code,
          .ending = ending};
}

// Takes the next free slot for a site.
Address take(SsolAreas& areas, Address site, const x86::Instruction& instruction,
             Ending ending = Ending::jump_back) {
  const auto place = areas.free_slot(site, true);
  REQUIRE(place.has_value());
  areas.occupy(slot_for(*place, site, instruction, ending));
  return *place;
}

TEST_CASE("ssol_area: slots are found by site, code, ending, and by every PC in them") {
  const auto inc = x86::decoded("48 ff c0"), dec = x86::decoded("48 ff c8");
  SsolAreas areas;
  CHECK_FALSE(areas.contains(near_area));
  CHECK_FALSE(areas.free_slot(text, true).has_value());
  areas.add({near_area, slots * x86::slot_size});
  const Address first = take(areas, text, inc);
  CHECK(first == near_area);
  const Address trap = take(areas, text, inc, Ending::trap);
  CHECK(trap == near_area + x86::slot_size);

  REQUIRE(areas.find(text, inc, Ending::jump_back) != nullptr);
  CHECK(areas.find(text, inc, Ending::jump_back)->address == first);
  CHECK(areas.find(text, inc, Ending::trap)->address == trap);
  CHECK(areas.find(text + 1, inc, Ending::trap) == nullptr);

  REQUIRE(areas.at(first) != nullptr);
  CHECK(areas.at(first)->site == text);
  CHECK(areas.at(first + (x86::slot_size - 1))->address == first);
  CHECK(areas.at(trap)->ending == Ending::trap);
  CHECK(areas.at(near_area + 2 * x86::slot_size) == nullptr);  // never used
  CHECK(areas.at(near_area - 1) == nullptr);
  CHECK(areas.contains(near_area + (slots * x86::slot_size - 1)));
  CHECK_FALSE(areas.contains(near_area + slots * x86::slot_size));

  // Other code at the same site: the old slots serve nobody any more, whatever their ending.
  CHECK(areas.find(text, dec, Ending::jump_back) == nullptr);
  CHECK(areas.find(text, inc, Ending::jump_back) == nullptr);
  CHECK(areas.find(text, inc, Ending::trap) == nullptr);
  CHECK(areas.at(first) != nullptr);  // but a thread may still be in it
}

TEST_CASE("ssol_area: near means within 2 GiB with a margin") {
  SsolAreas areas;
  areas.add({far_area, slots * x86::slot_size});
  CHECK_FALSE(areas.free_slot(text, true).has_value());
  CHECK(areas.free_slot(text, false) == far_area);
  areas.add({near_area, slots * x86::slot_size});
  CHECK(areas.free_slot(text, true) == near_area);
  constexpr std::uint64_t gib2 = std::uint64_t{1} << 31;
  CHECK_FALSE(areas.free_slot(near_area + gib2, true).has_value());
  CHECK_FALSE(areas.free_slot(far_area - gib2, true).has_value());
  CHECK(areas.free_slot(far_area - gib2 / 2, true) == far_area);
}

TEST_CASE("ssol_area: a retired slot is free when every thread was seen outside since") {
  const auto inc = x86::decoded("48 ff c0");
  SsolAreas areas;
  areas.add({near_area, 2 * x86::slot_size});
  const Address first = take(areas, text, inc);
  take(areas, text + 16, inc);
  CHECK_FALSE(areas.free_slot(text, true).has_value());

  const std::uint64_t before = areas.epoch();
  areas.retire(text);
  CHECK(areas.epoch() > before);
  CHECK(areas.find(text, inc, Ending::jump_back) == nullptr);
  areas.reclaim(before);  // a thread was last seen before the retirement
  CHECK_FALSE(areas.free_slot(text, true).has_value());
  REQUIRE(areas.at(first) != nullptr);
  CHECK(areas.at(first)->site == text);
  areas.reclaim(areas.epoch());
  CHECK(areas.at(first) == nullptr);
  CHECK(areas.free_slot(text, true) == first);
  CHECK(areas.find(text + 16, inc, Ending::jump_back) != nullptr);
}

TEST_CASE("ssol_area: slots of sites that are in use stay") {
  const auto inc = x86::decoded("48 ff c0");
  SsolAreas areas;
  areas.add({near_area, 4 * x86::slot_size});
  take(areas, text, inc);
  take(areas, text, inc, Ending::trap);
  take(areas, text + 16, inc);
  areas.retire_unless([](Address site) { return site == text + 16; });
  CHECK(areas.find(text, inc, Ending::jump_back) == nullptr);
  CHECK(areas.find(text, inc, Ending::trap) == nullptr);
  CHECK(areas.find(text + 16, inc, Ending::jump_back) != nullptr);
  areas.reclaim(areas.epoch());
  int free = 0;
  while (areas.free_slot(text, true)) {
    take(areas, Address(0x402000 + 16u * static_cast<unsigned>(free)), inc);
    ++free;
  }
  CHECK(free == 3);  // none twice
}

TEST_CASE("ssol_area: an area that has vanished takes its slots along, and only its own") {
  const auto inc = x86::decoded("48 ff c0");
  SsolAreas areas;
  areas.add({near_area, 2 * x86::slot_size});
  take(areas, text, inc);
  take(areas, text + 16, inc);
  areas.add({near_area + 0x10000, 2 * x86::slot_size});
  const Address other = take(areas, text + 32, inc);
  areas.retire(text);
  areas.drop(near_area + 5);
  REQUIRE(areas.at(near_area) != nullptr);  // a thread may stop there yet
  CHECK(areas.at(near_area)->site == text);
  CHECK(areas.find(text + 16, inc, Ending::jump_back) == nullptr);
  CHECK(areas.find(text + 32, inc, Ending::jump_back)->address == other);
  areas.reclaim(areas.epoch());
  CHECK(areas.at(near_area) == nullptr);
  CHECK(areas.free_slot(text, true) == near_area + (0x10000 + x86::slot_size));
  CHECK(areas.dropped().empty());
  // No new area may lie where a thread may yet execute; then it gives each slot once.
  areas.retire(text + 32);
  const std::uint64_t before = areas.epoch();
  areas.drop(near_area + 0x10000);
  areas.reclaim(before);
  REQUIRE(areas.dropped().size() == 1);
  CHECK(areas.dropped().front().start == near_area + 0x10000);
  CHECK(areas.dropped().front().size == 2 * x86::slot_size);
  areas.reclaim(areas.epoch());
  CHECK(areas.dropped().empty());
  areas.add({near_area + 0x10000, 2 * x86::slot_size});
  const Address first = take(areas, text + 48, inc);
  const Address second = take(areas, text + 64, inc);
  CHECK(first != second);
  CHECK_FALSE(areas.free_slot(text, true).has_value());
  areas.drop(Address(0x1234));  // nobody's
  CHECK(areas.contains(first));
  areas.clear();
  CHECK(areas.ranges().empty());
  CHECK_FALSE(areas.free_slot(text, false).has_value());
}

}  // namespace
}  // namespace stub
