#include "protocol/hex.h"

#include "tests/catch.h"

TEST_CASE("hex: contents round trip, either case read, lower case written") {
  CHECK(rsp::to_hex(std::string_view("\x00\x7f\xff", 3)) == "007fff");
  CHECK(rsp::text_from_hex("007fFF") == std::string("\x00\x7f\xff", 3));
  CHECK(rsp::bytes_from_hex("") == std::vector<std::byte>{});
  std::string text = "m";
  rsp::append_hex(text, std::vector<std::byte>{std::byte{0xa0}});
  CHECK(text == "ma0");
}

TEST_CASE("hex: half a byte and other characters are refused") {
  CHECK_FALSE(rsp::bytes_from_hex("0"));
  CHECK_FALSE(rsp::bytes_from_hex("0g"));
  CHECK_FALSE(rsp::bytes_from_hex("x0"));
  CHECK_FALSE(rsp::text_from_hex("00 "));
  CHECK_FALSE(rsp::text_from_hex("\xff\xff"));
}

TEST_CASE("hex: numbers have no leading zeros") {
  CHECK(rsp::hex_number(0) == "0");
  CHECK(rsp::hex_number(~0ull) == "ffffffffffffffff");
}
