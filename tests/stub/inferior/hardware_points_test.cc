#include "stub/inferior/hardware_points.h"

#include <string>

#include "tests/catch.h"

using namespace stub;
using rsp::PointType;

namespace {

constexpr PointType on_execute = PointType::hardware_breakpoint;
constexpr PointType on_write = PointType::write_watchpoint;
constexpr PointType on_read = PointType::read_watchpoint;
constexpr PointType on_access = PointType::access_watchpoint;

bool insert(HardwarePoints& points, PointType type, std::uint64_t address, std::uint64_t length) {
  return points.insert(type, Address(address), length, {}).has_value();
}
bool remove(HardwarePoints& points, PointType type, std::uint64_t address, std::uint64_t length) {
  return points.remove(type, Address(address), length).has_value();
}

constexpr std::size_t dr(unsigned n) { return 848 + 8 * n; }  // u_debugreg of struct user

}  // namespace

TEST_CASE("one point in DR0 and DR7") {
  struct Case {
    PointType type;
    std::uint64_t address, length, control;
  };
  const Case table[] = {
      {on_execute, 0x401001, 1, 0x00000001},  // R/W 00, LEN 00
      {on_execute, 0x401001, 3, 0x00000001},  // the kind of a breakpoint is no length
      {on_write, 0x1001, 1, 0x00010001},      // R/W 01
      {on_write, 0x1002, 2, 0x00050001},      // LEN 01
      {on_write, 0x1004, 4, 0x000d0001},      // LEN 11
      {on_write, 0x1008, 8, 0x00090001},      // LEN 10
      {on_access, 0x1004, 4, 0x000f0001},     // R/W 11
      {on_access, 0x1008, 8, 0x000b0001},
  };
  for (const Case& c : table) {
    INFO(c.address);
    HardwarePoints points;
    REQUIRE(insert(points, c.type, c.address, c.length));
    CHECK(points.registers().control == c.control);
    CHECK(points.registers().address[0] == c.address);
    CHECK(points.registers().address[1] == 0);
  }
}

TEST_CASE("which bytes are watched") {
  HardwarePoints points;
  CHECK_FALSE(points.watches(Address(0x1000), 8));
  REQUIRE(insert(points, on_write, 0x1004, 8));  // two slices
  REQUIRE(insert(points, on_access, 0x2000, 1));
  REQUIRE(insert(points, on_execute, 0x3000, 1));
  const struct {
    std::uint64_t address, size;
    bool watched;
  } table[] = {
      {0xffc, 8, false},  {0xffd, 8, true},   {0x1004, 1, true},  {0x100b, 1, true},
      {0x100c, 8, false}, {0x1ff8, 8, false}, {0x1ff9, 8, true},  {0x2000, 8, true},
      {0x2001, 8, false}, {0x3000, 8, false}, {0x1004, 0, false},
  };
  for (const auto& row : table) {
    INFO(row.address);
    CHECK(points.watches(Address(row.address), row.size) == row.watched);
  }
  REQUIRE(remove(points, on_write, 0x1004, 8));
  CHECK_FALSE(points.watches(Address(0x1004), 8));
}

TEST_CASE("a region is cut into aligned slices") {
  struct Case {
    std::uint64_t address, length;
    DebugRegisters expected;
  };
  const Case table[] = {
      {0x1000, 16, {{0x1000, 0x1008}, 0x990005}},
      {0x1004, 8, {{0x1004, 0x1008}, 0xdd0005}},
      {0x1001, 3, {{0x1001, 0x1002}, 0x510005}},
      {0x1003, 8, {{0x1003, 0x1004, 0x1008, 0x100a}, 0x15d10055}},
      {0x1000, 32, {{0x1000, 0x1008, 0x1010, 0x1018}, 0x99990055}},
  };
  for (const Case& c : table) {
    INFO(c.address << "+" << c.length);
    HardwarePoints points;
    REQUIRE(insert(points, on_write, c.address, c.length));
    CHECK(points.registers() == c.expected);
  }
}

TEST_CASE("a fifth register is refused and takes nothing") {
  HardwarePoints points;
  for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(insert(points, on_execute, 0x401000 + i, 1));
  const DebugRegisters before = points.registers();
  const auto result = points.insert(on_write, Address(0x1000), 16, {});  // needs two, one is free
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code == Errc::refused);
  CHECK(result.error().text == "All debug registers are in use");
  CHECK(points.registers() == before);
  CHECK(insert(points, on_write, 0x1000, 8));
  CHECK_FALSE(insert(points, on_write, 0x1008, 1));
  HardwarePoints fresh;
  CHECK_FALSE(insert(fresh, on_write, 0x1000, 33));
  CHECK_FALSE(insert(points, on_write, 0x2000, ~std::uint64_t{0}));
}

