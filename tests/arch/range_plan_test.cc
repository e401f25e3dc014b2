#include "arch/range_plan.h"

#include "tests/arch/code.h"

namespace x86 {
namespace {

constexpr Address base(0x1000);

// "1005! 1007" for decision points and ": 0 2" for the offsets covered; "none" for no plan.
std::string planned(std::string_view text, std::initializer_list<Address> entries = {base},
                    Mode mode = Mode::amd64, std::size_t most = 64) {
  const auto bytes = code(text);
  const auto plan = plan_range(bytes, base, std::vector<Address>(entries), mode, most);
  if (!plan) return "none";
  std::string shown;
  char digits[20];
  for (const Address at : plan->decisions) {
    std::snprintf(digits, sizeof digits, "%llx ", static_cast<unsigned long long>(at.value()));
    shown += digits;
  }
  shown += ":";
  for (std::size_t i = 0; i < plan->starts.size(); ++i)
    if (plan->covers(base + i)) shown += " " + std::to_string(i);
  return shown;
}

TEST_CASE("range plan: where a range can be left") {
  struct Row {
    std::string_view bytes;
    std::string_view expected;
  };
  const Row rows[] = {
      {"48 ff c0 90", "1004 : 0 3"},                // falls out at its end
      {"48 01 f8 48 ff cf 75 f8", "1008 : 0 3 6"},  // add; dec; jnz to the start
      {"48 ff cf 74 10 eb f9", "1015 : 0 3 5"},     // the exit in the middle, jmp back
      {"74 fd 90", "fff 1003 : 0 2"},               // out at the front
      {"eb fe", ": 0"},                             // never left
      {"e2 fe", "1002 : 0"},                        // loop
      {"e3 20 90", "1003 1022 : 0 2"},              // jrcxz
      {"f3 e0 20", "1003 1023 : 0"},                // either way, whatever the prefix means
      {"90 c3", "1001 : 0 1"},                      // ret, executed on its own
      {"90 c2 08 00", "1001 : 0 1"},                //
      {"90 e8 00 01 00 00 90", "1001 : 0 1"},       // call: what follows is not followed
      {"90 e8 fa ff ff ff", "1001 : 0 1"},          // even a call into the range
      {"90 ff d0 90", "1001 : 0 1"},                // call *%rax
      {"90 ff 14 c5 00 00 00 00", "1001 : 0 1"},    // call *mem
      {"90 ff e0 cc cc", "1001 : 0 1"},             // jmp *%rax: a table may follow
      {"90 ff 24 c5 00 00 00 00", "1001 : 0 1"},    // jmp *mem
      {"90 0f 05 90", "1001 1004 : 0 1 3"},         // syscall, and on
      {"9d 90", "1000 1002 : 0 1"},                 // popf
      {"0f 0b 06 06", "1000 : 0"},                  // ud2: no code behind it
      {"eb 02 06 06 90", "1005 : 0 4"},             // data jumped over
      {"f3 a4 d9 c0 8e d0 55 48 8d 05 00 00 00 00", "100e : 0 2 4 6 7"},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    CHECK(planned(row.bytes) == row.expected);
  }
}

TEST_CASE("range plan: what cannot be trusted is not planned") {
  CHECK(planned("90 06") == "none");                    // no instruction in 64-bit code
  CHECK(planned("90 48 8b") == "none");                 // ends beyond the range
  CHECK(planned("eb 01 f0 0f b1 0f") == "1006 : 0 3");  // around a lock prefix,
  CHECK(planned("74 01 f0 0f b1 0f") == "none");        // or into it
  CHECK(planned("90 cc 90") == "none");                 // the program's own int3
  CHECK(planned("90 cb") == "none");                    // far return
  CHECK(planned("66 74 00 90") == "none");              // depends on the vendor
  CHECK(planned("c7 f8 00 00 00 00 90") == "none");     // xbegin
  CHECK(planned("74 20 75 30 78 40", {base}, Mode::amd64, 3) == "none");
  CHECK(planned("74 20 75 30 78 40", {base}, Mode::amd64, 4) != "none");
}

TEST_CASE("range plan: further entries") {
  CHECK(planned("ff e0 90 90", {base, base + 2}) == "1000 1004 : 0 2 3");
  CHECK(planned("ff e0 90 90", {base + 3}) == "1004 : 3");
  CHECK(planned("48 ff c0", {base, base + 1}) == "none");  // into the middle
}

TEST_CASE("range plan: i386 code") {
  CHECK(planned("40 75 fd", {base}, Mode::i386) == "1003 : 0 1");
  CHECK(planned("e8 00 00 00 00 58", {base, base + 5}, Mode::i386) == "1000 1006 : 0 5");
  CHECK(planned("cd 80 90", {base}, Mode::i386) == "1000 1003 : 0 2");
}

}  // namespace
}  // namespace x86
