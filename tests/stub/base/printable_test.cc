#include "stub/base/printable.h"

#include "tests/catch.h"

using namespace stub;

TEST_CASE("printable: nothing is left that a terminal acts upon") {
  struct Row {
    std::string_view text, shown;
  };
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"", ""},
      {"/bin/true -x 'y'", "/bin/true -x 'y'"},
      {"\x1b[2Jx", "\\x1b[2Jx"},
      {"a\nListening on port 1", "a\\nListening on port 1"},
      {"a\rb\tc\bd\x7f", "a\\x0db\\tc\\x08d\\x7f"},
      {"a\0b"sv, "a\\x00b"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc2\x9b"
       "2J \xc2\xa0",
       "\\xc2\\x9b"
       "2J \xc2\xa0"},  // C1 control; no-break space
      {"\x9b"
       "2J \xc3",
       "\\x9b"
       "2J \\xc3"},  // not UTF-8
      {"a\\x1b", "a\\x1b"},
  };
  for (const Row& row : rows) CHECK(printable(row.text) == row.shown);
}

TEST_CASE("printable: characters that are to stay") {
  CHECK(printable("a\tb\n\x1b[0m\n", "\n\t") == "a\tb\n\\x1b[0m\n");
}
