#include "protocol/error.h"

#include "tests/catch.h"

using rsp::Errc;
using rsp::Error;

TEST_CASE("errors on the wire") {
  CHECK(to_wire(Error{Errc::unsupported, 0, "text"}, true).empty());
  CHECK(to_wire(Error{Errc::malformed, 0, ""}, true) == "E01");
  CHECK(to_wire(Error{Errc::refused, 0, "no debug register is free"}, false) == "E01");
  CHECK(to_wire(Error{Errc::refused, 0, "no debug register is free"}, true) ==
        "E.no debug register is free");
  CHECK(to_wire(Error{Errc::system, 13, ""}, false) == "E0d");
  CHECK(to_wire(Error{Errc::system, 5000, ""}, false) == "E01");
  // Where gdbserver says 01, so does this, whatever the kernel's number was.
  CHECK(to_wire(Error{Errc::thread_gone, 3, ""}, false) == "E01");
  CHECK(to_wire(Error{Errc::bad_address, 14, ""}, false) == "E01");
}

TEST_CASE("an error's text cannot break the frame") {
  CHECK(to_wire(Error{Errc::refused, 0, "a#b$c}d*e\nf"}, true) == "E.a?b?c?d?e?f");
}
