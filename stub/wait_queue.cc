#include "stub/wait_queue.h"

#include <algorithm>

namespace stub {

std::optional<WaitResult> WaitQueue::next() {
  if (fetched_.empty())
    if (auto result = again()) return result;
  if (fetched_.empty()) fetch_all();
  if (fetched_.empty()) return std::nullopt;
  const WaitResult result = fetched_.front();
  fetched_.pop_front();
  last_ = result.tid;
  return result;
}

std::optional<WaitResult> WaitQueue::again() {
  if (!alone_ || !last_ || streak_ >= longest_streak) return std::nullopt;
  auto result = source_.poll(*last_);
  if (result) ++streak_;
  return result;
}

// Nothing is resumed meanwhile, so this comes to an end: a thread has a stop and its death to tell.
void WaitQueue::fetch_all() {
  while (auto result = source_.poll(std::nullopt)) fetched_.push_back(*result);
  streak_ = 0;
  if (!fetched_.empty()) alone_ = fetched_.size() == 1;
}

std::optional<WaitResult> WaitQueue::take(Tid tid) {
  const auto found =
      std::ranges::find_if(fetched_, [&](const WaitResult& result) { return result.tid == tid; });
  if (found == fetched_.end()) return std::nullopt;
  const WaitResult result = *found;
  fetched_.erase(found);
  return result;
}

}  // namespace stub
