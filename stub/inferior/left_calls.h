// System calls that a client has moved a thread out of.
//
// A client that has the stopped thread execute something else (an inferior call) writes a new PC,
// and later puts the registers back. If the stop has interrupted a system call, the kernel looks at
// rax and orig_rax when the thread is resumed, and starts the call again by going back two bytes
// (arch/x86/kernel/signal.c, arch_do_signal_or_restart): also from the new PC, where that is
// nonsense. gdb writes orig_rax = -1 together with a new PC for that reason, and lldb-server does
// when the registers are saved; other clients do nothing. So it is done here for all: what belongs
// to the call is kept when the PC is moved, withheld from the kernel meanwhile, and given back when
// the thread is resumed where it was.
//
// Inside of fork, vfork and clone a stop shows the result -ENOSYS, because the kernel sets the real
// one when the call returns. A thread that was moved away has received it elsewhere, so a program
// that gets its old registers back would take the call for failed. There the result is put in.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "arch/registers.h"

namespace stub {

class LeftCalls {
 public:
  // The client moves the PC of a thread with these registers. `result`: it is inside of a call that
  // will return this.
  void leave(const x86::GeneralRegisters& before, std::optional<std::uint64_t> result);
  // The thread is about to be resumed with these registers; they become what the kernel has to
  // have. `inside`: the stop is one inside of a system call. True: something was changed.
  bool settle(x86::GeneralRegisters& registers, bool inside);

  static constexpr std::size_t most_calls = 16;  // nested inferior calls

 private:
  struct Call {
    x86::GeneralRegisters before;
    std::optional<std::uint64_t> result;
    bool at_this_stop = true;
  };
  std::vector<Call> calls_;  // the newest last
};

}  // namespace stub
