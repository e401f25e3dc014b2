// Starting programs, taking over processes.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/base/log.h"
#include "stub/kernel/proc_fs.h"
#include "stub/kernel/self.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// By its file (with or without directories) or by its thread.
bool is_called(Pid pid, const std::string& name) {
  if (is_ourselves(raw(pid))) return false;
  const auto path = proc_fs::executable(pid);
  if (path && (*path == name || std::filesystem::path(*path).filename() == name)) return true;
  return proc_fs::comm(leader_of(pid)) == name;
}

// The process that a user means by a name: the newest that is called so.
Work<std::optional<Pid>> find_by_name(std::string name) {
  std::optional<Pid> found;
  for (auto entries = proc_fs::process_entries(); const auto pid = entries.next();) {
    if (is_called(Pid{*pid}, name)) found = Pid{*pid};
    co_await Pause{};
  }
  co_return found;
}

// `~` and `~/...` are the home directory of whoever runs the daemon, as in a shell.
std::string with_home(std::string path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || !path.starts_with('~')) return path;
  return path.size() == 1 || path[1] == '/' ? home + path.substr(1) : path;
}

}  // namespace

// ---- programs ----------------------------------------------------------------------------------

// LLDB gives the words as the program shall have them, and wants to hear why a start failed, which
// a shell in between does not tell: lldb-server uses none.
Result<Pid> Session::start_program() {
  if (settings_.no_run)
    return fail(Errc::refused, "Starting programs is switched off (--no-run)", EPERM);
  if (settings_.launch.program.empty()) return fail(Errc::refused, "No program to start");
  LaunchSpec spec = settings_.launch;
  spec.streams = connection_.streams;
  if (connection_.lldb()) {
    spec.startup_with_shell = false;
    spec.say_why = true;
  }
  auto pid = settings_.launcher(spec);
  connection_.launch_error = pid ? std::nullopt : std::optional(pid.error());
  if (pid) {
    engine_.adopt_launched(*pid);
    select(*pid, leader_of(*pid));
    last_reported_ = leader_of(*pid);
  }
  return pid;
}

// The server's user is told as well: gdb shows no reason before version 16.
Reply Session::refuse(const Error& error) {
  say(error.text);
  return error_reply(error, !connection_.lldb());  // for LLDB an error is `Exx`
}

Reply Session::on(const rsp::Run& request) {
  if (connection_.awaiting_stop) return error_reply({Errc::refused, 0, "The program is running"});
  std::vector<std::string>& command = settings_.launch.program;
  if (command.empty() && request.program.empty())
    return error_reply({Errc::refused, 0, "No program to run"}, true);
  std::string program = request.program.empty() ? command.front() : request.program;
  command = {std::move(program)};
  command.insert(command.end(), request.arguments.begin(), request.arguments.end());
  const auto pid = start_program();
  if (!pid) return refuse(pid.error());
  return tell(*stop_of(leader_of(*pid)));
}

// The older way to run a program again. It has no reply: the client asks `?` next.
Reply Session::on(const rsp::Restart&) {
  if (settings_.no_run || (!connection_.extended && !settings_.multi)) return "";
  say("GDBserver restarting");
  for (const Pid pid : engine_.processes()) (void)engine_.kill(pid);
  connection_.awaiting_stop = false;
  (void)start_program();
  return std::nullopt;
}

Reply Session::on(const rsp::LaunchProgram& request) {
  settings_.launch.program = request.arguments;
  const auto pid = start_program();
  return pid ? std::string(rsp::ok_reply) : refuse(pid.error());
}

Reply Session::on(const rsp::QueryLaunchSuccess&) {
  if (!connection_.launch_error) return std::string(rsp::ok_reply);
  return rsp::escaped("E" + connection_.launch_error->text);
}

// ---- attaching ---------------------------------------------------------------------------------

// With --no-run a client that was given one program, or one process, is confined to it.
Result<void> Session::may_attach() const {
  if (settings_.no_run && !settings_.multi)
    return fail(Errc::refused, "Attaching is switched off (--no-run without --multi)", EPERM);
  return {};
}

// The stop of an attach is nobody's doing, so GDB is told no signal.
Reply Session::attach(Pid pid) {
  if (connection_.awaiting_stop) return error_reply({Errc::refused, 0, "The program is running"});
  if (const auto allowed = may_attach(); !allowed) return refuse(allowed.error());
  if (const auto attached = engine_.attach(pid); !attached) return refuse(attached.error());
  say(fmt::format("Attached; pid = {}", raw(pid)));
  if (engine_.non_stop()) return std::string(rsp::ok_reply);
  return tell(
      stop_of(leader_of(pid)).value_or(StopReport{pid, leader_of(pid), {.taken_over = true}}));
}

