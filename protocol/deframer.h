// The byte stream of a connection, taken apart into packets (GDB manual, "Overview" of the remote
// protocol): `$payload#cc` with cc the sum of the payload's bytes modulo 256, `+` and `-` as
// acknowledgements, and the byte 0x03 as a request to interrupt.
//
// The stream is hostile by assumption. Bytes may come one at a time or many packets at once;
// between packets anything that is not one of the four is skipped, as gdbserver does. A payload
// longer than the limit is swallowed up to its end and reported as such, so that memory stays
// bounded and the client still gets its one reply. A `$` inside a payload starts a new packet:
// clients escape it in data, so it can only mean that the end of the last packet was lost.
//
// The escape `}` (next byte XOR 0x20) is undone here. That is safe before the packet is parsed:
// only bytes of binary arguments are ever escaped, and those stand last in their packets.
// Run-length encoding is not undone: the manual gives it to replies alone, clients need not escape
// `*` in the binary data of X or vFile:pwrite, and taking `*` for a repetition would corrupt what
// they write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace rsp {

struct ReceivedPacket {
  std::string payload;  // escapes undone
};
struct ReceivedAck {};
struct ReceivedNak {};
struct ReceivedInterrupt {};
// To be answered with `-`; the payload is lost. Never reported in no-ack mode.
struct BadChecksum {};
// To be answered like a packet, with an error.
struct OverlongPacket {};

using FrameEvent = std::variant<ReceivedPacket, ReceivedAck, ReceivedNak, ReceivedInterrupt,
                                BadChecksum, OverlongPacket>;

class Deframer {
 public:
  // The limit counts the payload's bytes as they are on the wire (what PacketSize promises).
  explicit Deframer(std::size_t max_packet_size) : max_packet_size_(max_packet_size) {}

  // From now on a wrong checksum is ignored: nobody would send the packet again, and every packet
  // must be answered. gdbserver does the same.
  void start_no_ack_mode() { check_sums_ = false; }

  // Takes bytes from the front of `input` until an event is complete; nullopt when input is used
  // up.
  std::optional<FrameEvent> next(std::string_view& input);

 private:
  enum class State : std::uint8_t { between, payload, escaped, checksum_high, checksum_low };

  std::optional<FrameEvent> take(char c);
  std::optional<FrameEvent> take_between(char c);
  void take_plain(std::string_view& input);
  void take_payload(char c);
  FrameEvent finish(char last_digit);
  void begin_packet();

  std::size_t max_packet_size_;
  bool check_sums_ = true;
  State state_ = State::between;
  std::string payload_;
  std::size_t wire_size_ = 0;
  std::uint8_t sum_ = 0;
  char high_digit_ = 0;
};

}  // namespace rsp
