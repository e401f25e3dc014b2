// Why a program or a thread stopped, and how the two dialects say it (GDB manual, "Stop Reply
// Packets"; lldb's gdb-remote documentation, "Stop Reply Packet Extensions").
//
// One reply has a signal and at most one reason. GDB's keys and LLDB's `reason:` are both derived
// from the same value, so that a stop means the same to either client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/packets.h"
#include "protocol/thread_id.h"

namespace rsp {

namespace reason {
struct Signal {};  // the signal alone says it
struct Step {};    // a step is complete
struct SoftwareBreakpoint {};
struct HardwareBreakpoint {};
struct Watchpoint {
  PointType type = PointType::write_watchpoint;
  WireAddress address = 0;  // of the data
};
struct Fork {
  ThreadId child;
};
struct Vfork {
  ThreadId child;
};
struct VforkDone {};
struct Exec {
  std::string path;
};
struct ThreadCreated {};  // the reply's thread is the new one
struct Cloned {           // the reply's thread is the parent
  ThreadId child;
};
struct SyscallEntry {
  std::uint64_t number = 0;
};
struct SyscallReturn {
  std::uint64_t number = 0;
};
struct LibraryChange {};
}  // namespace reason

using StopReason =
    std::variant<reason::Signal, reason::Step, reason::SoftwareBreakpoint,
                 reason::HardwareBreakpoint, reason::Watchpoint, reason::Fork, reason::Vfork,
                 reason::VforkDone, reason::Exec, reason::ThreadCreated, reason::Cloned,
                 reason::SyscallEntry, reason::SyscallReturn, reason::LibraryChange>;

struct ExpeditedRegister {
  std::uint32_t number = 0;  // the target description's
  Bytes value;
};
struct ThreadPc {
  ThreadId thread;
  WireAddress pc = 0;
};

struct ThreadStopped {
  int signal = 0;  // in the numbers the client understands
  ThreadId thread;
  StopReason reason = reason::Signal{};
  std::vector<ExpeditedRegister> registers;
  std::optional<int> core;
  std::string name;               // LLDB only; empty: not sent
  std::string description;        // LLDB only, for its user; empty: not sent
  std::vector<ThreadPc> threads;  // LLDB only: every thread of the process, with its PC
};
struct ProcessExited {
  int status = 0;
  std::int64_t pid = 0;
};
struct ProcessKilled {
  int signal = 0;
  std::int64_t pid = 0;
};
struct ThreadExited {
  int status = 0;
  ThreadId thread;
};
struct NoResumed {};

using StopReply =
    std::variant<ThreadStopped, ProcessExited, ProcessKilled, ThreadExited, NoResumed>;

// LLDB's description of a watchpoint's stop: the watched address, the number of the debug register
// and the address accessed. LLDB looks the watchpoint up by the last one.
std::string watchpoint_description(WireAddress address);

struct StopReplyFormat {
  bool lldb = false;
  bool multiprocess = false;
  bool swbreak = false;  // the client asked for these two
  bool hwbreak = false;
  // --disable-packet=T and =Tthread: `Sxx` alone; no `thread:`.
  bool short_form = false;
  bool name_thread = true;
};

std::string to_wire(const StopReply& reply, const StopReplyFormat& format);

}  // namespace rsp
