#include "stub/transport/first_bytes.h"

#include "tests/catch.h"

namespace stub {

TEST_CASE("first_bytes: the first packet tells, before it is answered") {
  using enum Dialect;
  struct Row {
    const char* bytes;
    std::optional<Dialect> dialect;
  };
  const Row rows[] = {
      {"", std::nullopt},
      {"+", std::nullopt},
      {"+$", std::nullopt},
      {"+$QStartNoAckMode", std::nullopt},
      {"+$QStartNoAckMode#", lldb},
      {"$QStartNoAckMode#b0", lldb},
      {"++$QStartNoAckMode#b0+$qSupported", lldb},
      {"+$qSupported:multiprocess+", gdb},
      {"$QStartNoAckModes#", gdb},
      {"$Q", std::nullopt},
      {"$QN", gdb},
      {"GET / HTTP/1.1", gdb},
      {"\x03", gdb},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    CHECK(dialect_of_first_bytes(row.bytes) == row.dialect);
  }
}

}  // namespace stub
