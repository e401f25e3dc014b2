// What the client wants to be told of: events, signals and, thread by thread, clones and exits.
#pragma once

#include <bitset>
#include <optional>
#include <unordered_map>

#include "stub/base/types.h"

namespace stub {

// Host signal numbers, 1 to 64.
using SignalSet = std::bitset<65>;

// Events of all threads (GDB manual, qSupported and QThreadEvents).
struct EventInterest {
  bool fork = false;
  bool vfork = false;
  bool exec = false;
  bool threads = false;     // QThreadEvents
  bool no_resumed = false;  // the `N` stop reply
};

// QThreadOptions bits.
inline constexpr unsigned thread_option_clone = 1;
inline constexpr unsigned thread_option_exit = 2;

// A new client begins with a new one of these.
class ClientInterest {
 public:
  EventInterest events;

  // QPassSignals: delivered to the program without a stop.
  void set_pass_signals(const SignalSet& signals) { pass_signals_ = signals; }
  bool passes(int signal) const;
  // QProgramSignals: the program may see them when it is detached from. All, until this is called.
  void set_program_signals(const SignalSet& signals) { program_signals_ = signals; }
  bool may_leave_with(int signal) const;

  void set_thread_options(Tid tid, unsigned options);
  void forget(Tid tid) { thread_options_.erase(tid); }
  bool wants_clones_of(Tid parent) const { return has_option(parent, thread_option_clone); }
  bool wants_exit_of(Tid tid) const {
    return events.threads || has_option(tid, thread_option_exit);
  }

 private:
  bool has_option(Tid tid, unsigned option) const;

  SignalSet pass_signals_;
  std::optional<SignalSet> program_signals_;
  std::unordered_map<Tid, unsigned> thread_options_;
};

}  // namespace stub
