#include "stub/engine/report_queue.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace stub {

void ReportQueue::add(StopReport report) {
  if (Thread* stopped = thread_of(report)) stopped->stop_pending = true;
  reports_.push_back(std::move(report));
}

Thread* ReportQueue::thread_of(const StopReport& report) const {
  return is_thread_stop(report.stop.kind) ? processes_.thread(report.tid) : nullptr;
}

std::deque<StopReport>::const_iterator ReportQueue::next(bool steps_first) const {
  auto chosen = reports_.end();
  for (auto it = reports_.begin(); it != reports_.end(); ++it) {
    const Thread* stopped = thread_of(*it);
    const Want want = stopped == nullptr ? Want::run : stopped->want;
    if (is_step(want) && steps_first) return it;
    if (want != Want::hold && chosen == reports_.end()) chosen = it;
  }
  return chosen;
}

bool ReportQueue::has_next(bool steps_first) const { return next(steps_first) != reports_.end(); }

std::optional<StopReport> ReportQueue::take_next(bool steps_first) {
  const auto chosen = next(steps_first);
  if (chosen == reports_.end()) return std::nullopt;
  StopReport report = *chosen;
  reports_.erase(chosen);
  update(report);
  return report;
}

std::vector<StopReport> ReportQueue::take_if(
    const std::function<bool(const StopReport&)>& matches) {
  const auto first_taken = std::ranges::stable_partition(reports_, std::not_fn(matches)).begin();
  std::vector<StopReport> taken(first_taken, reports_.end());
  reports_.erase(first_taken, reports_.end());
  for (const StopReport& report : taken) update(report);
  return taken;
}

// A thread may have two stops: it was told to stop while it slept in vfork, and has woken up before
// that was told.
void ReportQueue::update(const StopReport& taken) {
  if (Thread* stopped = thread_of(taken)) stopped->stop_pending = has_stop_of(taken.tid);
}

bool ReportQueue::has_stop_of(Tid tid) const {
  return std::ranges::any_of(reports_, [&](const StopReport& report) {
    return report.tid == tid && is_thread_stop(report.stop.kind);
  });
}

bool ReportQueue::has_kind(StopKind kind) const {
  return std::ranges::any_of(reports_,
                             [&](const StopReport& report) { return report.stop.kind == kind; });
}

}  // namespace stub
