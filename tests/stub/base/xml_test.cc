#include "stub/base/xml.h"

#include "tests/catch.h"

TEST_CASE("xml_text") {
  struct Row {
    std::string_view in, out;
  };
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"", ""},
      {"/lib/libc.so.6", "/lib/libc.so.6"},
      {"<a&b>'\"", "&lt;a&amp;b&gt;&apos;&quot;"},
      {"tab\tline\n", "tab\tline\n"},
      {"\0\x01\x1f\x7f"sv, "???\x7f"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},                      // two-byte forms
      {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},  // three and four
      {"gr\xfc\xdf", "gr??"},                                            // Latin-1
      {"\xc0\xaf", "??"},                                                // overlong
      {"\xe0\x80\x80", "???"},
      {"\xed\xa0\x80", "???"},       // surrogate
      {"\xf4\x90\x80\x80", "????"},  // above U+10FFFF
      {"\xe2\x82", "??"},            // cut off
      {"\xc3<", "?&lt;"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.in);
    CHECK(stub::xml_text(row.in) == row.out);
  }
}
