#include "stub/launch/signal_state.h"

namespace stub {

SignalState SignalState::capture() {
  SignalState state;
  // The numbers that libc keeps for itself (32, 33) fail with EINVAL and stay default.
  for (int signal = 1; signal < signal_count; ++signal)
    sigaction(signal, nullptr, &state.actions_[signal]);
  sigprocmask(SIG_SETMASK, nullptr, &state.mask_);
  return state;
}

void SignalState::restore() const {
  for (int signal = 1; signal < signal_count; ++signal)
    sigaction(signal, &actions_[signal], nullptr);
  sigprocmask(SIG_SETMASK, &mask_, nullptr);
}

const SignalState& initial_signal_state() {
  static const SignalState state = SignalState::capture();
  return state;
}

}  // namespace stub
