// Internal to the parsers: one function per packet that needs one of its own, and the shapes that
// many packets share. Each takes what follows the packet's name.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "protocol/cursor.h"
#include "protocol/hex.h"
#include "protocol/packets.h"

namespace rsp::parsers {

using Parsed = Result<Request>;

inline tl::unexpected<Error> malformed() { return fail(Errc::malformed); }
// The alternative is named, not found by conversion: choosing among the variant's many types by
// overload resolution takes the compiler ten seconds and a gigabyte a file.
template <class T>
Parsed made(T request) {
  return Parsed(tl::in_place, std::in_place_type<T>, std::move(request));
}
// The value when the form was right and nothing is left over.
template <class T>
Parsed complete(const Cursor& in, bool good, T request) {
  if (!good || !in.at_end()) return malformed();
  return made(std::move(request));
}

// `;thread:ID;` as LLDB appends it to packets about one thread's registers. True when absent.
bool take_thread_suffix(Cursor& in, std::optional<ThreadId>& thread);
bool take_thread_id(std::string_view text, ThreadId& id);
bool take_pid(Cursor& in, std::int64_t& pid);

// ---- shapes ----------------------------------------------------------------------------------

template <class Member>
struct OwnerOf;
template <class Class, class Type>
struct OwnerOf<Type Class::*> {
  using type = Class;
};
template <auto member>
using Owner = typename OwnerOf<decltype(member)>::type;

template <class T>
Parsed plain(std::string_view) {
  return made(T{});
}

// 0 or 1
template <auto member>
Parsed on_off(std::string_view arguments) {
  if (arguments != "0" && arguments != "1") return malformed();
  Owner<member> request;
  request.*member = arguments == "1";
  return made(std::move(request));
}

template <auto member>
Parsed hex_text(std::string_view arguments) {
  auto text = text_from_hex(arguments);
  if (!text) return malformed();
  Owner<member> request;
  request.*member = std::move(*text);
  return made(std::move(request));
}

template <auto member>
Parsed plain_text(std::string_view arguments) {
  Owner<member> request;
  request.*member = std::string(arguments);
  return made(std::move(request));
}

template <auto member>
Parsed hex_value(std::string_view arguments) {
  Cursor in(arguments);
  Owner<member> request;
  const bool good = in.hex(request.*member);
  return complete(in, good, request);
}

template <auto member>
Parsed decimal_value(std::string_view arguments) {
  Cursor in(arguments);
  Owner<member> request;
  const bool good = in.decimal(request.*member);
  return complete(in, good, request);
}

template <auto member>
Parsed pid_value(std::string_view arguments) {
  Cursor in(arguments);
  Owner<member> request;
  const bool good = take_pid(in, request.*member);
  return complete(in, good, request);
}

template <auto member>
Parsed thread_id(std::string_view arguments) {
  Owner<member> request;
  if (!take_thread_id(arguments, request.*member)) return malformed();
  return made(std::move(request));
}

// ADDR,LENGTH
template <class T>
Parsed address_and_length(std::string_view arguments) {
  Cursor in(arguments);
  T request;
  const bool good = in.hex(request.address) && in.take(',') && in.hex(request.length);
  return complete(in, good, request);
}

// SIG;SIG;...
template <auto member>
Parsed signal_list(std::string_view arguments) {
  Cursor in(arguments);
  Owner<member> request;
  while (!in.at_end()) {
    int signal = 0;
    if (!in.hex(signal) || (!in.at_end() && !in.take(';'))) return malformed();
    (request.*member).push_back(signal);
  }
  return made(std::move(request));
}

// [;thread:ID;]
template <auto member>
Parsed thread_suffix(std::string_view arguments) {
  Cursor in(arguments);
  Owner<member> request;
  const bool good = take_thread_suffix(in, request.*member);
  return complete(in, good, request);
}

// ---- by family -------------------------------------------------------------------------------

// parse_registers.cc
Parsed write_registers(std::string_view arguments);
Parsed read_register(std::string_view arguments);
Parsed write_register(std::string_view arguments);
Parsed restore_register_state(std::string_view arguments);

// parse_memory.cc
Parsed write_memory_hex(std::string_view arguments);
Parsed write_memory_binary(std::string_view arguments);
Parsed allocate_memory(std::string_view arguments);
Parsed search_memory(std::string_view arguments);
Parsed query_memory_region(std::string_view arguments);

// parse_points.cc
Parsed insert_point(std::string_view arguments);
Parsed remove_point(std::string_view arguments);

// parse_resume.cc
Parsed resume(std::string_view arguments);
Parsed continue_at(std::string_view arguments);
Parsed continue_with_signal(std::string_view arguments);
Parsed step_at(std::string_view arguments);
Parsed step_with_signal(std::string_view arguments);
Parsed detach(std::string_view arguments);
Parsed set_thread_options(std::string_view arguments);
Parsed set_catch_syscalls(std::string_view arguments);

// parse_threads.cc
Parsed select_thread(std::string_view arguments);
Parsed query_thread_extended_info(std::string_view arguments);
Parsed query_tls_address(std::string_view arguments);

// parse_process.cc
Parsed run(std::string_view arguments);
Parsed attach_named(std::string_view arguments);
Parsed attach_wait(std::string_view arguments);
Parsed attach_or_wait(std::string_view arguments);
Parsed query_attached(std::string_view arguments);
Parsed set_environment_hex(std::string_view arguments);
Parsed set_environment_plain(std::string_view arguments);
Parsed set_stdin(std::string_view arguments);
Parsed set_stdout(std::string_view arguments);
Parsed set_stderr(std::string_view arguments);
Parsed launch_program(std::string_view arguments);
Parsed first_processes(std::string_view arguments);

// parse_query.cc
Parsed query_supported(std::string_view arguments);
Parsed transfer(std::string_view arguments);
Parsed symbol_answer(std::string_view arguments);
Parsed query_module_info(std::string_view arguments);
Parsed define_trace_variable(std::string_view arguments);

// parse_file.cc
Parsed file_open(std::string_view arguments);
Parsed file_read(std::string_view arguments);
Parsed file_write(std::string_view arguments);
Parsed file_stat(std::string_view arguments);
Parsed file_lstat(std::string_view arguments);
Parsed file_symlink(std::string_view arguments);

}  // namespace rsp::parsers