TEST_CASE("what x86 cannot do") {
  HardwarePoints points;
  CHECK(points.insert(on_read, Address(0x1000), 4, {}).error().code == Errc::unsupported);
  CHECK(points.remove(on_read, Address(0x1000), 4).error().code == Errc::unsupported);
  CHECK(points.insert(PointType::software_breakpoint, Address(0x1000), 1, {}).error().code ==
        Errc::unsupported);
  CHECK(points.insert(on_write, Address(0x1000), 0, {}).error().code == Errc::malformed);
  CHECK(points.empty());
}

TEST_CASE("insertion is idempotent and replaces the program") {
  HardwarePoints points;
  SiteProgram persistent;
  persistent.persist = true;
  REQUIRE(insert(points, on_write, 0x1000, 4));
  REQUIRE(points.insert(on_write, Address(0x1000), 4, persistent).has_value());
  CHECK(points.registers().control == 0x000d0001);
  CHECK(points.triggered(1).at(0).point->program.persist);
  CHECK(remove(points, on_write, 0x1000, 4));
  CHECK(points.registers() == DebugRegisters{});
  CHECK(points.empty());
  const auto again = points.remove(on_write, Address(0x1000), 4);
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code == Errc::refused);
}

TEST_CASE("points that overlap share registers") {
  HardwarePoints points;
  REQUIRE(insert(points, on_write, 0x1000, 16));
  REQUIRE(insert(points, on_write, 0x1008, 16));
  CHECK(points.registers() == DebugRegisters{{0x1000, 0x1008, 0x1010}, 0x9990015});
  REQUIRE(insert(points, on_access, 0x1008, 8));  // another condition on the same bytes
  CHECK(points.registers().control == 0xb9990055);
  REQUIRE(remove(points, on_write, 0x1000, 16));
  CHECK(points.registers() == DebugRegisters{{0, 0x1008, 0x1010, 0x1008}, 0xb9900054});
  REQUIRE(
      insert(points, on_execute, 0x401000, 1));  // the freed one; the others stay where they are
  CHECK(points.registers() == DebugRegisters{{0x401000, 0x1008, 0x1010, 0x1008}, 0xb9900055});
  points.clear();
  CHECK(points.registers() == DebugRegisters{});
}

TEST_CASE("DR6 names the points") {
  HardwarePoints points;
  REQUIRE(insert(points, on_execute, 0x401000, 1));
  REQUIRE(insert(points, on_write, 0x1004, 12));  // DR1 0x1004+4, DR2 0x1008+8
  REQUIRE(insert(points, on_write, 0x1008, 8));   // shares DR2
  CHECK(points.triggered(0).empty());
  CHECK(points.triggered(0x4000).empty());  // BS: a single step
  CHECK(points.triggered(8).empty());       // DR3 is not enabled; its bit means nothing

  const auto hit = points.triggered(0xffff0ff1);  // with the reserved bits that on_read as one
  REQUIRE(hit.size() == 1);
  CHECK(hit[0].point->type == on_execute);
  CHECK(hit[0].data == Address(0x401000));

  const auto first = points.triggered(2);
  REQUIRE(first.size() == 1);
  CHECK(first[0].point->address == Address(0x1004));
  CHECK(first[0].point->length == 12);
  CHECK(first[0].data == Address(0x1004));

  const auto shared = points.triggered(4);
  REQUIRE(shared.size() == 2);
  CHECK(shared[0].point->length == 12);
  CHECK(shared[1].point->length == 8);
  CHECK(shared[1].data == Address(0x1008));

  CHECK(points.triggered(6).size() == 3);
}

TEST_CASE("writes switch off, set, switch on") {
  using Writes = std::vector<DebugRegisterWrite>;
  const DebugRegisters none;
  const DebugRegisters one{{0x1000}, 0x000d0001};
  const DebugRegisters moved{{0x1003}, 0x00010001};
  const DebugRegisters two{{0x1000, 0x2000}, 0x00dd0005};
  CHECK(writes_between(one, one).empty());
  CHECK(writes_between(none, one) == Writes{{dr(0), 0x1000}, {dr(7), 0x000d0001}});
  CHECK(writes_between(one, none) == Writes{{dr(7), 0}, {dr(0), 0}});
  CHECK(writes_between(one, moved) == Writes{{dr(7), 0}, {dr(0), 0x1003}, {dr(7), 0x00010001}});
  CHECK(writes_between(one, two) == Writes{{dr(1), 0x2000}, {dr(7), 0x00dd0005}});
  CHECK(writes_between(two, one) == Writes{{dr(7), 0x000d0001}, {dr(1), 0}});
  CHECK(debug_status_offset() == dr(6));
  CHECK(debug_control_offset() == dr(7));
}
