#include "protocol/agent_expression.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace rsp;

namespace {

using Bytecode = std::vector<std::uint8_t>;

Bytecode from_hex(std::string_view hex) {
  Bytecode out;
  std::string digits;
  for (char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    out.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return out;
}

// A machine with a few registers and 256 bytes of memory, and a record of what was done to it.
struct Target : AgentRegisters, AgentMemory, AgentVariables, AgentOutput {
  std::map<unsigned, std::uint64_t> registers{{6, 0x1000}, {7, 0x10f0}};
  std::uint64_t base = 0x1000;
  std::vector<std::byte> bytes = std::vector<std::byte>(256);
  std::map<unsigned, std::int64_t> variables;
  std::string printed, collected;

  Result<std::uint64_t> read(unsigned number) override {
    if (!registers.contains(number)) return fail(Errc::bad_address, "no register");
    return registers[number];
  }
  bool read(std::uint64_t address, std::span<std::byte> to) override {
    if (address < base || address - base > bytes.size() ||
        bytes.size() - (address - base) < to.size()) {
      return false;
    }
    std::memcpy(to.data(), bytes.data() + (address - base), to.size());
    return true;
  }
  std::int64_t get(unsigned number) override { return variables[number]; }
  void set(unsigned number, std::int64_t value) override { variables[number] = value; }
  void print(std::string_view text) override { printed += text; }
  void collect_memory(std::uint64_t address, std::uint64_t size) override {
    collected += "m" + std::to_string(address) + "," + std::to_string(size) + " ";
  }
  void collect_string(std::uint64_t address, std::uint64_t limit) override {
    collected += "s" + std::to_string(address) + "," + std::to_string(limit) + " ";
  }
  void collect_variable(unsigned number) override {
    collected += "v" + std::to_string(number) + " ";
  }

  template <class T>
  void put(std::uint64_t address, T value) {
    std::memcpy(bytes.data() + (address - base), &value, sizeof value);
  }
  AgentEnvironment environment() { return {*this, *this, *this, *this}; }
  Result<std::uint64_t> run(std::string_view hex, AgentUse use = AgentUse::condition) {
    return AgentExpression::verify(from_hex(hex), use).and_then([this](const AgentExpression& e) {
      return e.evaluate(environment());
    });
  }
};

Errc verify_error(const Bytecode& bytecode, AgentUse use = AgentUse::condition) {
  const auto expression = AgentExpression::verify(bytecode, use);
  REQUIRE_FALSE(expression.has_value());
  CHECK_FALSE(expression.error().text.empty());
  return expression.error().code;
}
Errc verify_error(std::string_view hex, AgentUse use = AgentUse::condition) {
  return verify_error(from_hex(hex), use);
}

constexpr std::uint64_t minus(std::uint64_t n) { return -n; }

}  // namespace

TEST_CASE("each operation computes what the manual says") {
  struct Case {
    const char* bytecode;
    std::uint64_t value;
  };
  const Case table[] = {
      {"22 ff 27", 0xff},              // const8
      {"23 fffe 27", 0xfffe},          // const16, big-endian
      {"24 fffefdfc 27", 0xfffefdfc},  // const32: not sign-extended
      {"25 0102030405060708 27", 0x102030405060708},
      {"22 05 22 03 02 27", 8},  // add
      {"22 05 22 03 03 27", 2},  // sub: under minus top
      {"22 03 22 05 03 27", minus(2)},
      {"22 ff 22 ff 04 27", 0xfe01},                                  // mul
      {"22 f9 16 08 22 02 05 27", minus(3)},                          // -7 / 2 signed, towards zero
      {"22 f9 16 08 22 02 06 27", 0x7ffffffffffffffc},                // unsigned
      {"22 f9 16 08 22 02 07 27", minus(1)},                          // -7 % 2 signed
      {"22 f9 16 08 22 02 08 27", 1},                                 // unsigned
      {"25 8000000000000000 22 ff 16 08 05 27", 0x8000000000000000},  // the overflowing quotient
      {"25 8000000000000000 22 ff 16 08 07 27", 0},
      {"22 01 22 3f 09 27", 0x8000000000000000},  // lsh
      {"22 01 22 40 09 27", 0},                   // by the width and more
      {"22 80 16 08 22 04 0a 27", minus(8)},      // rsh_signed
      {"22 80 16 08 22 ff 0a 27", minus(1)},
      {"22 80 22 04 0b 27", 8},  // rsh_unsigned
      {"22 80 22 40 0b 27", 0},
      {"22 00 0e 27", 1},  // log_not
      {"22 07 0e 27", 0},
      {"22 0c 22 0a 0f 27", 8},   // bit_and
      {"22 0c 22 0a 10 27", 14},  // bit_or
      {"22 0c 22 0a 11 27", 6},   // bit_xor
      {"22 00 12 27", minus(1)},  // bit_not
      {"22 05 22 05 13 27", 1},   // equal
      {"22 05 22 06 13 27", 0},
      {"22 ff 16 08 22 00 14 27", 1},  // -1 < 0 signed
      {"22 00 22 ff 16 08 14 27", 0},
      {"22 ff 16 08 22 00 15 27", 0},  // unsigned
      {"22 00 22 ff 16 08 15 27", 1},
      {"22 80 16 08 27", minus(0x80)},    // ext
      {"23 0180 16 08 27", minus(0x80)},  // bits above are dropped
      {"22 1f 16 05 27", minus(1)},       // a bit-field's width
      {"22 ff 16 40 27", 0xff},
      {"22 ff 16 ff 27", 0xff},    // more than there are: as it is
      {"23 0180 2a 08 27", 0x80},  // zero_ext
      {"22 00 12 2a 40 27", minus(1)},
      {"22 00 12 2a 01 27", 1},
      {"22 07 28 02 27", 14},              // dup
      {"22 07 22 08 29 27", 7},            // pop
      {"22 07 22 03 2b 03 27", minus(4)},  // swap: 3 - 7
      {"22 01 22 02 22 03 32 00 27", 3},   // pick: the top itself
      {"22 01 22 02 22 03 32 02 27", 1},
      {"22 01 22 02 22 03 33 27", 2},  // rot: 1 2 3 -> 3 1 2
      {"22 01 22 02 22 03 33 29 27", 1},
      {"22 01 22 02 22 03 33 29 29 27", 3},
      {"26 0007 27", 0x10f0},                  // reg
      {"22 01 21 0007 22 02 27 27", 1},        // goto over a const (and an unreached end)
      {"22 01 20 0008 22 09 27 22 08 27", 8},  // if_goto taken
      {"22 00 20 0008 22 09 27 22 08 27", 9},  // not taken
  };
  for (const Case& c : table) {
    INFO(c.bytecode);
    Target target;
    const auto value = target.run(c.bytecode);
    REQUIRE(value.has_value());
    CHECK(*value == c.value);
  }
}

TEST_CASE("memory references read the width of their name, zero-extended") {
  Target target;
  target.put<std::uint64_t>(0x1010, 0xf1f2f3f4f5f6f7f8);
  CHECK(target.run("23 1010 17 27").value() == 0xf8);
  CHECK(target.run("23 1010 18 27").value() == 0xf7f8);
  CHECK(target.run("23 1010 19 27").value() == 0xf5f6f7f8);
  CHECK(target.run("23 1010 1a 27").value() == 0xf1f2f3f4f5f6f7f8);
  const auto fault = target.run("23 10fd 19 27");  // the last byte is outside
  REQUIRE_FALSE(fault.has_value());
  CHECK(fault.error().code == Errc::bad_address);
  CHECK(target.run("23 10fc 19 27").has_value());
}

TEST_CASE("conditions as gdb compiles them") {
  // rbp is 0x1000 here; a variable at rbp - 84 + 16 would lie in front of memory, so rbp moves.
  Target target;
  target.registers[6] = 0x1080;
  const std::uint64_t x = 0x1080 + 16 - 84, n = 0x1080 + 16 - 96;
  constexpr std::uint64_t statics = 0x1080;
  target.put<std::int32_t>(x, -5);
  target.put<std::uint64_t>(n, n);  // a pointer to itself
  target.put<std::uint8_t>(statics, 200);
  target.put<std::int8_t>(statics + 1, -3);
  target.put<std::uint32_t>(statics + 8, 4);
  target.put<std::uint64_t>(statics + 16, 0x00000012345678d1);  // bit-fields
  struct Case {
    const char* source;
    const char* bytecode;
    std::uint64_t value;
  };
  const Case table[] = {
      {"x == -5 && counter > 3",
       "26000622100222ac160802191620 22fb1608 13 200019 210034"
       "25 0000000000001088 191620 2203 2b14 20002f 210034 2201 210036 2200 27",
       1},
      {"(char)x", "26000622100222ac16080219162016 0827", minus(5)},
      {"(unsigned char)x", "26000622100222ac1608021916202a0827", 251},
      {"uc + sc", "25000000000000108017 25000000000000108117 1608 02 1620 27", 197},
      {"a signed bit-field of 5 bits at bit 3", "25 0000000000001090 17 2203 0b 1605 27", minus(6)},
      {"an unsigned one of 40 bits from the second byte",
       "25 0000000000001090 28 2201 02 19 2b 2205 02 17 2220 09 10 2a28 27", 0x0012345678},
      {"x / 0 != 0 guarded", "26000622100222ac16080219162022000e27", 1},
      {"n->next == n, next first", "26000622100222a01608021a1a 26000622100222a01608021a 13 27", 1},
      {"-x", "2200 26000622100222ac160802191620 03 1620 27", 5},
      {"(long)x < 0", "26000622100222ac160802191620 2200 14 27", 1},
      {"x != 0 && (uc & 0x80)",
       "26000622100222ac160802191620 2200 13 0e 200018 210031"
       "25 0000000000001080 17 2300800f 20002c 210031 2201 210033 2200 27",
       1},
      {"*(long*)$rsp", "26 0007 2a40 1a 1640 27", 0},
      {"sizeof", "2228 27", 40},
  };
  for (const Case& c : table) {
    INFO(c.source);
    const auto value = target.run(c.bytecode);
    REQUIRE(value.has_value());
    CHECK(*value == c.value);
  }
}

TEST_CASE("registers are listed once, in order") {
  const auto e = AgentExpression::verify(from_hex("26 0010 26 0006 02 26 0010 02 26 0000 02 27"),
                                         AgentUse::condition);
  REQUIRE(e.has_value());
  CHECK(std::vector<std::uint16_t>(e->registers_used().begin(), e->registers_used().end()) ==
        std::vector<std::uint16_t>{0, 6, 16});
  CHECK(AgentExpression::verify(from_hex("222827"), AgentUse::condition)->registers_used().empty());
}

TEST_CASE("trace state variables") {
  Target target;
  target.variables[3] = -4;
  CHECK(target.run("2c 0003 27").value() == minus(4));
  CHECK(target.run("2c 0102 27").value() == 0);
  CHECK(target.run("2c 0003 22 01 02 2d 0003 27").value() == minus(3));  // the value stays on top
  CHECK(target.variables[3] == -3);
}

TEST_CASE("collecting goes to the output and leaves the stack as documented") {
  Target target;
  CHECK(target.run("22 01 23 1000 22 10 0c 27").value() == 1);  // trace
  CHECK(target.run("23 1000 0d 08 27").value() == 0x1000);      // trace_quick
  CHECK(target.run("23 1000 30 0108 27").value() == 0x1000);    // trace16
  CHECK(target.run("22 01 23 1000 22 20 2f 27").value() == 1);  // tracenz
  CHECK(target.run("22 01 2e 0007 27").value() == 1);           // tracev
  CHECK(target.collected == "m4096,16 m4096,8 m4096,264 s4096,32 v7 ");
}

TEST_CASE("printf as gdb sends it") {
  Target target;
  SECTION("one argument") {  // dprintf hot,"x=%d\n",x
    target.registers[6] = 0x1080;
    target.put<std::int32_t>(0x1080 + 16 - 84, -7);
    CHECK(target.run("26000622100222ac160802191620 2200 2200 34 01 0007 783d25645c6e00 27",
                     AgentUse::commands) == 0);
    CHECK(target.printed == "x=-7\n");
  }
  SECTION("none") {  // dprintf hot,"none\n"
    CHECK(target.run("22002200 34 00 0007 6e6f6e655c6e00 27", AgentUse::commands) == 0);
    CHECK(target.printed == "none\n");
  }
  SECTION("the first argument is pushed last") {  // "%d %d %d\n"
    CHECK(target.run("2203 2202 2201 2200 2200 34 03 000b 25642025642025645c6e00 27",
                     AgentUse::commands) == 0);
    CHECK(target.printed == "1 2 3\n");
  }
  SECTION("what is below its arguments stays") {
    CHECK(target.run("2209 2201 2200 2200 34 01 0003 256400 27") == 9);
    CHECK(target.printed == "1");
  }
  SECTION("in a loop without end it ends before it has printed much") {
    const std::string text(2000, '6');  // 1000 characters
    const auto result =
        target.run("2200 2200 34 00 03e9" + text + "00 21 0000 27", AgentUse::commands);
    CHECK_FALSE(result.has_value());
    CHECK(target.printed.size() > 1000);
    CHECK(target.printed.size() <= agent_step_limit * printed_in_a_step + 1000);
  }
  SECTION("a string that cannot be read is an error") {
    const auto result = target.run("2205 2200 2200 34 01 0005 613d257300 27", AgentUse::commands);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::bad_address);
    CHECK(target.printed == "a=");
  }
}

