// Negotiation, the console, symbols, and as much of tracing as conditions can refer to.
#include <algorithm>

#include <fmt/format.h>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/session/monitor.h"
#include "stub/session/session.h"

namespace stub {

// ---- the connection ----------------------------------------------------------------------------

// LLDB takes signals as the host's numbers where the server says so, and reads memory in its own
// form where binary-upload is not announced.
void Session::take_features(const rsp::QuerySupported& request) {
  connection_.error_message = false;
  connection_.described = false;
  bool gdb_17 = false;
  for (const rsp::ClientFeature& feature : request.features) {
    if (feature.name == "multiprocess") connection_.multiprocess = feature.supported;
    if (feature.name == "swbreak") connection_.swbreak = feature.supported;
    if (feature.name == "hwbreak") connection_.hwbreak = feature.supported;
    if (feature.name == "error-message") connection_.error_message = feature.supported;
    if (feature.name == "multi-wp-addr") gdb_17 = true;
    if (feature.name == "xmlRegisters") {
      const std::string architectures = feature.value.value_or("");
      connection_.described = ("," + architectures + ",").find(",i386,") != std::string::npos;
    }
  }
  connection_.stat_is_lstat = connection_.error_message && !gdb_17;
}

// LLDB does not announce that it understands the exec event.
void Session::take_interest(const rsp::QuerySupported& request) {
  EventInterest& events = engine_.interest().events;
  for (const rsp::ClientFeature& feature : request.features) {
    if (feature.name == "fork-events") events.fork = feature.supported;
    if (feature.name == "vfork-events") events.vfork = feature.supported;
    if (feature.name == "exec-events") events.exec = feature.supported;
    if (feature.name == "no-resumed") events.no_resumed = feature.supported;
  }
  if (connection_.lldb()) events.exec = true;
}

Reply Session::on(const rsp::QuerySupported& request) {
  take_features(request);
  take_interest(request);
  std::vector<std::string_view> withheld;
  if (!connection_.error_message) withheld.push_back("error-message");
  if (connection_.lldb()) withheld.push_back("binary-upload");
  std::string reply = rsp::supported_reply(packet_size, withheld);
  if (connection_.lldb()) reply += ";native-signals+";
  return reply;
}

// The reply still gets its acknowledgement, which is skipped like any other byte between packets.
Reply Session::on(const rsp::StartNoAckMode&) {
  connection_.acks = false;
  connection_.deframer.start_no_ack_mode();
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::MustReplyEmpty&) { return ""; }

Reply Session::on(const rsp::EnableExtendedMode&) {
  connection_.extended = true;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::SetNonStop& request) {
  if (connection_.awaiting_stop) return error_reply({Errc::refused, 0, "The program is running"});
  engine_.set_non_stop(request.enabled);
  connection_.stops.start_over();
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::EnableErrorStrings&) {
  connection_.error_strings = true;
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::Echo& request) { return rsp::escaped("qEcho:" + request.text); }

Reply Session::on(const rsp::EnableThreadSuffix&) { return std::string(rsp::ok_reply); }

Reply Session::on(const rsp::ListThreadsInStopReply&) { return std::string(rsp::ok_reply); }

Reply Session::on(const rsp::MonitorCommand& request) {
  const auto pid = current_process();
  const MonitorResult result = run_monitor_command(
      request.command,
      {engine_, tls_, past_sites_, pid ? std::optional(*pid) : std::nullopt, settings_.no_run,
       connection_.error_message});  // gdb 16 was the first to offer it
  send_console(result.output);
  if (result.exit) next_ = Next::quit;
  return result.failed ? "E01" : std::string(rsp::ok_reply);
}

// ---- symbols -----------------------------------------------------------------------------------

// The client offers to look symbols up. Those wanted are found in the program itself
// (elf_symbols.h).
Reply Session::on(const rsp::SymbolAnswer&) { return std::string(rsp::ok_reply); }

// Programs are loaded by the kernel; where, the client reads from auxv.
Reply Session::on(const rsp::QueryOffsets&) { return ""; }

// ---- tracing -----------------------------------------------------------------------------------

Reply Session::on(const rsp::InitTrace&) {
  engine_.conditions().variables().clear();
  trace_variables_.clear();
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::QueryTraceStatus&) {
  return "T0;tnotrun:0;tframes:0;tcreated:0;tfree:500000;tsize:500000;circular:0;disconn:0;"
         "starttime:0;stoptime:0;username:;notes::";
}

Reply Session::on(const rsp::DefineTraceVariable& request) {
  constexpr std::size_t most = 4096, longest_name = 1024;
  const auto known =
      std::ranges::find(trace_variables_, request.number, &rsp::DefineTraceVariable::number);
  const bool is_new = known == trace_variables_.end();
  if (request.name.size() > longest_name || (is_new && trace_variables_.size() >= most))
    return error_reply({Errc::refused, 0, "Too many trace state variables"});
  if (is_new)
    trace_variables_.push_back(request);
  else
    *known = request;
  engine_.conditions().variables().set(request.number, request.initial_value);
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::QueryTraceVariable& request) {
  const auto known =
      std::ranges::find(trace_variables_, request.number, &rsp::DefineTraceVariable::number);
  if (known == trace_variables_.end()) return "U";
  return fmt::format(
      "V{:x}", static_cast<std::uint64_t>(engine_.conditions().variables().get(request.number)));
}

Reply Session::on(const rsp::FirstTraceVariable&) {
  connection_.listed_variables = 0;
  return on(rsp::NextTraceVariable{});
}

Reply Session::on(const rsp::NextTraceVariable&) {
  if (connection_.listed_variables >= trace_variables_.size()) return "l";
  const auto& variable = trace_variables_[connection_.listed_variables++];
  return fmt::format("{:x}:{:x}:{:d}:{}", variable.number,
                     static_cast<std::uint64_t>(variable.initial_value), variable.builtin,
                     rsp::to_hex(variable.name));
}

Reply Session::on(const rsp::FirstTracepoint&) { return "l"; }
Reply Session::on(const rsp::NextTracepoint&) { return "l"; }
Reply Session::on(const rsp::SetAgent&) { return std::string(rsp::ok_reply); }

}  // namespace stub
