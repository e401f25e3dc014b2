#include "protocol/framing.h"

#include <string>
#include <string_view>

#include "protocol/hex.h"
#include "tests/catch.h"

TEST_CASE("framing: checksums") {
  CHECK(rsp::frame_packet("OK") == "$OK#9a");
  CHECK(rsp::frame_packet("") == "$#00");
  CHECK(rsp::frame_packet("\xff\xff") == "$\xff\xff#fe");
  CHECK(rsp::frame_notification("Stop:N") == "%Stop:N#2e");
}

TEST_CASE("framing: escapes") {
  CHECK(rsp::escaped("a#$}*b") == "a}\x03}\x04}]}\nb");
  std::string out;
  CHECK(rsp::append_escaped(out, rsp::as_bytes("ab##"), 5) == 3);
  CHECK(out == "ab}\x03");
}

TEST_CASE("framing: run-length encoding") {
  struct Row {
    const char* plain;
    const char* encoded;
  };
  const Row rows[] = {
      {"", ""},
      {"0", "0"},
      {"000", "000"},
      {"0000", "0* "},
      {"00000", "0*!"},
      {"000000", "0*\""},
      // Six, seven further ones would be `#` and `$`: five and the rest.
      {"0000000", "0*\"0"},
      {"00000000", "0*\"00"},
      {"000000000", "0*%"},
      {"ab0000c", "ab0* c"},
  };
  for (const Row& row : rows) {
    INFO(row.plain);
    CHECK(rsp::run_length_encoded(row.plain) == row.encoded);
  }
}

namespace {

std::string decoded_runs(const std::string& encoded) {
  std::string decoded;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] != '*') {
      decoded.push_back(encoded[i]);
      continue;
    }
    const char code = encoded[++i];
    REQUIRE(std::string_view("#$+-").find(code) == std::string_view::npos);
    REQUIRE(code >= ' ');
    REQUIRE(code <= '~');
    decoded.append(static_cast<std::size_t>(code - 29), decoded.back());
  }
  return decoded;
}

}  // namespace

TEST_CASE("framing: every repetition comes back, without a byte that means something else") {
  for (std::size_t count = 1; count < 400; ++count) {
    const std::string plain = std::string(count, 'x') + "y";
    CHECK(decoded_runs(rsp::run_length_encoded(plain)) == plain);
  }
}

// The encoder looks at several characters at once: a run may begin and end anywhere among them.
TEST_CASE("framing: a run of four or more is found wherever it stands") {
  const std::string other = "ab0ab00ab000abab0abab000ab";
  for (std::size_t before = 0; before < other.size(); ++before)
    for (std::size_t after = 0; after < other.size(); ++after)
      for (std::size_t count = 4; count < 20; ++count) {
        const std::string plain =
            other.substr(0, before) + "x" + std::string(count, '0') + "y" + other.substr(0, after);
        const std::string encoded = rsp::run_length_encoded(plain);
        INFO(plain);
        REQUIRE(decoded_runs(encoded) == plain);
        REQUIRE(encoded.size() < plain.size());
      }
}
