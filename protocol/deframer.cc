#include "protocol/deframer.h"

#include <algorithm>
#include <utility>

#include "protocol/framing.h"
#include "protocol/hex.h"

namespace rsp {

namespace {
constexpr char interrupt_byte = 0x03;
constexpr char escape_mask = 0x20;
}  // namespace

std::optional<FrameEvent> Deframer::next(std::string_view& input) {
  while (!input.empty()) {
    if (state_ == State::payload) take_plain(input);
    if (input.empty()) break;
    const char c = input.front();
    input.remove_prefix(1);
    if (auto event = take(c)) return event;
  }
  return std::nullopt;
}

std::optional<FrameEvent> Deframer::take(char c) {
  switch (state_) {
    case State::between:
      return take_between(c);
    case State::payload:
    case State::escaped:
      take_payload(c);
      return std::nullopt;
    case State::checksum_high:
      if (c == '$') {
        begin_packet();
      } else {
        high_digit_ = c;
        state_ = State::checksum_low;
      }
      return std::nullopt;
    case State::checksum_low:
      return finish(c);
  }
  return std::nullopt;
}

std::optional<FrameEvent> Deframer::take_between(char c) {
  switch (c) {
    case '$':
      begin_packet();
      return std::nullopt;
    case '+':
      return ReceivedAck{};
    case '-':
      return ReceivedNak{};
    case interrupt_byte:
      return ReceivedInterrupt{};
    default:
      return std::nullopt;
  }
}

void Deframer::begin_packet() {
  payload_.clear();
  wire_size_ = 0;
  sum_ = 0;
  state_ = State::payload;
}

// A payload's bytes up to the next one that means something, or up to the limit: memory is written
// in packets of many thousand bytes.
void Deframer::take_plain(std::string_view& input) {
  const std::size_t room = max_packet_size_ - std::min(wire_size_, max_packet_size_);
  const std::string_view most = input.substr(0, room);
  const auto end = std::find_if(most.begin(), most.end(),
                                [](char c) { return c == '#' || c == '}' || c == '$'; });
  const std::string_view plain = most.substr(0, static_cast<std::size_t>(end - most.begin()));
  payload_.append(plain);
  sum_ = static_cast<std::uint8_t>(sum_ + checksum(plain));
  wire_size_ += plain.size();
  input.remove_prefix(plain.size());
}

void Deframer::take_payload(char c) {
  if (c == '$') return begin_packet();
  const bool fits = wire_size_ < max_packet_size_ + 1;
  if (c == '#') {
    // An escape with nothing to escape stays what it is.
    if (state_ == State::escaped && fits) payload_.push_back('}');
    state_ = State::checksum_high;
    return;
  }
  sum_ = static_cast<std::uint8_t>(sum_ + static_cast<unsigned char>(c));
  if (!fits || ++wire_size_ > max_packet_size_) {
    payload_.clear();
  } else if (state_ == State::escaped) {
    payload_.push_back(static_cast<char>(c ^ escape_mask));
  } else if (c != '}') {
    payload_.push_back(c);
  }
  state_ = state_ == State::payload && c == '}' ? State::escaped : State::payload;
}

FrameEvent Deframer::finish(char last_digit) {
  state_ = State::between;
  const int high = hex_digit(high_digit_);
  const int low = hex_digit(last_digit);
  const bool sum_is_right = high >= 0 && low >= 0 && (high << 4 | low) == sum_;
  if (check_sums_ && !sum_is_right) return BadChecksum{};
  if (wire_size_ > max_packet_size_) return OverlongPacket{};
  return ReceivedPacket{std::exchange(payload_, {})};
}

}  // namespace rsp
