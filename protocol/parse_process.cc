// Starting, finding and describing processes.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

Parsed attach_by_name(AttachWhen when, std::string_view arguments) {
  auto name = text_from_hex(arguments);
  if (!name || name->empty()) return malformed();
  return made(AttachByName{std::move(*name), when});
}

Parsed set_stream(StandardStream stream, std::string_view arguments) {
  auto path = text_from_hex(arguments);
  if (!path) return malformed();
  return made(SetStandardStream{stream, std::move(*path)});
}

// NAME=VALUE. Without `=` the variable is set to nothing.
Parsed environment(std::string_view text) {
  const std::size_t equals = text.find('=');
  SetEnvironment request;
  request.name = text.substr(0, equals);
  if (equals != text.npos) request.value = text.substr(equals + 1);
  if (request.name.empty()) return malformed();
  return made(std::move(request));
}

}  // namespace

Parsed run(std::string_view arguments) {
  Cursor in(arguments);
  Run request;
  auto program = text_from_hex(in.until(';'));
  if (!program) return malformed();
  request.program = std::move(*program);
  while (!in.at_end()) {
    auto argument = text_from_hex(in.until(';'));
    if (!argument) return malformed();
    request.arguments.push_back(std::move(*argument));
  }
  // A separator at the end stands before an empty argument.
  if (arguments.find(';') != arguments.npos && arguments.ends_with(';'))
    request.arguments.emplace_back();
  return made(std::move(request));
}

Parsed attach_named(std::string_view arguments) {
  return attach_by_name(AttachWhen::now, arguments);
}
Parsed attach_wait(std::string_view arguments) {
  return attach_by_name(AttachWhen::wait, arguments);
}
Parsed attach_or_wait(std::string_view arguments) {
  return attach_by_name(AttachWhen::now_or_wait, arguments);
}

Parsed query_attached(std::string_view arguments) {
  if (arguments.empty()) return made(QueryAttached{});
  Cursor in(arguments);
  QueryAttached request;
  const bool good = in.take(':') && take_pid(in, request.pid.emplace());
  return complete(in, good, request);
}

Parsed set_environment_hex(std::string_view arguments) {
  const auto text = text_from_hex(arguments);
  if (!text) return malformed();
  return environment(*text);
}
Parsed set_environment_plain(std::string_view arguments) { return environment(arguments); }

Parsed set_stdin(std::string_view arguments) { return set_stream(StandardStream::in, arguments); }
Parsed set_stdout(std::string_view arguments) { return set_stream(StandardStream::out, arguments); }
Parsed set_stderr(std::string_view arguments) { return set_stream(StandardStream::err, arguments); }

Parsed launch_program(std::string_view arguments) {
  Cursor in(arguments);
  LaunchProgram request;
  do {
    std::size_t digits = 0;
    std::size_t number = 0;
    const bool good = in.decimal(digits) && in.take(',') && in.decimal(number) && in.take(',');
    if (!good || number != request.arguments.size()) return malformed();
    const std::string_view hex = in.take_up_to(digits);
    auto argument = text_from_hex(hex);
    if (!argument || hex.size() != digits) return malformed();
    request.arguments.push_back(std::move(*argument));
  } while (in.take(','));
  return complete(in, true, std::move(request));
}

Parsed first_processes(std::string_view arguments) {
  Cursor in(arguments);
  FirstProcesses request;
  if (in.at_end()) return made(std::move(request));
  if (!in.take(':')) return malformed();
  while (!in.at_end()) {
    Cursor one(in.until(';'));
    ProcessFilter filter;
    filter.key = one.until(':');
    filter.value = one.rest();
    request.filters.push_back(std::move(filter));
  }
  return made(std::move(request));
}

}  // namespace rsp::parsers
