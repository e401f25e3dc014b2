// Running, stopping, letting go.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "protocol/replies.h"
#include "protocol/signals.h"
#include "stub/base/log.h"
#include "stub/session/session.h"

namespace stub {

// ---- stops that have been told -----------------------------------------------------------------

namespace {

// A client that queries has not inserted any points yet. gdb lets a thread go on by itself that has
// stopped for a breakpoint, watchpoint or catchpoint which is not there: it takes the stop for a
// late one of a point that it has just removed. So it is told of a SIGTRAP.
StopReport without_its_point(StopReport report) {
  switch (report.stop.kind) {
    case StopKind::breakpoint:
    case StopKind::hw_breakpoint:
    case StopKind::write_watch:
    case StopKind::access_watch:
    case StopKind::syscall_entry:
    case StopKind::syscall_return:
      report.stop = {.kind = StopKind::signal, .signal = SIGTRAP};
      break;
    default:
      break;
  }
  return report;
}

}  // namespace

Reply Session::on(const rsp::QueryStopReason&) {
  if (engine_.non_stop()) {
    std::deque<StopReport> stopped;
    for (const Pid pid : engine_.processes())
      for (const Tid tid : engine_.threads(pid))
        if (auto stop = stop_of(tid)) stopped.push_back(without_its_point(std::move(*stop)));
    connection_.stops.start_query(std::move(stopped));
    if (auto first = next_stop()) return *first;
    connection_.stops.end_query();
    return std::string(rsp::ok_reply);
  }
  if (connection_.awaiting_stop) return error_reply({Errc::refused, 0, "The program is running"});
  // A client that comes back may find the program running: it left it so.
  if (engine_.any_resumed()) stop_everything();
  const auto stop = current_stop();
  return stop ? tell(*stop) : "W00";
}

Reply Session::on(const rsp::NextStopNotification&) {
  if (!connection_.stops.acknowledge()) return std::string(rsp::ok_reply);
  return next_stop().value_or(std::string(rsp::ok_reply));
}

// Switching to all-stop is what stops all threads without reporting them.
void Session::stop_everything() {
  engine_.set_non_stop(true);
  engine_.set_non_stop(false);
}

// ---- resuming ----------------------------------------------------------------------------------

Reply Session::on(const rsp::QueryResumeActions&) { return "vCont;c;C;t;s;S;r"; }

// A thread id names one thread, a process, or everything; "any thread" is no answer to whom to run.
Result<ResumeAction> Session::engine_action(const rsp::ResumeAction& action) const {
  using Kind = ResumeAction::Kind;
  constexpr Kind kinds[] = {Kind::run, Kind::step, Kind::range, Kind::stop};
  ResumeAction result{.kind = kinds[static_cast<std::size_t>(action.kind)],
                      .signal = host_signal(action.signal),
                      .range_start = Address(action.range_start),
                      .range_end = Address(action.range_end),
                      .pid = {},
                      .tid = {}};
  if (!action.thread) return result;
  const rsp::ThreadId& id = *action.thread;
  if (id.tid == rsp::ThreadId::any) return fail(Errc::refused, "Which thread?");
  if (id.pid > 0) result.pid = Pid{static_cast<pid_t>(id.pid)};
  if (id.tid > 0) result.tid = Tid{static_cast<pid_t>(id.tid)};
  return result;
}

Reply Session::on(const rsp::Resume& request) {
  std::vector<ResumeAction> actions;
  for (const rsp::ResumeAction& action : request.actions) {
    auto translated = engine_action(action);
    if (!translated) return error_reply(translated.error());
    actions.push_back(*translated);
  }
  return resume(actions);
}

// The thread of Hc alone, or, where none was chosen, everything: a step or a signal is then for the
// current thread, and the others run.
Reply Session::on(const rsp::ResumeAt& request) {
  const auto current = find_thread(rsp::any_thread);
  if (!current) return error_reply(current.error());
  const Tid tid = connection_.resume_thread.value_or(*current);
  if (request.address) {
    auto file = engine_.read_registers(tid, {});
    if (!file) return error_reply(file.error());
    file->general.rip = *request.address;
    if (auto written = engine_.write_registers(tid, *file, {}); !written)
      return error_reply(written.error());
  }
  using Kind = ResumeAction::Kind;
  std::vector<ResumeAction> actions;
  if (request.kind == rsp::ResumeKind::step || request.signal != 0 || connection_.resume_thread) {
    ResumeAction one;
    one.kind = request.kind == rsp::ResumeKind::step ? Kind::step : Kind::run;
    one.signal = host_signal(request.signal);
    one.tid = tid;
    actions.push_back(one);
  }
  if (!connection_.resume_thread) actions.push_back(ResumeAction{});
  return resume(actions);
}

Reply Session::resume(std::span<const ResumeAction> actions) {
  if (connection_.awaiting_stop) return error_reply({Errc::refused, 0, "The program is running"});
  if (settings_.launch.terminal != nullptr) settings_.launch.terminal->keep_promise();
  const auto resumed = engine_.resume(actions, connection_.stops.all());
  forget_resumed();
  if (engine_.non_stop()) {
    // A thread that has just exited is no error: the client will hear of it, unless it has heard of
    // everything there was. To stop it is none even then: that is what gdb does with all threads
    // while the end of the last one waits in a queue of its own.
    const bool all_told = engine_.processes().empty() && connection_.stops.all().empty();
    const bool only_stops = std::ranges::all_of(actions, [](const ResumeAction& action) {
      return action.kind == ResumeAction::Kind::stop;
    });
    if (!resumed && resumed.error().code == Errc::thread_gone && (only_stops || !all_told))
      return std::string(rsp::ok_reply);
    return reply_to(resumed);
  }
  connection_.awaiting_stop = true;
  if (resumed && engine_.any_resumed()) return std::nullopt;
  // Nothing runs. That is an end the client has not been told of, or a mistake.
  take_reports();
  if (!connection_.awaiting_stop) return std::nullopt;
  connection_.awaiting_stop = false;
  return error_reply(resumed ? Error{Errc::refused, 0, "Nothing to resume"} : resumed.error());
}

// 0x03 has no reply. Where no resume is waiting for a stop it came too late: gdb counts on it
// taking effect at the next resume, LLDB takes the stop that is on its way for the answer.
void Session::interrupt() {
  if (connection_.awaited) {
    connection_.awaited.reset();
    return send(error_reply({Errc::refused, EINTR, "Interrupted"}, true));
  }
  if (engine_.non_stop() || connection_.awaiting_stop || !connection_.lldb())
    (void)engine_.interrupt(connection_.general_thread);
}

Reply Session::on(const rsp::Interrupt&) {
  if (engine_.processes().empty()) return error_reply({Errc::no_process, 0, "No process"});
  interrupt();
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::QueryStepPacket&) { return std::string(rsp::ok_reply); }

// ---- letting go --------------------------------------------------------------------------------

// With `target remote` the server's work is done when no process is left.
void Session::leave_if_done() {
  connection_.awaiting_stop = connection_.awaiting_stop && !engine_.processes().empty();
  if (!extended() && all_processes().empty()) next_ = Next::quit;
}

Reply Session::on(const rsp::Kill&) {
  if (!engine_.processes().empty()) say("Killing all inferiors");
  for (const Pid pid : engine_.processes()) (void)engine_.kill(pid);
  leave_if_done();
  if (connection_.lldb()) return fmt::format("X{:02x}", SIGKILL);  // LLDB waits for one
  return std::nullopt;
}

Reply Session::on(const rsp::KillProcess& request) {
  const Pid pid{static_cast<pid_t>(request.pid)};
  const auto killed = engine_.kill(pid);
  connection_.awaiting_stop = connection_.awaiting_stop && engine_.any_resumed();
  return reply_to(killed);
}

// Those in the memory of a vfork child are its parent's.
bool Session::has_persistent_commands(Pid pid) const {
  const Inferior& process = *engine_.find(pid);
  bool found = false;
  if (process.vfork_parent) return found;
  process.space->sites.for_each([&](const Site& site) {
    found = found || (site.client && site.program.persist && !site.program.commands.empty());
  });
  return found;
}

// Commands that are to go on without the client need us: the process runs, and stays ours.
Reply Session::leave_running(Pid pid) {
  say(fmt::format("Persistent commands are present, leaving process {} running under the server",
                  raw(pid)));
  remove_points(pid);
  const auto left = engine_.leave_unattended(pid);
  leave_if_done();
  return reply_to(left);
}

Reply Session::on(const rsp::Detach& request) {
  const auto current = current_process();
  if (!request.pid && !current) return error_reply(current.error());
  const Pid pid = request.pid ? Pid{static_cast<pid_t>(*request.pid)} : *current;
  const Inferior* leaving = engine_.find(pid);
  if (leaving != nullptr && !request.keep_stopped && has_persistent_commands(pid))
    return leave_running(pid);
  if (leaving != nullptr) say(fmt::format("Detaching from process {}", raw(pid)));
  if (leaving != nullptr && leaving->origin == Inferior::Origin::launched && !extended())
    children_to_join_.push_back(pid);
  // To LLDB a signal is the client's: one that it wants delivered it sends with `C`.
  if (connection_.lldb())
    for (const Tid tid : engine_.threads(pid)) engine_.withhold_signal(tid);
  if (settings_.launch.terminal != nullptr) settings_.launch.terminal->keep_promise();
  const auto detached = engine_.detach(pid, request.keep_stopped);
  if (!detached) return error_reply(detached.error());
  // gdb may be about to ask for a stop that it has been notified of; it hangs up afterwards.
  if (!connection_.stops.is_outstanding()) leave_if_done();
  return std::string(rsp::ok_reply);
}

// ---- what is worth a stop ----------------------------------------------------------------------

// The host's signals that are on a list of the client's. They are looked up by the number that the
// client is told them by: GDB's SIGPOLL is not on the list of one that has asked for SIGIO, though
// both are signal 29 of Linux.
SignalSet Session::listed_signals(const std::vector<int>& list) const {
  SignalSet set;
  for (int host = 1; host <= rsp::last_linux_signal; ++host)
    set.set(static_cast<std::size_t>(host),
            std::ranges::find(list, wire_signal(host)) != list.end());
  return set;
}

Reply Session::on(const rsp::SetPassSignals& request) {
  engine_.interest().set_pass_signals(listed_signals(request.signals));
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetProgramSignals& request) {
  engine_.interest().set_program_signals(listed_signals(request.signals));
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetThreadEvents& request) {
  engine_.interest().events.threads = request.enabled;
  return std::string(rsp::ok_reply);
}

// A thread has the last of the entries that mean it; one that none means keeps what it has (GDB
// manual, QThreadOptions). gdb relies on both: it sends `0` for all, then what single threads have,
// in as many packets as that takes.
Reply Session::on(const rsp::SetThreadOptions& request) {
  constexpr unsigned known = thread_option_clone | thread_option_exit;
  for (const auto& entry : request.entries)
    if ((entry.options & ~known) != 0)
      return error_reply({Errc::refused, 0, "Unknown thread option"});
  for (const rsp::ThreadOptions& entry : request.entries) {
    const rsp::ThreadId id = entry.thread.value_or(rsp::all_threads);
    engine_.set_thread_options(
        entry.options, id.pid > 0 ? std::optional(Pid{static_cast<pid_t>(id.pid)}) : std::nullopt,
        id.tid > 0 ? std::optional(Tid{static_cast<pid_t>(id.tid)}) : std::nullopt);
  }
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetCatchSyscalls& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  if (!request.enabled) return reply_to(engine_.catch_syscalls(*pid, std::nullopt));
  return reply_to(engine_.catch_syscalls(
      *pid, std::set<std::uint64_t>(request.numbers.begin(), request.numbers.end())));
}

}  // namespace stub
