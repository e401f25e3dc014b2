#include "stub/kernel/wait_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace stub {

std::optional<WaitResult> WaitQueue::next() {
  if (fetched_.empty() && streak_ >= longest_streak) fetch_all();
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
  const bool resumed = std::exchange(resumed_, false);
  if (!alone_ || !last_) return std::nullopt;
  auto result = resumed && handover_.is_due() ? wait_awake() : source_.poll(*last_);
  if (result) ++streak_;
  return result;
}

std::optional<WaitResult> WaitQueue::wait_awake() {
  const std::uint64_t begin = source_.now_ns();
  std::optional<WaitResult> result;
  std::int64_t waited = 0;
  do {
    source_.yield();
    waited = static_cast<std::int64_t>(source_.now_ns() - begin);
    result = source_.poll(*last_);
  } while (!result && waited <= Handover::longest_ns);
  handover_.waited(waited);
  return result;
}

// In the order of their ids, which is that in which they are interrupted and mostly that in which
// they stop. Where none of those asked has stopped they are not asked again: one of them may have
// gone without a word, and the look at all finds the others.
void WaitQueue::fetch_expected() {
  int misses = 0;
  bool found = false;
  auto it = expected_.begin();
  while (it != expected_.end() && misses < most_misses) {
    const auto result = source_.poll(*it);
    if (result) fetched_.push_back(*result);
    misses += result ? 0 : 1;
    found = found || result;
    it = result ? expected_.erase(it) : std::next(it);
  }
  if (!found) expected_.erase(expected_.begin(), it);
}

// Nothing is resumed meanwhile, so this comes to an end: a thread has a stop and its death to tell.
void WaitQueue::fetch_all() {
  if (!expected_.empty()) fetch_expected();
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
