#include "stub/transport/first_bytes.h"

#include <variant>

#include "protocol/deframer.h"

namespace stub {
namespace {

std::optional<FirstBytes> judge_packet(std::string_view received) {
  rsp::Deframer deframer(first_bytes_limit);
  while (const auto event = deframer.next(received)) {
    if (std::holds_alternative<rsp::BadChecksum>(*event)) return FirstBytes::damaged;
    if (const auto* packet = std::get_if<rsp::ReceivedPacket>(&*event))
      return packet->payload == "QStartNoAckMode" ? FirstBytes::lldb : FirstBytes::gdb;
  }
  return std::nullopt;
}

std::optional<FirstBytes> judge_line(std::string_view received) {
  const auto end = received.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const bool has_version = received.substr(0, end).find(" HTTP/") != std::string_view::npos;
  return has_version ? FirstBytes::http : FirstBytes::foreign;
}

}  // namespace

std::optional<FirstBytes> judge_first_bytes(std::string_view received) {
  constexpr std::string_view before_a_packet = "+-\x03";
  const auto start = received.find_first_not_of(before_a_packet);
  std::optional<FirstBytes> judged;
  if (start != std::string_view::npos)
    judged = received[start] == '$' ? judge_packet(received) : judge_line(received);
  if (!judged && received.size() >= first_bytes_limit) return FirstBytes::foreign;
  return judged;
}

}  // namespace stub
