// Negotiation, objects, symbols, trace state variables.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

// name+ | name- | name? | name=value
ClientFeature feature(std::string_view text) {
  if (const std::size_t equals = text.find('='); equals != text.npos)
    return {std::string(text.substr(0, equals)), true, std::string(text.substr(equals + 1))};
  const bool marked = text.ends_with('+') || text.ends_with('-') || text.ends_with('?');
  const bool supported = text.ends_with('+');
  if (marked) text.remove_suffix(1);
  return {std::string(text), supported, {}};
}

}  // namespace

Parsed query_supported(std::string_view arguments) {
  Cursor in(arguments);
  QuerySupported request;
  if (in.at_end()) return made(std::move(request));
  if (!in.take(':')) return malformed();
  while (!in.at_end()) {
    if (const std::string_view one = in.until(';'); !one.empty())
      request.features.push_back(feature(one));
  }
  return made(std::move(request));
}

// OBJECT:read:ANNEX:OFFSET,LENGTH  OBJECT:write:ANNEX:OFFSET:data
Parsed transfer(std::string_view arguments) {
  Cursor in(arguments);
  const std::string object(in.until(':'));
  const std::string_view operation = in.until(':');
  const std::string annex(in.until(':'));
  if (operation == "read") {
    TransferRead request{object, annex, 0, 0};
    const bool good = in.hex(request.offset) && in.take(',') && in.hex(request.length);
    return complete(in, good, std::move(request));
  }
  if (operation != "write") return fail(Errc::unsupported);
  TransferWrite request{object, annex, 0, {}};
  if (!in.hex(request.offset) || !in.take(':')) return malformed();
  const auto data = as_bytes(in.rest());
  request.data.assign(data.begin(), data.end());
  return made(std::move(request));
}

// [VALUE]:hex(NAME). LLDB leaves out the colon when it does not know the symbol.
Parsed symbol_answer(std::string_view arguments) {
  Cursor in(arguments);
  SymbolAnswer request;
  if (arguments.find(':') != arguments.npos && !in.take(':')) {
    if (!in.hex(request.value.emplace()) || !in.take(':')) return malformed();
  }
  auto name = text_from_hex(in.rest());
  if (!name) return malformed();
  request.name = std::move(*name);
  return made(std::move(request));
}

Parsed query_module_info(std::string_view arguments) {
  Cursor in(arguments);
  auto path = text_from_hex(in.until(';'));
  auto triple = text_from_hex(in.rest());
  if (!path || !triple || path->empty()) return malformed();
  return made(QueryModuleInfo{std::move(*path), std::move(*triple)});
}

// NUMBER:VALUE[:BUILTIN[:hex(name)]]; VALUE is the two's complement of negative values.
Parsed define_trace_variable(std::string_view arguments) {
  Cursor in(arguments);
  DefineTraceVariable request;
  std::uint64_t value = 0;
  if (!in.hex(request.number) || !in.take(':') || !in.hex(value)) return malformed();
  request.initial_value = static_cast<std::int64_t>(value);
  if (in.at_end()) return made(std::move(request));
  std::uint32_t builtin = 0;
  if (!in.take(':') || !in.hex(builtin)) return malformed();
  request.builtin = builtin != 0;
  if (in.at_end()) return made(std::move(request));
  if (!in.take(':')) return malformed();
  auto name = text_from_hex(in.rest());
  if (!name) return malformed();
  request.name = std::move(*name);
  return made(std::move(request));
}

}  // namespace rsp::parsers
