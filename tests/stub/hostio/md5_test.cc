#include "stub/hostio/md5.h"

#include <fmt/format.h>

#include <string>

#include "tests/catch.h"

namespace {
std::string md5(std::string_view text, std::size_t piece) {
  stub::Md5 digest;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    digest.add(std::as_bytes(std::span(text.substr(0, piece))));
  }
  std::string hex;
  for (std::byte b : digest.finish()) hex += fmt::format("{:02x}", static_cast<unsigned>(b));
  return hex;
}
}  // namespace

TEST_CASE("the test suite of RFC 1321, A.5") {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", "d41d8cd98f00b204e9800998ecf8427e"},
      {"a", "0cc175b9c0f1b6a831c399e269772661"},
      {"abc", "900150983cd24fb0d6963f7d28e17f72"},
      {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
      {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
       "d174ab98d277d9f5a5611c2c9f419d9f"},
      {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
       "57edf4a22be3c955ac49da2e2107b67a"},
  };
  for (auto [text, digest] : rows) {
    for (std::size_t piece : {1, 7, 64, 1000}) {
      CAPTURE(text, piece);
      CHECK(md5(text, piece) == digest);
    }
  }
}
