#include "protocol/stop_reply.h"

#include <fmt/format.h>

#include "protocol/hex.h"
#include "protocol/variants.h"

namespace rsp {
namespace {

std::string_view watch_key(PointType type) {
  switch (type) {
    case PointType::read_watchpoint:
      return "rwatch";
    case PointType::access_watchpoint:
      return "awatch";
    default:
      return "watch";
  }
}

// GDB's key and value with the final semicolon, or nothing.
std::string gdb_key(const StopReason& why, const StopReplyFormat& f) {
  const auto child = [&](std::string_view key, const ThreadId& id) {
    return fmt::format("{}:{};", key, to_wire(id, f.multiprocess));
  };
  return std::visit(
      Overloaded{
          [](const reason::Signal&) { return std::string(); },
          [](const reason::Step&) { return std::string(); },
          [&](const reason::SoftwareBreakpoint&) {
            return std::string(f.swbreak ? "swbreak:;" : "");
          },
          [&](const reason::HardwareBreakpoint&) {
            return std::string(f.hwbreak ? "hwbreak:;" : "");
          },
          [](const reason::Watchpoint& w) {
            return fmt::format("{}:{:016x};", watch_key(w.type), w.address);
          },
          [&](const reason::Fork& e) { return child("fork", e.child); },
          [&](const reason::Vfork& e) { return child("vfork", e.child); },
          [](const reason::VforkDone&) { return std::string("vforkdone:;"); },
          [](const reason::Exec& e) { return fmt::format("exec:{};", to_hex(e.path)); },
          [](const reason::ThreadCreated&) { return std::string("create:;"); },
          [&](const reason::Cloned& e) { return child("clone", e.child); },
          [](const reason::SyscallEntry& e) {
            return fmt::format("syscall_entry:{:x};", e.number);
          },
          [](const reason::SyscallReturn& e) {
            return fmt::format("syscall_return:{:x};", e.number);
          },
          [](const reason::LibraryChange&) { return std::string("library:;"); },
      },
      why);
}

// LLDB's reason, with what else it wants to know about it.
std::string lldb_keys(const StopReason& why, const StopReplyFormat& f) {
  const auto child = [&](std::string_view key, const ThreadId& id) {
    return fmt::format("{0}:{1};reason:{0};", key, to_wire(id, f.multiprocess));
  };
  return std::visit(
      Overloaded{
          [](const auto&) { return std::string("reason:signal;"); },
          [](const reason::Step&) { return std::string("reason:trace;"); },
          [](const reason::SoftwareBreakpoint&) { return std::string("reason:breakpoint;"); },
          [](const reason::HardwareBreakpoint&) { return std::string("reason:breakpoint;"); },
          [](const reason::Watchpoint& w) {
            return fmt::format("reason:watchpoint;description:{};",
                               to_hex(watchpoint_description(w.address)));
          },
          [&](const reason::Fork& e) { return child("fork", e.child); },
          [&](const reason::Vfork& e) { return child("vfork", e.child); },
          [](const reason::VforkDone&) { return std::string("vforkdone:;reason:vforkdone;"); },
          [](const reason::Exec&) { return std::string("reason:exec;"); },
      },
      why);
}

void append_registers(std::string& to, const std::vector<ExpeditedRegister>& registers) {
  for (const ExpeditedRegister& r : registers) {
    fmt::format_to(std::back_inserter(to), "{:02x}:", r.number);
    append_hex(to, r.value);
    to.push_back(';');
  }
}

std::string gdb_form(const ThreadStopped& stop, const StopReplyFormat& f) {
  if (f.short_form) return fmt::format("S{:02x}", stop.signal);
  std::string text = fmt::format("T{:02x}", stop.signal);
  const bool library = std::holds_alternative<reason::LibraryChange>(stop.reason);
  if (!library) text += gdb_key(stop.reason, f);
  append_registers(text, stop.registers);
  if (f.name_thread) {
    text += fmt::format("thread:{};", to_wire(stop.thread, f.multiprocess));
    if (stop.core) text += fmt::format("core:{:x};", *stop.core);
  }
  if (library) text += gdb_key(stop.reason, f);
  return text;
}

// Names go out in hexadecimal when a character of theirs would break the key-value form.
std::string lldb_name(const std::string& name) {
  if (name.empty()) return {};
  if (name.find_first_of(":;#$}*,") == name.npos) return "name:" + name + ";";
  return "hexname:" + to_hex(name) + ";";
}

std::string lldb_threads(const ThreadStopped& stop, const StopReplyFormat& f) {
  if (stop.threads.empty()) return {};
  std::string ids, pcs;
  for (const ThreadPc& t : stop.threads) {
    const std::string_view comma = ids.empty() ? "" : ",";
    ids += fmt::format("{}{}", comma, to_wire(t.thread, f.multiprocess));
    pcs += fmt::format("{}{:x}", comma, t.pc);
  }
  return fmt::format("threads:{};thread-pcs:{};", ids, pcs);
}

// None for a thread that was only held because another one stopped.
std::string lldb_reason(const ThreadStopped& stop, const StopReplyFormat& f) {
  if (stop.signal == 0 && std::holds_alternative<reason::Signal>(stop.reason)) return {};
  std::string text = lldb_keys(stop.reason, f);
  if (!stop.description.empty()) text += fmt::format("description:{};", to_hex(stop.description));
  return text;
}

std::string lldb_form(const ThreadStopped& stop, const StopReplyFormat& f) {
  std::string text =
      fmt::format("T{:02x}thread:{};", stop.signal, to_wire(stop.thread, f.multiprocess));
  text += lldb_name(stop.name);
  text += lldb_threads(stop, f);
  append_registers(text, stop.registers);
  text += lldb_reason(stop, f);
  return text;
}

// gdbserver writes the number without a leading zero where the process follows; LLDB reads exactly
// two digits.
std::string end_of_process(char kind, int number, std::int64_t pid, const StopReplyFormat& f) {
  if (!f.multiprocess) return fmt::format("{}{:02x}", kind, number);
  if (f.lldb) return fmt::format("{}{:02x};process:{:x}", kind, number, pid);
  return fmt::format("{}{:x};process:{:x}", kind, number, pid);
}

}  // namespace

std::string watchpoint_description(WireAddress address) {
  return fmt::format("{0} 0 {0}", address);
}

std::string to_wire(const StopReply& reply, const StopReplyFormat& f) {
  return std::visit(
      Overloaded{
          [&](const ThreadStopped& s) { return f.lldb ? lldb_form(s, f) : gdb_form(s, f); },
          [&](const ProcessExited& e) { return end_of_process('W', e.status, e.pid, f); },
          [&](const ProcessKilled& e) { return end_of_process('X', e.signal, e.pid, f); },
          [&](const ThreadExited& e) {
            return fmt::format("w{:x};{}", e.status, to_wire(e.thread, f.multiprocess));
          },
          [](const NoResumed&) { return std::string("N"); },
      },
      reply);
}

}  // namespace rsp
