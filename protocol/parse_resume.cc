// Running and stopping, and which events are worth a stop.
#include "protocol/parsers.h"

namespace rsp::parsers {
namespace {

// The number of a signal to deliver. More digits than two do not occur, but do no harm.
bool take_signal(Cursor& in, int& signal) { return in.hex(signal) && signal <= 0xff; }

bool take_action(Cursor& in, ResumeAction& action) {
  if (in.take('c')) return action.kind = ResumeKind::cont, true;
  if (in.take('s')) return action.kind = ResumeKind::step, true;
  if (in.take('t')) return action.kind = ResumeKind::stop, true;
  if (in.take('C')) return action.kind = ResumeKind::cont, take_signal(in, action.signal);
  if (in.take('S')) return action.kind = ResumeKind::step, take_signal(in, action.signal);
  if (!in.take('r')) return false;
  action.kind = ResumeKind::range_step;
  return in.hex(action.range_start) && in.take(',') && in.hex(action.range_end);
}

// [ADDR]
Parsed resume_at(ResumeKind kind, std::string_view arguments) {
  Cursor in(arguments);
  ResumeAt request{kind, 0, {}};
  bool good = true;
  if (!in.at_end()) good = in.hex(request.address.emplace());
  return complete(in, good, request);
}

// SIG[;ADDR]
Parsed resume_with_signal(ResumeKind kind, std::string_view arguments) {
  Cursor in(arguments);
  ResumeAt request{kind, 0, {}};
  bool good = take_signal(in, request.signal);
  if (good && in.take(';')) good = in.hex(request.address.emplace());
  return complete(in, good, request);
}

}  // namespace

Parsed resume(std::string_view arguments) {
  if (arguments.empty()) return malformed();
  Cursor in(arguments);
  Resume request;
  while (!in.at_end()) {
    Cursor one(in.until(';'));
    ResumeAction action;
    if (!take_action(one, action)) return malformed();
    if (one.take(':') && !take_thread_id(one.until('\0'), action.thread.emplace()))
      return malformed();
    if (!one.at_end()) return malformed();
    request.actions.push_back(action);
  }
  return made(std::move(request));
}

Parsed continue_at(std::string_view arguments) { return resume_at(ResumeKind::cont, arguments); }
Parsed step_at(std::string_view arguments) { return resume_at(ResumeKind::step, arguments); }
Parsed continue_with_signal(std::string_view arguments) {
  return resume_with_signal(ResumeKind::cont, arguments);
}
Parsed step_with_signal(std::string_view arguments) {
  return resume_with_signal(ResumeKind::step, arguments);
}

Parsed detach(std::string_view arguments) {
  Cursor in(arguments);
  Detach request;
  request.keep_stopped = in.take('1');
  bool good = true;
  if (in.take(';')) good = take_pid(in, request.pid.emplace());
  return complete(in, good, request);
}

Parsed set_thread_options(std::string_view arguments) {
  if (arguments.empty()) return malformed();
  Cursor in(arguments);
  SetThreadOptions request;
  while (!in.at_end()) {
    Cursor one(in.until(';'));
    ThreadOptions entry;
    if (!one.hex(entry.options)) return malformed();
    if (one.take(':') && !take_thread_id(one.until('\0'), entry.thread.emplace()))
      return malformed();
    if (!one.at_end()) return malformed();
    request.entries.push_back(entry);
  }
  return made(std::move(request));
}

Parsed set_catch_syscalls(std::string_view arguments) {
  if (arguments == "0") return made(SetCatchSyscalls{});
  Cursor in(arguments);
  SetCatchSyscalls request{true, {}};
  if (!in.take('1')) return malformed();
  while (!in.at_end()) {
    if (!in.take(';') || !in.hex(request.numbers.emplace_back())) return malformed();
  }
  return made(std::move(request));
}

}  // namespace rsp::parsers
