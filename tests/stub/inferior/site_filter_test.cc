#include "stub/inferior/site_filter.h"

#include <cstring>
#include <map>
#include <string>

#include "arch/register_table.h"
#include "tests/catch.h"

namespace stub {
namespace {

struct Registers final : rsp::AgentRegisters {
  std::map<std::string, std::uint64_t> values;
  Result<std::uint64_t> read(unsigned number) override {
    return values[x86::RegisterSet::get(x86::Mode::amd64).find(number)->name];
  }
};

// One page at 0x10000, nothing behind it.
struct Memory final : rsp::AgentMemory {
  std::string page = std::string(0x1000, '\0');
  void put(std::uint64_t at, std::string_view text) {
    page.replace(at - 0x10000, text.size(), text);
  }
  void pointer(std::uint64_t at, std::uint64_t to) {
    std::memcpy(page.data() + (at - 0x10000), &to, sizeof to);
  }
  bool read(std::uint64_t address, std::span<std::byte> to) override {
    if (address < 0x10000 || address + to.size() > 0x11000) return false;
    std::memcpy(to.data(), page.data() + (address - 0x10000), to.size());
    return true;
  }
};

struct Filter {
  Registers registers;
  Memory memory;
  SiteFilter filter;
  explicit Filter(const std::string& terms) : filter(*SiteFilter::parse(terms, x86::Mode::amd64)) {}
  std::string ask(int tid = 1, std::uint64_t now_ns = 0) {
    const auto result = filter.lets_through(Tid{tid}, registers, memory, now_ns);
    return !result ? "error" : *result ? "yes" : "no";
  }
  // y and n for so many hits.
  std::string hits(int count, int tid = 1) {
    std::string all;
    for (int i = 0; i < count; ++i) all += ask(tid).front();
    return all;
  }
};

}  // namespace

TEST_CASE("site_filter: terms that are none") {
  for (const char* terms : {"nonsense",
                            "thread=",
                            "thread=x",
                            "thread=0",
                            "after=",
                            "after=-1",
                            "every=0",
                            "every=1x",
                            "rate=5/h",
                            "rate=0/s",
                            "rate=/s",
                            "$rdi",
                            "$rdi=\"a\"",
                            "$rdi==\"a",
                            "$rdi==a",
                            "==\"a\"",
                            "$none==\"a\"",
                            "$xmm0==\"a\"",
                            "rdi==\"a\"",
                            "$rdi+==\"a\"",
                            "$rdi+x==\"a\"",
                            "*********$rdi==\"a\"",
                            "every=2 nonsense",
                            "\"",
                            "rate=5",
                            "rate=5/",
                            "every=2 every=3",
                            "after=1 every=2 after=1",
                            "rate=1/s rate=2/s",
                            "thread=1 thread=2"}) {
    INFO(terms);
    const auto filter = SiteFilter::parse(terms, x86::Mode::amd64);
    REQUIRE_FALSE(filter);
    CHECK(filter.error().code == Errc::malformed);
    CHECK(!filter.error().text.empty());
  }
  CHECK_FALSE(SiteFilter::parse("$rdi==\"" + std::string(longest_test_text + 1, 'x') + "\"",
                                x86::Mode::amd64));
  CHECK(SiteFilter::parse("every=2" + std::string(longest_terms - 7, ' '), x86::Mode::amd64));
  CHECK_FALSE(SiteFilter::parse("every=2" + std::string(longest_terms - 6, ' '), x86::Mode::amd64));
}

TEST_CASE("site_filter: several texts may be compared") {
  Filter filter("$rdi==\"a\" $rsi==\"b\"");
  filter.registers.values = {{"rdi", 0x10000}, {"rsi", 0x10010}};
  filter.memory.put(0x10000, "a");
  CHECK(filter.ask() == "no");
  filter.memory.put(0x10010, "b");
  CHECK(filter.ask() == "yes");
}

TEST_CASE("site_filter: threads") {
  Filter f("thread=3,0x11");
  CHECK(f.ask(3) == "yes");
  CHECK(f.ask(17) == "yes");
  CHECK(f.ask(4) == "no");
  CHECK(f.filter.asked() == 3);
  CHECK(f.filter.let_through() == 2);
}

TEST_CASE("site_filter: counts") {
  CHECK(Filter("every=3").hits(7) == "nnynnyn");
  CHECK(Filter("after=2").hits(5) == "nnyyy");
  CHECK(Filter("after=2 every=2").hits(7) == "nnnynyn");
  CHECK(Filter("after=1 every=3").hits(7) == "nnnynny");
  CHECK(Filter("every=1").hits(2) == "yy");
  Filter others("thread=1 every=2");  // other threads' hits do not count
  CHECK(others.hits(3, 1) == "nyn");
  CHECK(others.hits(5, 2) == "nnnnn");
  CHECK(others.hits(1, 1) == "y");
}

TEST_CASE("site_filter: rates") {
  constexpr std::uint64_t second = 1'000'000'000;
  Filter f("rate=2/s");
  for (const std::uint64_t begin : {5 * second, 6 * second, 100 * second}) {
    CHECK(f.ask(1, begin) == "yes");
    CHECK(f.ask(1, begin + 1) == "yes");
    CHECK(f.ask(1, begin + 2) == "no");
    CHECK(f.ask(1, begin + second - 1) == "no");
  }
  Filter short_period("rate=1/ms"), long_period("rate=1/min"), plain("rate=1");
  CHECK(short_period.ask(1, second) == "yes");
  CHECK(short_period.ask(1, second + 999'999) == "no");
  CHECK(short_period.ask(1, second + 1'000'000) == "yes");
  CHECK(long_period.ask(1, second) == "yes");
  CHECK(long_period.ask(1, 60 * second) == "no");
  CHECK(long_period.ask(1, 61 * second) == "yes");
  CHECK(plain.ask(1, second) == "yes");
  CHECK(plain.ask(1, 2 * second - 1) == "no");
}

TEST_CASE("site_filter: strings") {
  struct Row {
    const char* terms;
    const char* answer;
  };
  const Row rows[] = {
      {"$rdi==\"hello world\"", "yes"},   {"$rdi==\"hello\"", "no"},
      {"$rdi==\"hello world!\"", "no"},   {"$rdi!=\"hello\"", "yes"},
      {"$rdi^=\"hello\"", "yes"},         {"$rdi^=\"world\"", "no"},
      {"$rdi~=\"lo wo\"", "yes"},         {"$rdi~=\"low\"", "no"},
      {"$rdi+6==\"world\"", "yes"},       {"$rsi-2==\"hello world\"", "yes"},
      {"*$rdx==\"hello world\"", "yes"},  {"*$rdx+8==\"second\"", "yes"},
      {"**$rcx==\"hello world\"", "yes"}, {"0x10100==\"hello world\"", "yes"},
      {"65792==\"hello world\"", "yes"},  {"$rdi==\"\"", "no"},
      {"0x10200==\"\"", "yes"},           {"0x10200!=\"\"", "no"},
      {"0x10ffd==\"end\"", "yes"},        {"0x10ffd^=\"end\"", "yes"},
      {"0x11000==\"x\"", "error"},        {"*0x11000==\"x\"", "error"},
      {"*0x10200==\"x\"", "error"},       {"$rdi==\"hello world\" *$rdx+8==\"first\"", "no"},
  };
  for (const Row& row : rows) {
    INFO(row.terms);
    Filter f(row.terms);
    f.registers.values = {{"rdi", 0x10100}, {"rsi", 0x10102}, {"rdx", 0x10300}, {"rcx", 0x10400}};
    f.memory.put(0x10100, "hello world");
    f.memory.put(0x10180, "second");
    f.memory.pointer(0x10300, 0x10100);
    f.memory.pointer(0x10308, 0x10180);
    f.memory.pointer(0x10400, 0x10300);
    f.memory.put(0x10ffd, "end");  // and no NUL before the end of the page
    CHECK(f.ask() == row.answer);
  }
}

}  // namespace stub
