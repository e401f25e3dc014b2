#include "protocol/replies.h"

#include <set>

#include "protocol/cursor.h"
#include "protocol/hex.h"
#include "tests/catch.h"

TEST_CASE("qSupported's reply names every feature once") {
  const std::string reply = rsp::supported_reply(0x20000, {});
  CHECK(reply.starts_with("PacketSize=20000;"));
  rsp::Cursor in(reply);
  std::set<std::string> seen;
  while (!in.at_end()) {
    const std::string feature(in.until(';'));
    INFO(feature);
    CHECK(seen.insert(feature).second);
    CHECK((feature.ends_with('+') || feature.find('=') != feature.npos));
  }
  for (const char* name : {"multiprocess+", "swbreak+", "hwbreak+", "QNonStop+", "vContSupported+",
                           "ConditionalBreakpoints+", "BreakpointCommands+", "QThreadOptions=3",
                           "qXfer:features:read+", "augmented-libraries-svr4-read+", "no-resumed+"})
    CHECK(seen.contains(name));
}

TEST_CASE("qSupported's reply without what is withheld") {
  const std::string_view withheld[] = {"QThreadOptions", "error-message", "qXfer:auxv:read"};
  const std::string reply = rsp::supported_reply(0x20000, withheld);
  CHECK(reply.find("QThreadOptions") == reply.npos);
  CHECK(reply.find("error-message") == reply.npos);
  CHECK(reply.find("auxv") == reply.npos);
  CHECK(reply.find("qXfer:threads:read+") != reply.npos);
}

TEST_CASE("qXfer chunks") {
  CHECK(rsp::transfer_chunk("abcdef", 0, 3, 100) == "mabc");
  CHECK(rsp::transfer_chunk("abcdef", 3, 3, 100) == "ldef");
  CHECK(rsp::transfer_chunk("abcdef", 0, 100, 100) == "labcdef");
  CHECK(rsp::transfer_chunk("abcdef", 6, 1, 100) == "l");
  CHECK(rsp::transfer_chunk("abcdef", ~0ull, ~0ull, 100) == "l");
  CHECK(rsp::transfer_chunk("abcdef", 1, ~0ull, 100) == "lbcdef");
  CHECK(rsp::transfer_chunk("", 0, 10, 100) == "l");
  CHECK(rsp::transfer_chunk("abcdef", 0, 0, 100) == "m");
  // Escapes count against the limit of the reply.
  CHECK(rsp::transfer_chunk("####", 0, 4, 6) == "m}\x03}\x03");
}

TEST_CASE("file replies") {
  CHECK(rsp::file_result(0) == "F0");
  CHECK(rsp::file_result(255) == "Fff");
  CHECK(rsp::file_error(22) == "F-1,16");
  CHECK(rsp::file_data(rsp::as_bytes("a#"), 1000) == "F2;a}\x03");
  CHECK(rsp::file_data({}, 1000) == "F0;");
}

TEST_CASE("console output, error strings, XML") {
  CHECK(rsp::console_output("ok\n") == "O6f6b0a");
  CHECK(rsp::error_with_hex_text({rsp::Errc::refused, 0, "no"}) == "E01;6e6f");
  CHECK(rsp::error_with_hex_text({rsp::Errc::malformed, 0, ""}) == "E01");
  CHECK(rsp::error_with_hex_text({rsp::Errc::unsupported, 0, "no"}).empty());
  CHECK(rsp::xml_escaped("<a b=\"c\">&'") == "&lt;a b=&quot;c&quot;&gt;&amp;&apos;");
}
