// Which thread.
#include <limits>

#include "protocol/parsers.h"

namespace rsp::parsers {

bool take_thread_id(std::string_view text, ThreadId& id) {
  const auto parsed = parse_thread_id(text);
  if (parsed) id = *parsed;
  return parsed.has_value();
}

bool take_pid(Cursor& in, std::int64_t& pid) {
  std::int32_t number = 0;  // pid_t
  if (!in.hex(number)) return false;
  pid = number;
  return true;
}

Parsed select_thread(std::string_view arguments) {
  Cursor in(arguments);
  SelectThread request;
  if (in.take('c')) {
    request.what = SelectFor::resume;
  } else if (!in.take('g')) {
    return fail(Errc::unsupported);
  }
  if (!take_thread_id(in.rest(), request.thread)) return malformed();
  return made(std::move(request));
}

// The object has one member of use to us, so that it is looked for as text.
Parsed query_thread_extended_info(std::string_view arguments) {
  constexpr std::string_view key = "\"thread\":";
  const std::size_t at = arguments.find(key);
  if (at == arguments.npos) return made(QueryThreadExtendedInfo{});
  Cursor in(arguments.substr(at + key.size()));
  while (in.take(' ')) {
  }
  std::int64_t tid = 0;
  if (!in.decimal(tid)) return malformed();
  return made(QueryThreadExtendedInfo{tid});
}

Parsed query_tls_address(std::string_view arguments) {
  Cursor in(arguments);
  QueryTlsAddress request;
  const bool good = take_thread_id(in.until(','), request.thread) && in.hex(request.offset) &&
                    in.take(',') && in.hex(request.link_map);
  return complete(in, good, request);
}

}  // namespace rsp::parsers
