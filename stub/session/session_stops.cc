// From what the engine reports to what the client is told.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "protocol/framing.h"
#include "protocol/signals.h"
#include "stub/base/log.h"
#include "stub/kernel/proc_fs.h"
#include "stub/session/fault_text.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// x86 registers of more than 64 bytes do not exist.
constexpr std::size_t largest_register = 64;

rsp::Bytes register_value(const x86::Register& reg, const x86::RegisterFile& file) {
  rsp::Bytes value(largest_register);
  value.resize(x86::read_register(reg, file, value));
  return value;
}

rsp::ThreadId process_id(std::uint64_t pid) {
  const auto id = static_cast<std::int64_t>(pid);
  return {id, id};
}

rsp::StopReason reason_of(const StopReport& report) {
  namespace reason = rsp::reason;
  const Stop& stop = report.stop;
  switch (stop.kind) {
    case StopKind::breakpoint:
      return reason::SoftwareBreakpoint{};
    case StopKind::hw_breakpoint:
      return reason::HardwareBreakpoint{};
    case StopKind::write_watch:
      return reason::Watchpoint{rsp::PointType::write_watchpoint, stop.value};
    case StopKind::access_watch:
      return reason::Watchpoint{rsp::PointType::access_watchpoint, stop.value};
    case StopKind::step:
      return reason::Step{};
    case StopKind::fork:
      return reason::Fork{process_id(stop.value)};
    case StopKind::vfork:
      return reason::Vfork{process_id(stop.value)};
    case StopKind::vfork_done:
      return reason::VforkDone{};
    case StopKind::exec:
      return reason::Exec{stop.path};
    case StopKind::syscall_entry:
      return reason::SyscallEntry{stop.value};
    case StopKind::syscall_return:
      return reason::SyscallReturn{stop.value};
    case StopKind::thread_created:
      return reason::ThreadCreated{};
    case StopKind::cloned:
      return reason::Cloned{{raw(report.pid), static_cast<std::int64_t>(stop.value)}};
    default:
      return reason::Signal{};
  }
}

// The lines gdbserver prints, which people and scripts look for.
void announce_end(const Stop& stop) {
  if (stop.kind == StopKind::process_exited) {
    say("");
    say(fmt::format("Child exited with status {}", stop.value));
  } else if (stop.kind == StopKind::process_killed) {
    say("");
    say(fmt::format("Child terminated with signal = 0x{:x} ({})", stop.signal,
                    rsp::gdb_signal_name(rsp::gdb_from_host(stop.signal))));
  }
}

}  // namespace

// ---- delivery ----------------------------------------------------------------------------------

// Threads that print in a loop are faster than most clients. What a client has not taken is kept
// for it up to a limit; then output is dropped, and the client is told how much when it reads
// again. The threads are not held up, and the memory of the server is bounded.
void Session::send_output(std::string_view text) {
  constexpr std::size_t most_unsent = 1024 * 1024;
  if (connection_.unsent + connection_.output.size() > most_unsent) {
    connection_.output_lost += text.size();
    return;
  }
  if (connection_.output_lost != 0)
    send_console(fmt::format("[{} bytes of output lost: they were not taken in time]\n",
                             std::exchange(connection_.output_lost, 0)));
  send_console(text);
}

void Session::take_reports() {
  if (const std::string text = engine_.conditions().console().take(); !text.empty()) {
    if (has_client_ && connection_.awaiting_stop)
      send_output(text);
    else if (settings_.console)
      settings_.console(text);
  }
  if (!has_client_) return;
  if (engine_.non_stop()) {
    if (!connection_.stops.may_notify()) return;
    if (const auto stop = next_stop())
      connection_.output += rsp::frame_notification("Stop:" + *stop);
    return;
  }
  if (!connection_.awaiting_stop) return;
  const auto report = next_report();
  if (!report) return;
  // LLDB asks all threads at each stop why they stopped. One at a breakpoint that it was not told
  // of it would step over without a look at the breakpoint's condition.
  if (connection_.lldb())
    for (const StopReport& other : engine_.take_companions()) own_stops_.insert(other.tid);
  const std::string reply = tell(*report);
  connection_.awaiting_stop = false;
  send(reply);
}

std::optional<StopReport> Session::next_report() {
  auto report = engine_.take_report();
  if (report) own_stops_.insert(report->tid);
  return report;
}

// Non-stop: the next stop that the client has to be told of, those before the others that a query
// has to repeat. A thread that ran on meanwhile has nothing to repeat.
std::optional<std::string> Session::next_stop() {
  StopNotifications& stops = connection_.stops;
  stops.drop_front([&](const StopReport& report) { return !stop_of(report.tid); });
  if (stops.all().empty()) {
    auto report = next_report();
    if (!report) return std::nullopt;
    stops.add(std::move(*report));
  }
  return tell(stops.tell_first());
}

// A stop reply on its way to the client. In all-stop mode the thread becomes the selected one; in
// non-stop mode the selection is the client's alone.
std::string Session::tell(const StopReport& report) {
  if (settings_.announce_ends) announce_end(report.stop);
  if (engine_.find(report.tid) != nullptr) {
    if (own_stop_of(report.tid)) last_reported_ = report.tid;
    if (!engine_.non_stop()) select(report.pid, report.tid);
  }
  return stop_reply(report);
}

// The stop of a thread that has been told already; nothing while it runs.
std::optional<StopReport> Session::stop_of(Tid tid) const {
  const Thread* thread = engine_.find(tid);
  if (thread == nullptr || thread->want != Want::hold) return std::nullopt;
  return StopReport{thread->process->pid, tid, thread->last_stop.value_or(Stop{})};
}

