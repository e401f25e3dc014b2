// The stream of bytes of a connection. The first byte chooses the limit and the mode, the rest is
// the stream.
//
// Holds: how the stream is cut into pieces does not matter; no payload is larger than the limit;
// what frame_packet makes is what the deframer takes apart.
#include <string>
#include <string_view>
#include <vector>

#include "protocol/deframer.h"
#include "protocol/framing.h"
#include "protocol/hex.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr std::size_t limits[] = {1, 16, 400, 1u << 17};

// One line per event.
std::vector<std::string> events(std::string_view stream, std::size_t limit, bool no_ack,
                                fuzz::Random* cuts) {
  rsp::Deframer deframer(limit);
  if (no_ack) deframer.start_no_ack_mode();
  std::vector<std::string> lines;
  while (!stream.empty()) {
    const std::size_t size = cuts ? 1 + cuts->below(stream.size()) : stream.size();
    std::string_view piece = stream.substr(0, size);
    stream.remove_prefix(size);
    while (auto event = deframer.next(piece)) {
      lines.push_back(std::to_string(event->index()));
      if (const auto* packet = std::get_if<rsp::ReceivedPacket>(&*event)) {
        FUZZ_CHECK(packet->payload.size() <= limit);
        lines.back() += packet->payload;
      }
      FUZZ_CHECK(!no_ack || !std::holds_alternative<rsp::BadChecksum>(*event));
    }
    FUZZ_CHECK(piece.empty());
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t limit = limits[data[0] / 2 % std::size(limits)];
  const bool no_ack = data[0] % 2;
  const std::string_view stream(reinterpret_cast<const char*>(data + 1), size - 1);
  fuzz::Random cuts(std::span(data, size));
  FUZZ_CHECK(events(stream, limit, no_ack, nullptr) == events(stream, limit, no_ack, &cuts));

  const std::string frame = rsp::frame_packet(rsp::escaped(stream));
  FUZZ_CHECK(events(frame, 2 * stream.size() + 1, no_ack, &cuts) ==
             std::vector{"0" + std::string(stream)});
  return 0;
}