Reply Session::on(const rsp::Attach& request) {
  if (request.pid == 0) return error_reply({Errc::malformed, 0, ""});
  return attach(Pid{static_cast<pid_t>(request.pid)});
}

Reply Session::on(const rsp::AttachByName& request) {
  if (connection_.awaiting_stop || connection_.awaited)
    return error_reply({Errc::refused, 0, "The program is running"});
  if (const auto allowed = may_attach(); !allowed) return refuse(allowed.error());
  if (request.when == rsp::AttachWhen::wait) return await_process(request.name);
  return work_on(attach_by_name(request));
}

Work<Reply> Session::attach_by_name(rsp::AttachByName request) {
  const auto pid = co_await find_by_name(request.name);
  if (pid) co_return attach(*pid);
  if (request.when == rsp::AttachWhen::now_or_wait) co_return await_process(request.name);
  co_return error_reply({Errc::no_process, 0, "No process of that name"}, true);
}

// The reply to a wait comes when the process does. Nothing announces it (short of the privileges
// that the kernel's process events need), so /proc is looked at again and again, new entries only.
Reply Session::await_process(const std::string& name) {
  const auto present = proc_fs::processes();
  connection_.awaited = AwaitedProcess{name, {present.begin(), present.end()}, {}, {}};
  return std::nullopt;
}

Reply Session::on(const rsp::QueryAttachOrWait&) { return std::string(rsp::ok_reply); }

Work<std::optional<Pid>> Session::find_awaited() {
  const std::string name = connection_.awaited->name;
  for (auto entries = proc_fs::process_entries(); const auto pid = entries.next();) {
    if (!connection_.awaited->known.contains(Pid{*pid}) && is_called(Pid{*pid}, name))
      co_return Pid{*pid};
    co_await Pause{};
  }
  co_return std::nullopt;
}

// A piece of the look now and the next one later: threads may hit breakpoints all the time, and
// each hit comes by here.
void Session::look_for_awaited() {
  using Clock = std::chrono::steady_clock;
  AwaitedProcess& awaited = *connection_.awaited;
  const auto began = Clock::now();
  if (began < awaited.next_look) return;
  if (!awaited.look) awaited.look = find_awaited();
  auto found = awaited.look->step();
  while (!found && (!settings_.turn || Clock::now() - began < *settings_.turn / 4))
    found = awaited.look->step();
  awaited.next_look = Clock::now() + settings_.turn.value_or(std::chrono::milliseconds(0)) / 2;
  if (!found) return;
  awaited.look.reset();
  if (!*found) return;
  connection_.awaited.reset();
  if (const Reply reply = attach(**found)) send(*reply);
}

Reply Session::on(const rsp::QueryAttached& request) {
  const auto pid =
      request.pid ? Result<Pid>(Pid{static_cast<pid_t>(*request.pid)}) : current_process();
  if (!pid) return error_reply(pid.error());
  const Inferior* process = engine_.find(*pid);
  if (process == nullptr) return error_reply({Errc::no_process, 0, "No such process"});
  return process->origin == Inferior::Origin::attached ? "1" : "0";
}

// ---- how programs are started ------------------------------------------------------------------

Reply Session::on(const rsp::SetDisableRandomization& request) {
  settings_.launch.disable_randomization = request.disabled;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetStartupWithShell& request) {
  settings_.launch.startup_with_shell = request.enabled;
  return std::string(rsp::ok_reply);
}

// Bounded, because a client may send variables for ever; the kernel takes no more than 2 MiB anyway
// (execve(2), "Limits on size of arguments and environment").
Reply Session::on(const rsp::SetEnvironment& request) {
  constexpr std::size_t most = 2u << 20;
  std::size_t size = request.name.size() + request.value.size();
  for (const std::string& entry : settings_.launch.environment.entries()) size += entry.size();
  if (size > most) return error_reply({Errc::refused, 0, "The environment is too large"});
  settings_.launch.environment.set(request.name, request.value);
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::UnsetEnvironment& request) {
  settings_.launch.environment.unset(request.name);
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::ResetEnvironment&) {
  settings_.launch.environment = initial_environment_;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetWorkingDirectory& request) {
  settings_.launch.working_directory = with_home(request.path);
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::QueryWorkingDirectory&) {
  if (!settings_.launch.working_directory.empty())
    return rsp::to_hex(settings_.launch.working_directory);
  std::error_code error;
  return rsp::to_hex(std::filesystem::current_path(error).string());
}

Reply Session::on(const rsp::SetStandardStream& request) {
  connection_.streams[static_cast<std::size_t>(request.stream)] = request.path;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetDetachOnError& request) {
  connection_.detach_on_error = request.enabled;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetLaunchArchitecture&) { return std::string(rsp::ok_reply); }

}  // namespace stub
