// Z and z: breakpoints and watchpoints.
#include <fmt/format.h>

#include "protocol/replies.h"
#include "stub/base/log.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// An expression that is not understood is an error, never an empty reply: that would say there are
// no breakpoints at all, and never OK: the client would rely on a condition nobody evaluates.
Error not_taken(Error error) {
  if (error.code == Errc::unsupported) error.code = Errc::refused;
  return error;
}

Result<SiteProgram> verified(const rsp::InsertPoint& request) {
  SiteProgram program;
  program.persist = request.commands.persist;
  for (const rsp::Bytecode& code : request.conditions) {
    auto expression = rsp::AgentExpression::verify(code, rsp::AgentUse::condition);
    if (!expression) return tl::unexpected(not_taken(expression.error()));
    program.conditions.push_back(std::move(*expression));
  }
  for (const rsp::Bytecode& code : request.commands.expressions) {
    auto expression = rsp::AgentExpression::verify(code, rsp::AgentUse::commands);
    if (!expression) return tl::unexpected(not_taken(expression.error()));
    program.commands.push_back(std::move(*expression));
  }
  return program;
}

// x86 cannot watch for reads alone (SDM vol. 3, "Debug Registers"). gdbserver says so, and gdb
// takes an access watchpoint in its place by itself; LLDB expects the server to, as lldb-server
// does.
rsp::PointType watched_as(rsp::PointType type, bool lldb) {
  return lldb && type == rsp::PointType::read_watchpoint ? rsp::PointType::access_watchpoint : type;
}

// gdb shows its user no text of this reply but its own "Cannot access memory at address".
void say_refused(Address at, const Error& error) {
  say(fmt::format("Cannot insert a breakpoint at {:#x}. {}", at.value(), error.text));
}

bool is_software(rsp::PointType type) { return type == rsp::PointType::software_breakpoint; }

}  // namespace

Reply Session::on(const rsp::InsertPoint& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  auto program = verified(request);
  if (!program) return error_reply(program.error());
  const Address at(request.address);
  if (is_software(request.type)) {
    const auto inserted = engine_.insert_breakpoint(*pid, at, std::move(*program));
    if (!inserted && inserted.error().code == Errc::refused) say_refused(at, inserted.error());
    return reply_to(inserted);
  }
  const auto type = watched_as(request.type, connection_.lldb());
  const auto inserted = engine_.insert_hardware(*pid, type, at, request.kind, std::move(*program));
  if (inserted) hardware_points_.emplace(*pid, type, at, request.kind);
  return reply_to(inserted);
}

// What the site has seen is kept for `monitor stats`: gdb takes all breakpoints out at every stop.
Result<void> Session::remove_breakpoint(Pid pid, Address at) {
  if (const Inferior* process = engine_.find(pid))
    if (const Site* site = process->space->sites.find(at)) past_sites_.add(pid, *site);
  return engine_.remove_breakpoint(pid, at);
}

Reply Session::on(const rsp::RemovePoint& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  const Address at(request.address);
  if (is_software(request.type)) return reply_to(remove_breakpoint(*pid, at));
  const auto type = watched_as(request.type, connection_.lldb());
  hardware_points_.erase({*pid, type, at, request.kind});
  return reply_to(engine_.remove_hardware(*pid, type, at, request.kind));
}

Reply Session::on(const rsp::QueryWatchpointSupport&) { return "num:4;"; }

}  // namespace stub