TEST_CASE("evaluation errors") {
  Target target;
  for (const char* division : {"05", "06", "07", "08"}) {
    const auto result = target.run(std::string("2205 2200 ") + division + " 27");
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::refused);
  }
  CHECK(target.run("23 0fff 17 27").error().code == Errc::bad_address);
  CHECK(target.run("26 0005 27").error().text == "no register");
  SECTION("a loop without end") {
    const auto result = target.run("2201 210002");  // goto itself
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::refused);
  }
  SECTION("a loop with an end is none") {
    // 1000 times round: counter on the stack
    CHECK(target.run("23 03e8 22 01 03 28 20 0003 27").value() == 0);
  }
}

TEST_CASE("malformed bytecode is refused when it arrives") {
  const char* table[] = {
      "",                           // nothing
      "2201",                       // no end
      "2201 2000 05 22",            // operand cut off at the very end
      "22",                         // operand missing
      "23 01",                      // half of it
      "25 01020304050607",          // seven of eight
      "26 00",                      // reg
      "27",                         // a condition without a value
      "02 27",                      // underflow
      "2201 02 27",                 // by one
      "2201 2201 33 27",            // rot needs three
      "2201 32 01 27",              // pick below the bottom
      "2b 27",                      // swap of nothing
      "2201 21 0008 27",            // jump behind the end
      "2201 21 0001 27",            // into an operand
      "2201 21 ffff 27",            // far away
      "2201 20 0007 2205 2206 27",  // two paths, two heights
      "2201 2201 20 0008 27 29",    // falls out at the end on one path
      "2201 28 21 0002",            // grows on its way round: heights differ
      "2201 16 00 27",              // extension of nothing
      "2201 2a 00 27",
      "2200 2200 34 01 0003 256400 27",         // printf: argument missing on the stack
      "2201 2200 2200 34 01 0003 616200 27",    // format takes none
      "2201 2200 2200 34 00 0003 256400 27",    // format takes one
      "2201 2200 2200 34 01 0002 2564 27",      // no NUL
      "2201 2200 2200 34 01 0004 25640061 27",  // NUL not at the end
      "2201 2200 2200 34 01 0000 27",
      "2201 2200 2200 34 01 00",
      "2201 2200 2200 34 01 0009 256400 27",  // length beyond the end
      "2201 2200 2200 34",
  };
  for (const char* hex : table) {
    INFO(hex);
    CHECK(verify_error(hex) == Errc::malformed);
  }
}

