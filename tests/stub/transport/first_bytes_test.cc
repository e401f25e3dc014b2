#include "stub/transport/first_bytes.h"

#include <string>

#include "tests/catch.h"

namespace stub {

TEST_CASE("first_bytes: the first packet tells, before it is answered") {
  using enum FirstBytes;
  struct Row {
    std::string bytes;
    std::optional<FirstBytes> judged;
  };
  const Row rows[] = {
      {"", std::nullopt},
      {"+", std::nullopt},
      {"-", std::nullopt},
      {"\x03", std::nullopt},
      {"+$", std::nullopt},
      {"+$QStartNoAckMode", std::nullopt},
      {"+$QStartNoAckMode#", std::nullopt},
      {"+$QStartNoAckMode#b0", lldb},
      {"++$QStartNoAckMode#b0+$qSupported#37", lldb},
      {"$QStartNoAckModes#23", gdb},
      {"+$qSupported#3", std::nullopt},
      {"+$qSupported#37", gdb},
      {"\x03+$qSupported#37", gdb},
      {"$?#3f$g#00", gdb},
      {"$?#00", damaged},
      {"$?#00$?#3f", damaged},
      {"$?#zz", damaged},
      {"$cut$?#3f", gdb},
      {"G", std::nullopt},
      {"GET / HTTP/1.1", std::nullopt},
      {"GET / HTTP/1.1\r\n", http},
      {"GET /$?#3f HTTP/1.1\r\n", http},
      {"POST / HTTP/1.1\r\n\r\n$?#3f", http},
      {"hello\n$?#3f", foreign},
      {"\n", foreign},
      {std::string("\x16\x03\x01\x02\x00", 5), std::nullopt},  // TLS
      {std::string(first_bytes_limit, 'x'), foreign},
      {"$" + std::string(first_bytes_limit, 'x'), foreign},
      {std::string(first_bytes_limit, '+'), foreign},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    CHECK(judge_first_bytes(row.bytes) == row.judged);
  }
}

}  // namespace stub
