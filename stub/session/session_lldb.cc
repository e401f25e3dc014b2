// What only LLDB asks. The texts are lldb_info's.
#include <unistd.h>
#include <algorithm>

#include <fmt/format.h>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/inspect/account_names.h"
#include "stub/kernel/proc_fs.h"
#include "stub/session/session.h"

namespace stub {
namespace {

std::optional<std::string> reason_name(StopKind kind) {
  switch (kind) {
    case StopKind::signal:
      return "signal";
    case StopKind::breakpoint:
    case StopKind::hw_breakpoint:
      return "breakpoint";
    case StopKind::write_watch:
    case StopKind::access_watch:
      return "watchpoint";
    case StopKind::step:
      return "trace";
    case StopKind::fork:
      return "fork";
    case StopKind::vfork:
      return "vfork";
    case StopKind::vfork_done:
      return "vforkdone";
    case StopKind::exec:
      return "exec";
    default:
      return std::nullopt;
  }
}

// Does a process pass LLDB's filter? Keys that are not known let everything pass.
bool passes(const ProcessInfo& process, const std::vector<rsp::ProcessFilter>& filters) {
  std::string match = "equals", name;
  for (const rsp::ProcessFilter& filter : filters) {
    if (filter.key == "name_match") match = filter.value;
    if (filter.key == "name") name = rsp::text_from_hex(filter.value).value_or("");
    if (filter.key == "pid" && filter.value != std::to_string(raw(process.pid))) return false;
    if (filter.key == "all_users" && filter.value == "0" && process.uid != ::getuid()) return false;
  }
  if (name.empty()) return true;
  const std::string& path = process.executable;
  const std::string file = path.substr(path.rfind('/') + 1);
  if (match == "starts_with") return file.starts_with(name);
  if (match == "ends_with") return file.ends_with(name);
  if (match == "contains") return file.find(name) != file.npos;
  return file == name || path == name;
}

}  // namespace

// ---- threads -----------------------------------------------------------------------------------

Reply Session::on(const rsp::QueryThreadStop& request) {
  const auto tid = find_thread(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto held = stop_of(*tid);
  if (!held) return error_reply({Errc::refused, 0, "The thread is running"});
  return stop_reply(own_stop_of(*tid).value_or(StopReport{held->pid, *tid, Stop{}}));
}

std::optional<std::string> Session::description_of(Tid tid, const Stop& stop) const {
  if (stop.kind == StopKind::write_watch || stop.kind == StopKind::access_watch)
    return rsp::watchpoint_description(stop.value);
  std::string fault = stop.kind == StopKind::signal ? fault_of(tid, stop) : std::string();
  return fault.empty() ? std::nullopt : std::optional(std::move(fault));
}

ThreadInfo Session::thread_info(Tid tid) {
  ThreadInfo info;
  info.tid = tid;
  if (auto name = proc_fs::comm(tid)) info.name = std::move(*name);
  const auto stop = own_stop_of(tid);
  const int signal = stop ? told_signal(connection_.dialect, stop->stop) : 0;
  if (signal != 0) {
    info.reason = reason_name(stop->stop.kind);
    info.description = description_of(tid, stop->stop);
    info.signal = signal;
  }
  const auto file = engine_.read_registers(tid, {});
  if (!file) return info;
  const auto& set = x86::RegisterSet::get(engine_.mode(*engine_.process_of(tid)));
  for (const unsigned number : set.expedited()) {
    std::vector<std::byte> value(8);
    value.resize(x86::read_register(*set.find(number), *file, value));
    info.registers.push_back({number, std::move(value)});
  }
  return info;
}

Reply Session::on(const rsp::QueryThreadsInfo&) { return work_on(threads_info()); }

Work<Reply> Session::threads_info() {
  const auto pid = current_process();
  if (!pid) co_return error_reply(pid.error());
  std::vector<ThreadInfo> threads;
  for (const Tid tid : engine_.threads(*pid)) {
    if (engine_.find(tid) == nullptr) continue;  // it ended meanwhile
    threads.push_back(thread_info(tid));
    co_await Pause{};
  }
  co_return rsp::escaped(threads_info_json(threads));
}

Reply Session::on(const rsp::QueryThreadExtendedInfo&) { return ""; }

// ---- host and processes ------------------------------------------------------------------------

Reply Session::on(const rsp::QueryHostInfo&) { return host_info_text(read_host_info()); }

Reply Session::on(const rsp::QueryProcessInfo&) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  const auto info = read_process_info(*pid);
  return info ? process_info_text(*info) : error_reply(info.error());
}

Reply Session::on(const rsp::QueryProcessInfoOf& request) {
  const auto info = read_process_info(Pid{static_cast<pid_t>(request.pid)});
  return info ? process_list_text(*info) : error_reply(info.error());
}

Reply Session::on(const rsp::FirstProcesses& request) { return work_on(first_processes(request)); }
Reply Session::on(const rsp::NextProcesses&) { return work_on(next_process()); }

Work<Reply> Session::first_processes(rsp::FirstProcesses request) {
  connection_.listed_processes.clear();
  for (auto entries = proc_fs::process_entries(); const auto pid = entries.next();) {
    const auto info = read_process_info(Pid{*pid});
    if (info && passes(*info, request.filters)) connection_.listed_processes.push_back(Pid{*pid});
    co_await Pause{};
  }
  co_return co_await next_process();
}

Work<Reply> Session::next_process() {
  while (!connection_.listed_processes.empty()) {
    const Pid pid = connection_.listed_processes.front();
    connection_.listed_processes.pop_front();
    if (const auto info = read_process_info(pid)) co_return process_list_text(*info);
    co_await Pause{};
  }
  co_return error_reply({Errc::no_process, 0, "No more processes"});
}

Reply Session::on(const rsp::QueryUserName& request) { return rsp::to_hex(user_name(request.id)); }
Reply Session::on(const rsp::QueryGroupName& request) {
  return rsp::to_hex(group_name(request.id));
}

// In the form of a command's exit status and output, which LLDB shows. To an empty reply it says
// "malformed reply".
Reply Session::on(const rsp::RunShellCommand&) {
  return "F,0000007e,00000000,The server runs no shell commands for its clients.\n";
}

// Darwin's way to list libraries; on Linux LLDB follows the link map.
Reply Session::on(const rsp::QueryLoadedLibraries&) { return ""; }
// LLDB then looks at the file itself.
Reply Session::on(const rsp::QueryModuleInfo&) { return ""; }

}  // namespace stub
