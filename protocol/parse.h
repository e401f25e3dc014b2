// From the payload of a packet to a typed request.
#pragma once

#include <span>
#include <string_view>

#include "protocol/error.h"
#include "protocol/packets.h"

namespace rsp {

// `payload` as the deframer hands it out. Errc::unsupported when no row of the table knows the
// packet (or the variant of it), Errc::malformed when one does and the bytes are not of its form.
// What a request holds is never larger than a small multiple of the payload.
Result<Request> parse(std::string_view payload);

enum class Arguments : std::uint8_t {
  none,    // the packet is the name and nothing else
  follow,  // what follows the name is the parser's
};

// A packet: its name, and who reads what follows.
struct PacketRow {
  std::string_view name;
  Arguments arguments;
  Result<Request> (*parse)(std::string_view arguments);
  // What qSupported announces for it, several separated by `;`. Empty: known without being
  // announced.
  std::string_view feature = {};
};
std::span<const PacketRow> packet_table();

}  // namespace rsp
