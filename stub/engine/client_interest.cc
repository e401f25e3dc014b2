#include "stub/engine/client_interest.h"

#include <cstddef>

namespace stub {

bool ClientInterest::passes(int signal) const {
  return pass_signals_.test(static_cast<std::size_t>(signal));
}

bool ClientInterest::may_leave_with(int signal) const {
  return !program_signals_ || program_signals_->test(static_cast<std::size_t>(signal));
}

void ClientInterest::set_thread_options(Tid tid, unsigned options) {
  if (options == 0)
    thread_options_.erase(tid);
  else
    thread_options_[tid] = options;
}

bool ClientInterest::has_option(Tid tid, unsigned option) const {
  const auto found = thread_options_.find(tid);
  return found != thread_options_.end() && (found->second & option) != 0;
}

}  // namespace stub
