// The signal dispositions and mask this process was started with. The daemon changes its own
// (SIGPIPE, signalfd); a program it launches must get what its caller had set up, `nohup` included.
#pragma once

#include <array>
#include <csignal>

namespace stub {

class SignalState {
 public:
  // Call first thing in main.
  static SignalState capture();
  // In the child between fork and exec; async-signal-safe.
  void restore() const;

 private:
  static constexpr int signal_count = 65;  // 1 to 64 are signals
  std::array<struct sigaction, signal_count> actions_{};
  sigset_t mask_{};
};

// What capture() found at start-up; captured at the first call.
const SignalState& initial_signal_state();

}  // namespace stub
