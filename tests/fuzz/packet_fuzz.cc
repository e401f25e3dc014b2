// The payload of one packet.
//
// Holds: a packet is a request, unsupported or malformed, never anything else; parsing has no
// state.
#include <string>
#include <string_view>

#include "protocol/error.h"
#include "protocol/parse.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  const auto request = rsp::parse(payload);
  const auto again = rsp::parse(std::string(payload));
  FUZZ_CHECK(request.has_value() == again.has_value());
  if (request) {
    FUZZ_CHECK(request->index() == again->index());
    return 0;
  }
  const rsp::Errc code = request.error().code;
  FUZZ_CHECK(code == rsp::Errc::unsupported || code == rsp::Errc::malformed);
  FUZZ_CHECK(code == again.error().code);
  const std::string reply = rsp::to_wire(request.error(), true);
  FUZZ_CHECK(reply.empty() == (code == rsp::Errc::unsupported));
  FUZZ_CHECK(reply.find_first_of("$#}*") == std::string::npos);
  return 0;
}
