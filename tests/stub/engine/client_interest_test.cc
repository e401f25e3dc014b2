#include "stub/engine/client_interest.h"

#include <csignal>

#include "tests/catch.h"

namespace stub {
namespace {

SignalSet set_of(int signal) {
  SignalSet set;
  set.set(static_cast<std::size_t>(signal));
  return set;
}

}  // namespace

TEST_CASE("client_interest: a new client is told of every signal and of no event") {
  const ClientInterest interest;
  CHECK_FALSE(interest.passes(SIGUSR1));
  CHECK_FALSE(interest.wants_clones_of(Tid{1}));
  CHECK_FALSE(interest.wants_exit_of(Tid{1}));
  CHECK_FALSE(interest.events.fork);
}

TEST_CASE("client_interest: signals that pass, and signals that a program may leave with") {
  ClientInterest interest;
  interest.set_pass_signals(set_of(SIGUSR1));
  CHECK(interest.passes(SIGUSR1));
  CHECK_FALSE(interest.passes(SIGUSR2));
  CHECK(interest.may_leave_with(SIGUSR2));  // before QProgramSignals: all
  interest.set_program_signals(set_of(SIGUSR1));
  CHECK(interest.may_leave_with(SIGUSR1));
  CHECK_FALSE(interest.may_leave_with(SIGUSR2));
  interest.set_program_signals({});
  CHECK_FALSE(interest.may_leave_with(SIGUSR1));
}

TEST_CASE("client_interest: options are a thread's own, and end with 0 or with the thread") {
  ClientInterest interest;
  interest.set_thread_options(Tid{1}, thread_option_clone);
  CHECK(interest.wants_clones_of(Tid{1}));
  CHECK_FALSE(interest.wants_exit_of(Tid{1}));
  CHECK_FALSE(interest.wants_clones_of(Tid{2}));
  interest.set_thread_options(Tid{1}, thread_option_exit);
  CHECK_FALSE(interest.wants_clones_of(Tid{1}));
  CHECK(interest.wants_exit_of(Tid{1}));
  interest.set_thread_options(Tid{1}, 0);
  CHECK_FALSE(interest.wants_exit_of(Tid{1}));
  interest.set_thread_options(Tid{1}, thread_option_exit);
  interest.forget(Tid{1});
  CHECK_FALSE(interest.wants_exit_of(Tid{1}));
  interest.events.threads = true;  // QThreadEvents: the exits of all
  CHECK(interest.wants_exit_of(Tid{2}));
}

}  // namespace stub