// The same for a thread that stopped by itself, or with all others when the process was taken over;
// nothing for one that was only held with the others.
std::optional<StopReport> Session::own_stop_of(Tid tid) const {
  auto stop = stop_of(tid);
  return stop && (own_stops_.contains(tid) || stop->stop.taken_over) ? stop : std::nullopt;
}

// As it was when its state was saved.
void Session::restore_stop(Tid tid, const std::optional<StopReport>& own_stop) {
  engine_.restore_stop(tid, own_stop ? std::optional(own_stop->stop) : std::nullopt);
  if (own_stop)
    own_stops_.insert(tid);
  else
    own_stops_.erase(tid);
}

void Session::forget_resumed() {
  std::erase_if(own_stops_, [&](Tid tid) { return !stop_of(tid); });
}

// The main thread, or another one where it has exited.
Tid Session::first_thread(Pid pid) const {
  const auto tids = engine_.threads(pid);
  const bool main_lives = tids.empty() || std::ranges::find(tids, leader_of(pid)) != tids.end();
  return main_lives ? leader_of(pid) : tids.front();
}

// What `?` tells in all-stop mode: the thread that was reported last, else any stopped one. LLDB
// numbers threads in the order in which it hears of them, which begins with this reply: it is told
// of the main thread, and asks all of them why they stopped.
std::optional<StopReport> Session::current_stop() const {
  if (connection_.lldb())
    for (const Pid pid : engine_.processes()) {
      const Tid first = first_thread(pid);
      if (const auto held = stop_of(first))
        return own_stop_of(first).value_or(StopReport{pid, first, Stop{}});
    }
  if (last_reported_)
    if (auto stop = stop_of(*last_reported_)) return stop;
  for (const Pid pid : engine_.processes())
    for (const Tid tid : engine_.threads(pid))
      if (auto stop = stop_of(tid)) return stop;
  return std::nullopt;
}

// ---- composition -------------------------------------------------------------------------------

rsp::StopReplyFormat Session::stop_format() const {
  return {.lldb = connection_.lldb(),
          .multiprocess = connection_.multiprocess,
          .swbreak = connection_.swbreak,
          .hwbreak = connection_.hwbreak,
          .short_form = settings_.disabled.stop_with_details,
          .name_thread = !settings_.disabled.thread_in_stop};
}

std::string Session::stop_reply(const StopReport& report) {
  const auto pid = static_cast<std::int64_t>(raw(report.pid));
  const auto code = static_cast<int>(report.stop.value);
  switch (report.stop.kind) {
    case StopKind::process_exited:
      return rsp::to_wire(rsp::ProcessExited{code, pid}, stop_format());
    case StopKind::process_killed:
      return rsp::to_wire(rsp::ProcessKilled{wire_signal(report.stop.signal), pid}, stop_format());
    case StopKind::thread_exited:
      return rsp::to_wire(rsp::ThreadExited{code, {pid, raw(report.tid)}}, stop_format());
    case StopKind::no_resumed:
      return rsp::to_wire(rsp::NoResumed{}, stop_format());
    default:
      return rsp::to_wire(thread_stopped(report), stop_format());
  }
}

rsp::ThreadStopped Session::thread_stopped(const StopReport& report) {
  rsp::ThreadStopped stop;
  stop.signal = wire_signal(told_signal(connection_.dialect, report.stop));
  stop.thread = {raw(report.pid), raw(report.tid)};
  stop.reason = reason_of(report);
  if (connection_.lldb()) {
    add_lldb_details(stop, report.pid, report.tid);
    if (report.stop.kind == StopKind::signal) stop.description = fault_of(report.tid, report.stop);
  } else {
    stop.registers = expedited(report.pid, report.tid);
    if (const auto core = proc_fs::core(report.tid)) stop.core = *core;
  }
  return stop;
}

// Why a fault's signal came; empty for other signals.
std::string Session::fault_of(Tid tid, const Stop& stop) const {
  constexpr std::array faults{SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  if (std::ranges::find(faults, stop.signal) == faults.end()) return {};
  const auto info = engine_.siginfo(tid);
  return info && info->si_signo == stop.signal ? fault_text(*info) : std::string();
}

// Frame pointer, stack pointer and PC; nothing for a thread that has vanished meanwhile.
std::vector<rsp::ExpeditedRegister> Session::expedited(Pid pid, Tid tid) {
  std::vector<rsp::ExpeditedRegister> values;
  const auto file = engine_.read_registers(tid, {});
  if (!file) return values;
  const auto& set = registers_of(pid);
  for (const unsigned number : set.expedited())
    values.push_back({number, register_value(*set.find(number), *file)});
  return values;
}

// LLDB unwinds from the reply alone when it has the general registers, and draws its list of
// threads from it when it has their PCs.
void Session::add_lldb_details(rsp::ThreadStopped& stop, Pid pid, Tid tid) {
  stop.name = proc_fs::comm(tid).value_or(std::string());
  if (const auto file = engine_.read_registers(tid, {})) {
    for (const x86::Register& reg : x86::RegisterSet::get(engine_.mode(pid)).registers())
      if (!x86::needs_xstate(reg))
        stop.registers.push_back({reg.number, register_value(reg, *file)});
  }
  for (const Tid other : engine_.threads(pid)) {
    const auto file = engine_.read_registers(other, {});
    stop.threads.push_back({{raw(pid), raw(other)}, file ? file->general.rip : 0});
  }
}

}  // namespace stub
