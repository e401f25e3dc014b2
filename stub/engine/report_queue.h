// Stops that the client has not been told yet, in order.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "stub/engine/process_table.h"
#include "stub/inferior/stop.h"

namespace stub {

// Thread::stop_pending says whether a stop of the thread is in here. The queue alone sets it.
class ReportQueue {
 public:
  explicit ReportQueue(const ProcessTable& processes) : processes_(processes) {}

  void add(StopReport report);

  // The report to tell next: the oldest one of a thread that the client has resumed, or of a
  // process. Those of held threads wait until their threads are resumed. `steps_first`: one of a
  // thread that is stepped comes before all others.
  bool has_next(bool steps_first) const;
  std::optional<StopReport> take_next(bool steps_first);
  // All that match, oldest first.
  std::vector<StopReport> take_if(const std::function<bool(const StopReport&)>& matches);

  bool has_stop_of(Tid tid) const;
  bool has_kind(StopKind kind) const;
  std::deque<StopReport>::const_iterator begin() const { return reports_.begin(); }
  std::deque<StopReport>::const_iterator end() const { return reports_.end(); }

  // The thread whose stop it is; null for an event of a process, and if the thread is gone.
  Thread* thread_of(const StopReport& report) const;

 private:
  std::deque<StopReport>::const_iterator next(bool steps_first) const;
  void update(const StopReport& taken);

  const ProcessTable& processes_;
  std::deque<StopReport> reports_;
};

}  // namespace stub
