#include "protocol/cursor.h"

#include "tests/catch.h"

TEST_CASE("cursor: numbers are checked against their type and taken whole") {
  std::uint64_t wide = 0;
  rsp::Cursor in("ffffffffffffffff,1");
  REQUIRE(in.hex(wide));
  CHECK(wide == ~0ull);
  CHECK(in.rest() == ",1");

  rsp::Cursor too_wide("10000000000000000");
  CHECK_FALSE(too_wide.hex(wide));
  CHECK(too_wide.rest() == "10000000000000000");

  std::int32_t narrow = 0;
  CHECK_FALSE(rsp::Cursor("80000000").hex(narrow));
  CHECK(rsp::Cursor("7fffffff").hex(narrow));
  CHECK(narrow == 0x7fffffff);
  CHECK(rsp::Cursor("00000000000000000000001").hex(narrow));
  CHECK(narrow == 1);
  CHECK(rsp::Cursor("12").decimal(narrow));
  CHECK(narrow == 12);
}

TEST_CASE("cursor: no sign, no prefix, no space, not nothing") {
  std::int64_t value = 7;
  for (const char* text : {"", "-1", "+1", " 1", "g", ",1"}) {
    CHECK_FALSE(rsp::Cursor(text).hex(value));
    CHECK(value == 7);
  }
}

TEST_CASE("cursor: until takes the separator, and everything where there is none") {
  rsp::Cursor in("a;;b");
  CHECK(in.until(';') == "a");
  CHECK(in.until(';').empty());
  CHECK(in.until(';') == "b");
  CHECK(in.at_end());
  rsp::Cursor rest("abc");
  CHECK(rest.take_up_to(2) == "ab");
  CHECK(rest.take_up_to(2) == "c");
}