TEST_CASE("opcodes we do not have are unsupported") {
  for (const char* hex : {"00 27", "01 27", "2201 1b 27", "2201 1c 27", "2201 1d 27", "2201 1e 27",
                          "2201 1f 27", "31 27", "35 27", "ff 27", "2201 27 ff"}) {
    INFO(hex);
    CHECK(verify_error(hex) == Errc::unsupported);
  }
  CHECK(verify_error("2201 2200 2200 34 01 0003 256600 27") == Errc::unsupported);  // %f
}

TEST_CASE("commands need no value") {
  CHECK(AgentExpression::verify(from_hex("27"), AgentUse::commands).has_value());
  CHECK(Target().run("27", AgentUse::commands) == 0);
}

TEST_CASE("the stack is bounded") {
  Bytecode bytecode;
  for (std::size_t i = 0; i < agent_stack_size; ++i) {
    bytecode.push_back(0x22);
    bytecode.push_back(static_cast<std::uint8_t>(i));
  }
  Bytecode full = bytecode;
  full.push_back(0x27);
  const auto expression = AgentExpression::verify(full, AgentUse::condition);
  REQUIRE(expression.has_value());
  Target target;
  CHECK(expression->evaluate(target.environment()) == agent_stack_size - 1);
  bytecode.insert(bytecode.end(), {0x28, 0x27});
  CHECK(verify_error(bytecode) == Errc::refused);
}

TEST_CASE("every truncation of a good expression is refused") {
  const Bytecode good = from_hex(
      "26000622100222ac160802191620 22fb1608 13 200019 210034"
      "25 0000000000001088 191620 2203 2b14 20002f 210034 2201 210036 2200 27");
  REQUIRE(AgentExpression::verify(good, AgentUse::condition).has_value());
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO(size);
    CHECK(verify_error(Bytecode(good.begin(), good.begin() + long(size))) == Errc::malformed);
  }
}

TEST_CASE("any bytes are either refused or run to an end") {
  std::uint32_t seed = 12345;
  const auto random = [&seed] {
    seed = seed * 1664525 + 1013904223;
    return seed >> 24;
  };
  unsigned accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytecode bytecode(1 + random() % 12);
    for (auto& byte : bytecode) byte = static_cast<std::uint8_t>(random() % 0x36);
    bytecode.push_back(0x27);
    Target target;
    const auto expression = AgentExpression::verify(bytecode, AgentUse::commands);
    if (!expression) continue;
    ++accepted;
    (void)expression->evaluate(target.environment());
  }
  CHECK(accepted > 100);
}
