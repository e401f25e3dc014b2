// g G p P and LLDB's relatives.
#include "protocol/parsers.h"

namespace rsp::parsers {

bool take_thread_suffix(Cursor& in, std::optional<ThreadId>& thread) {
  if (in.at_end()) return true;
  if (!in.take(";thread:")) return false;
  ThreadId id;
  if (!take_thread_id(in.until(';'), id)) return false;
  thread = id;
  return true;
}

namespace {

// Hexadecimal contents up to the thread suffix, if there is one.
bool take_contents(Cursor& in, Bytes& contents, std::optional<ThreadId>& thread) {
  const std::string_view text = in.rest();
  auto bytes = bytes_from_hex(text.substr(0, text.find(';')));
  if (!bytes) return false;
  contents = std::move(*bytes);
  in.take_up_to(2 * contents.size());
  return take_thread_suffix(in, thread);
}

}  // namespace

Parsed write_registers(std::string_view arguments) {
  Cursor in(arguments);
  WriteRegisters request;
  const bool good = take_contents(in, request.values, request.thread);
  return complete(in, good, std::move(request));
}

Parsed read_register(std::string_view arguments) {
  Cursor in(arguments);
  ReadRegister request;
  const bool good = in.hex(request.number) && take_thread_suffix(in, request.thread);
  return complete(in, good, request);
}

Parsed write_register(std::string_view arguments) {
  Cursor in(arguments);
  WriteRegister request;
  const bool good =
      in.hex(request.number) && in.take('=') && take_contents(in, request.value, request.thread);
  return complete(in, good, std::move(request));
}

Parsed restore_register_state(std::string_view arguments) {
  Cursor in(arguments);
  RestoreRegisterState request;
  const bool good = in.decimal(request.id) && take_thread_suffix(in, request.thread);
  return complete(in, good, request);
}

}  // namespace rsp::parsers
