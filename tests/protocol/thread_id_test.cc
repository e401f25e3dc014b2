#include "protocol/thread_id.h"

#include <optional>

#include "tests/catch.h"

using rsp::ThreadId;

TEST_CASE("thread ids as packets write them") {
  struct Row {
    const char* text;
    std::optional<ThreadId> id;
  };
  const Row rows[] = {
      {"1", ThreadId{0, 1}},
      {"0", ThreadId{0, 0}},
      {"-1", ThreadId{-1, -1}},
      {"4b6", ThreadId{0, 0x4b6}},
      {"p1.2", ThreadId{1, 2}},
      {"pabc", ThreadId{0xabc, -1}},
      {"p1.-1", ThreadId{1, -1}},
      {"p1.0", ThreadId{1, 0}},
      {"p0.0", ThreadId{0, 0}},
      {"p0.7", ThreadId{0, 7}},
      {"p-1", ThreadId{-1, -1}},
      {"p-1.-1", ThreadId{-1, -1}},
      {"p-1.7", {}},
      {"", {}},
      {"p", {}},
      {"p.", {}},
      {"p1.", {}},
      {"p.1", {}},
      {"-2", {}},
      {"--1", {}},
      {"1.2", {}},
      {"p1.2.3", {}},
      {"p1.2 ", {}},
      {"80000000", {}},
      {"p1.ffffffffffffffffff", {}},
      {"zz", {}},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto parsed = rsp::parse_thread_id(row.text);
    REQUIRE(parsed.has_value() == row.id.has_value());
    if (parsed) CHECK(*parsed == *row.id);
    if (!parsed) CHECK(parsed.error().code == rsp::Errc::malformed);
  }
}

TEST_CASE("thread ids on their way out") {
  CHECK(rsp::to_wire({0x10, 0x11}, true) == "p10.11");
  CHECK(rsp::to_wire({0x10, 0x11}, false) == "11");
  CHECK(rsp::to_wire(rsp::all_threads, true) == "p-1.-1");
  CHECK(rsp::to_wire(rsp::all_threads, false) == "-1");
}
