#include "protocol/stop_reply.h"

#include "tests/catch.h"

namespace {

constexpr rsp::StopReplyFormat gdb{false, true, true, true, false, true};
constexpr rsp::StopReplyFormat gdb_plain{};
constexpr rsp::StopReplyFormat lldb{true, true, false, false, false, true};

rsp::ThreadStopped stopped(rsp::StopReason why) {
  rsp::ThreadStopped stop;
  stop.signal = 5;
  stop.thread = {0x10, 0x11};
  stop.reason = std::move(why);
  return stop;
}

}  // namespace

TEST_CASE("stop replies to GDB, reason by reason") {
  struct Row {
    rsp::StopReason why;
    const char* text;
  };
  const rsp::ThreadId child{0x12, 0x12};
  namespace reason = rsp::reason;
  const Row rows[] = {
      {reason::Signal{}, "T05thread:p10.11;"},
      {reason::Step{}, "T05thread:p10.11;"},
      {reason::SoftwareBreakpoint{}, "T05swbreak:;thread:p10.11;"},
      {reason::HardwareBreakpoint{}, "T05hwbreak:;thread:p10.11;"},
      {reason::Watchpoint{rsp::PointType::write_watchpoint, 0x601040},
       "T05watch:0000000000601040;thread:p10.11;"},
      {reason::Watchpoint{rsp::PointType::access_watchpoint, 1},
       "T05awatch:0000000000000001;thread:p10.11;"},
      {reason::Watchpoint{rsp::PointType::read_watchpoint, 1},
       "T05rwatch:0000000000000001;thread:p10.11;"},
      {reason::Fork{child}, "T05fork:p12.12;thread:p10.11;"},
      {reason::Vfork{child}, "T05vfork:p12.12;thread:p10.11;"},
      {reason::VforkDone{}, "T05vforkdone:;thread:p10.11;"},
      {reason::Exec{"/bin/a"}, "T05exec:2f62696e2f61;thread:p10.11;"},
      {reason::ThreadCreated{}, "T05create:;thread:p10.11;"},
      {reason::Cloned{{0x10, 0x13}}, "T05clone:p10.13;thread:p10.11;"},
      {reason::SyscallEntry{110}, "T05syscall_entry:6e;thread:p10.11;"},
      {reason::SyscallReturn{110}, "T05syscall_return:6e;thread:p10.11;"},
      {reason::LibraryChange{}, "T05thread:p10.11;library:;"},
  };
  for (const Row& row : rows) CHECK(rsp::to_wire(stopped(row.why), gdb) == row.text);
}

TEST_CASE("stop replies: registers and core in gdbserver's order") {
  auto stop = stopped(rsp::reason::SoftwareBreakpoint{});
  stop.registers = {{6, {std::byte{0xf0}, std::byte{0}}}, {0x10, {std::byte{0x70}}}};
  stop.core = 11;
  stop.name = "ignored by GDB";
  stop.threads = {{{0x10, 0x11}, 0x70}};
  CHECK(rsp::to_wire(stop, gdb) == "T05swbreak:;06:f000;10:70;thread:p10.11;core:b;");
}

TEST_CASE("stop replies: nothing the client did not ask for") {
  CHECK(rsp::to_wire(stopped(rsp::reason::SoftwareBreakpoint{}), gdb_plain) == "T05thread:11;");
  CHECK(rsp::to_wire(stopped(rsp::reason::HardwareBreakpoint{}), gdb_plain) == "T05thread:11;");
  auto format = gdb;
  format.name_thread = false;
  CHECK(rsp::to_wire(stopped(rsp::reason::Signal{}), format) == "T05");
  format.short_form = true;
  CHECK(rsp::to_wire(stopped(rsp::reason::SoftwareBreakpoint{}), format) == "S05");
}

TEST_CASE("stop replies to LLDB") {
  namespace reason = rsp::reason;
  auto stop = stopped(reason::SoftwareBreakpoint{});
  stop.name = "worker";
  stop.threads = {{{0x10, 0x10}, 0x4000}, {{0x10, 0x11}, 0x70}};
  stop.registers = {{0x10, {std::byte{0x70}}}};
  stop.core = 3;
  CHECK(rsp::to_wire(stop, lldb) ==
        "T05thread:p10.11;name:worker;threads:p10.10,p10.11;thread-pcs:4000,70;10:70;"
        "reason:breakpoint;");
  CHECK(rsp::to_wire(stopped(reason::Step{}), lldb) == "T05thread:p10.11;reason:trace;");
  CHECK(rsp::to_wire(stopped(reason::Signal{}), lldb) == "T05thread:p10.11;reason:signal;");
  auto held = stopped(reason::Signal{});
  held.signal = 0;
  CHECK(rsp::to_wire(held, lldb) == "T00thread:p10.11;");
  auto crashed = stopped(reason::Signal{});
  crashed.signal = 11;
  crashed.description = "why";
  CHECK(rsp::to_wire(crashed, lldb) == "T0bthread:p10.11;reason:signal;description:776879;");
  CHECK(rsp::to_wire(crashed, gdb_plain) == "T0bthread:11;");
  CHECK(rsp::to_wire(stopped(reason::Exec{"/a"}), lldb) == "T05thread:p10.11;reason:exec;");
  CHECK(rsp::to_wire(stopped(reason::Fork{{1, 1}}), lldb) ==
        "T05thread:p10.11;fork:p1.1;reason:fork;");
  CHECK(rsp::to_wire(stopped(reason::Watchpoint{rsp::PointType::write_watchpoint, 16}), lldb) ==
        "T05thread:p10.11;reason:watchpoint;description:313620302031"
        "36;");
}

TEST_CASE("stop replies to LLDB: a thread's name cannot forge keys") {
  auto stop = stopped(rsp::reason::Signal{});
  stop.name = "a;reason:exec";
  CHECK(rsp::to_wire(stop, lldb) ==
        "T05thread:p10.11;hexname:613b726561736f6e3a65786563;reason:signal;");
}

TEST_CASE("ends of processes and threads") {
  CHECK(rsp::to_wire(rsp::ProcessExited{7, 0x10}, gdb) == "W7;process:10");
  CHECK(rsp::to_wire(rsp::ProcessExited{7, 0x10}, gdb_plain) == "W07");
  CHECK(rsp::to_wire(rsp::ProcessExited{7, 0x10}, lldb) == "W07;process:10");
  CHECK(rsp::to_wire(rsp::ProcessKilled{11, 0x10}, gdb) == "Xb;process:10");
  CHECK(rsp::to_wire(rsp::ProcessKilled{11, 0x10}, gdb_plain) == "X0b");
  CHECK(rsp::to_wire(rsp::ThreadExited{0, {0x10, 0x11}}, gdb) == "w0;p10.11");
  CHECK(rsp::to_wire(rsp::NoResumed{}, gdb) == "N");
}
