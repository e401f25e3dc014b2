// Reading, writing and mapping memory.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

Bytes copy(std::string_view text) {
  const auto bytes = as_bytes(text);
  return Bytes(bytes.begin(), bytes.end());
}

// ADDR,LENGTH:
bool take_target(Cursor& in, WireAddress& address, std::uint64_t& length) {
  return in.hex(address) && in.take(',') && in.hex(length) && in.take(':');
}

}  // namespace

Parsed write_memory_hex(std::string_view arguments) {
  Cursor in(arguments);
  WriteMemory request;
  std::uint64_t length = 0;
  if (!take_target(in, request.address, length)) return malformed();
  auto data = bytes_from_hex(in.rest());
  if (!data || data->size() != length) return malformed();
  request.data = std::move(*data);
  return made(std::move(request));
}

Parsed write_memory_binary(std::string_view arguments) {
  Cursor in(arguments);
  WriteMemory request;
  std::uint64_t length = 0;
  if (!take_target(in, request.address, length)) return malformed();
  if (in.rest().size() != length) return malformed();
  request.data = copy(in.rest());
  return made(std::move(request));
}

Parsed allocate_memory(std::string_view arguments) {
  Cursor in(arguments);
  AllocateMemory request;
  if (!in.hex(request.size) || !in.take(',')) return malformed();
  while (!in.at_end()) {
    if (in.take('r')) {
      request.readable = true;
    } else if (in.take('w')) {
      request.writable = true;
    } else if (in.take('x')) {
      request.executable = true;
    } else {
      return malformed();
    }
  }
  return made(std::move(request));
}

Parsed search_memory(std::string_view arguments) {
  Cursor in(arguments);
  SearchMemory request;
  const bool good =
      in.hex(request.address) && in.take(';') && in.hex(request.length) && in.take(';');
  if (!good) return malformed();
  request.pattern = copy(in.rest());
  return made(std::move(request));
}

Parsed query_memory_region(std::string_view arguments) {
  if (arguments.empty()) return made(QueryMemoryRegion{});
  Cursor in(arguments);
  WireAddress address = 0;
  const bool good = in.hex(address);
  return complete(in, good, QueryMemoryRegion{address});
}

}  // namespace rsp::parsers
