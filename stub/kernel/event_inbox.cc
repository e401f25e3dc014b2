#include "stub/kernel/event_inbox.h"

#include <algorithm>

namespace stub {

std::optional<WaitResult> EventInbox::wait() {
  auto result = tracee_.wait();
  may_have_more_ = result.has_value();
  return result;
}

bool EventInbox::has_put_back(Tid tid) const {
  return std::ranges::any_of(put_back_, [&](const WaitResult& each) { return each.tid == tid; });
}

std::optional<WaitResult> EventInbox::take_put_back() {
  if (put_back_.empty()) return std::nullopt;
  const WaitResult oldest = put_back_.front();
  put_back_.pop_front();
  return oldest;
}

std::optional<WaitResult> EventInbox::take_early(Tid tid) {
  const auto found = early_.extract(tid);
  if (found.empty()) return std::nullopt;
  return WaitResult{tid, found.mapped()};
}

std::vector<Tid> EventInbox::early_threads() const {
  std::vector<Tid> threads;
  for (const auto& [tid, status] : early_) threads.push_back(tid);
  return threads;
}

}  // namespace stub
