#include "stub/base/utf8.h"

#include "tests/catch.h"

TEST_CASE("utf8_length") {
  struct Row {
    std::string_view text;
    std::size_t length;
  };
  const Row rows[] = {
      {"a", 1},
      {"\x7f", 1},
      {"\xc2\x80", 2},
      {"\xdf\xbf+", 2},
      {"\xe0\xa0\x80", 3},
      {"\xed\x9f\xbf", 3},
      {"\xee\x80\x80", 3},
      {"\xf0\x90\x80\x80", 4},
      {"\xf4\x8f\xbf\xbf", 4},
      {"\x80", 0},              // continuation first
      {"\xc1\xbf", 0},          // overlong
      {"\xe0\x9f\xbf", 0},      // overlong
      {"\xf0\x8f\xbf\xbf", 0},  // overlong
      {"\xed\xa0\x80", 0},      // surrogate
      {"\xf4\x90\x80\x80", 0},  // above U+10FFFF
      {"\xf5\x80\x80\x80", 0},
      {"\xff", 0},
      {"\xc3", 0},  // cut off
      {"\xe2\x82", 0},
      {"\xf0\x9f\x98", 0},
      {"\xe2(\xa1", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(stub::utf8_length(row.text) == row.length);
  }
}
