// Z and z with their condition and command lists.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

enum class Taken : std::uint8_t { yes, malformed, unsupported };

// TYPE,ADDR,KIND. A type that is none is a packet of which nothing is known.
template <class T>
Taken take_point(Cursor& in, T& request) {
  std::uint32_t type = 0;
  const bool known =
      in.hex(type) && type <= static_cast<std::uint32_t>(PointType::access_watchpoint);
  if (!known) return Taken::unsupported;
  if (!in.take(',')) return Taken::malformed;
  request.type = static_cast<PointType>(type);
  const bool good = in.hex(request.address) && in.take(',') && in.hex(request.kind);
  return good ? Taken::yes : Taken::malformed;
}

// XLEN,hex(bytecode), as often as there is one. Conditions are written one after the other without
// a separator.
bool take_expressions(Cursor& in, std::vector<Bytecode>& expressions) {
  while (in.take('X')) {
    std::size_t length = 0;
    if (!in.hex(length) || !in.take(',') || length > in.rest().size() / 2) return false;
    const auto bytes = bytes_from_hex(in.take_up_to(2 * length));
    if (!bytes) return false;
    Bytecode& code = expressions.emplace_back();
    for (const std::byte b : *bytes) code.push_back(std::to_integer<std::uint8_t>(b));
  }
  return true;
}

bool take_commands(Cursor& in, PointCommands& commands) {
  std::uint32_t persist = 0;
  if (!in.hex(persist) || persist > 1 || !in.take(',')) return false;
  commands.persist = persist == 1;
  return take_expressions(in, commands.expressions);
}

// [;CONDITIONS][;cmds:COMMANDS]
bool take_programs(Cursor& in, InsertPoint& request) {
  while (in.take(';')) {
    if (in.take("cmds:")) {
      if (!take_commands(in, request.commands)) return false;
    } else if (!in.rest().starts_with('X') || !take_expressions(in, request.conditions)) {
      return false;
    }
  }
  return true;
}

tl::unexpected<Error> refuse(Taken taken) {
  return fail(taken == Taken::unsupported ? Errc::unsupported : Errc::malformed);
}

}  // namespace

Parsed insert_point(std::string_view arguments) {
  Cursor in(arguments);
  InsertPoint request;
  if (const Taken taken = take_point(in, request); taken != Taken::yes) return refuse(taken);
  const bool good = take_programs(in, request);
  return complete(in, good, std::move(request));
}

Parsed remove_point(std::string_view arguments) {
  Cursor in(arguments);
  RemovePoint request;
  if (const Taken taken = take_point(in, request); taken != Taken::yes) return refuse(taken);
  return complete(in, true, request);
}

}  // namespace rsp::parsers
