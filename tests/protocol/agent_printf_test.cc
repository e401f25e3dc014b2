#include "protocol/agent_printf.h"

#include <cstring>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace rsp;

namespace {

// One readable page at 0x1000.
struct Page : AgentMemory {
  std::vector<std::byte> bytes = std::vector<std::byte>(4096, std::byte{'x'});
  bool read(std::uint64_t address, std::span<std::byte> to) override {
    if (address < 0x1000 || address > 0x2000 || to.size() > 0x2000 - address) return false;
    std::memcpy(to.data(), bytes.data() + (address - 0x1000), to.size());
    return true;
  }
  void put(std::uint64_t address, std::string_view text) {
    std::memcpy(bytes.data() + (address - 0x1000), text.data(), text.size());
    bytes[address - 0x1000 + text.size()] = std::byte{0};
  }
};

std::string print(std::string_view format, std::vector<std::uint64_t> arguments = {}) {
  Page page;
  page.put(0x1100, "hello");
  page.put(0x1200, "");
  const auto verified = AgentFormat::verify(format);
  REQUIRE(verified.has_value());
  REQUIRE(verified->argument_count() == arguments.size());
  std::string out;
  REQUIRE(verified->print(arguments, page, out).has_value());
  return out;
}

Errc error_of(std::string_view format) {
  const auto verified = AgentFormat::verify(format);
  REQUIRE_FALSE(verified.has_value());
  return verified.error().code;
}

}  // namespace

TEST_CASE("conversions") {
  struct Case {
    const char* format;
    std::uint64_t argument;
    const char* text;
  };
  const std::uint64_t minus_one = ~std::uint64_t{0};
  const Case table[] = {
      {"%d", minus_one, "-1"},
      {"%i", 42, "42"},
      {"%d", 0x100000005, "5"},  // int: 32 bits of what was computed
      {"%d", 0xffffffff, "-1"},
      {"%u", minus_one, "4294967295"},
      {"%x", minus_one, "ffffffff"},
      {"%X", 0xabc, "ABC"},
      {"%#x", 0xabc, "0xabc"},
      {"%o", 8, "10"},
      {"%hd", 0x18000, "-32768"},
      {"%hhu", 0x1ff, "255"},
      {"%ld", minus_one, "-1"},
      {"%lu", minus_one, "18446744073709551615"},
      {"%lld", 0x8000000000000000, "-9223372036854775808"},
      {"%llx", minus_one, "ffffffffffffffff"},
      {"%zu", 0x100000000, "4294967296"},
      {"%jd", minus_one, "-1"},
      {"%tx", 0x100000000, "100000000"},
      {"%5d|", 42, "   42|"},
      {"%-5d|", 42, "42   |"},
      {"%05d", 42, "00042"},
      {"%+d", 42, "+42"},
      {"% d", 42, " 42"},
      {"%.4d", 42, "0042"},
      {"%8.4x|", 0x2a, "    002a|"},
      {"%c", 'A', "A"},
      {"%c", 0x141, "A"},
      {"%3c|", 'A', "  A|"},
      {"%-3c|", 'A', "A  |"},
      {"%p", 0x7ffff7fe4b70, "0x7ffff7fe4b70"},
      {"%p", 0, "(nil)"},
      {"%16p|", 0x1000, "          0x1000|"},
      {"%s", 0x1100, "hello"},
      {"%s", 0x1200, ""},
      {"%s", 0, "(null)"},
      {"%8s|", 0x1100, "   hello|"},
      {"%-8s|", 0x1100, "hello   |"},
      {"%.2s", 0x1100, "he"},
      {"%.0s", 0x1100, ""},
      {"%.s", 0x1100, ""},
      {"%4.2s|", 0x1100, "  he|"},
      {"a%%b%dc", 1, "a%b1c"},
      {"%d%%", 100, "100%"},
  };
  for (const Case& c : table) {
    INFO(c.format);
    CHECK(print(c.format, {c.argument}) == c.text);
  }
}

TEST_CASE("several arguments in order") {
  CHECK(print("%d, %s and %c", {7, 0x1100, '!'}) == "7, hello and !");
  CHECK(print("") == "");
  CHECK(print("plain") == "plain");
  CHECK(print("%%") == "%");
}

TEST_CASE("escapes are gdb's, spelled out") {
  CHECK(print(R"(a\n\t\r\\\"\a\b\e\f\v)") == "a\n\t\r\\\"\a\b\033\f\v");
}

TEST_CASE("a string ends at its NUL or where memory does") {
  Page page;
  const auto format = AgentFormat::verify("%s").value();
  std::string out;
  SECTION("across the blocks it is read in") {
    page.put(0x10f0, std::string(700, 'y'));
    REQUIRE(format.print(std::vector<std::uint64_t>{0x10f0}, page, out).has_value());
    CHECK(out == std::string(700, 'y'));
  }
  SECTION("at the end of the last readable page") {
    REQUIRE(format.print(std::vector<std::uint64_t>{0x1ff0}, page, out).has_value());
    CHECK(out == std::string(16, 'x'));
  }
  SECTION("nothing readable at all") {
    const auto result = format.print(std::vector<std::uint64_t>{0x2000}, page, out);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::bad_address);
  }
  SECTION("at the last address there is") {
    CHECK_FALSE(format.print(std::vector<std::uint64_t>{~std::uint64_t{0}}, page, out).has_value());
  }
}

TEST_CASE("formats that are not printed") {
  for (const char* format :
       {"%", "abc%5", "%-", "%.", "%l", "%ll", "\\", "\\q", "\\101", "\\x41"}) {
    INFO(format);
    CHECK(error_of(format) == Errc::malformed);
  }
  for (const char* format : {"%n", "%hn", "%f", "%g", "%5.2e", "%a", "%Lf", "%ls", "%lc", "%*d",
                             "%.*s", "%1$d", "%'d", "%b", "%y", "%V", "%hs"}) {
    INFO(format);
    CHECK(error_of(format) == Errc::unsupported);
  }
  for (const char* format : {"%1025d", "%99999999999999999999d", "%.4294967296s"}) {
    INFO(format);
    CHECK(error_of(format) == Errc::refused);
  }
  CHECK(print("%1024d", {1}).size() == 1024);
  CHECK(print("%.1024d", {1}).size() == 1024);
}
