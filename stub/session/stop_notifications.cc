#include "stub/session/stop_notifications.h"

#include <utility>

namespace stub {

void StopNotifications::start_over() {
  *this = {};
  phase_ = Phase::before_query;
}

void StopNotifications::start_query(std::deque<StopReport> stops) {
  stops_ = std::move(stops);
  first_is_told_ = false;
  phase_ = Phase::after_query;
}

bool StopNotifications::acknowledge() {
  if (!std::exchange(first_is_told_, false)) return false;
  stops_.pop_front();
  return phase_ == Phase::open;
}

bool StopNotifications::on_request(bool resumes) {
  if (phase_ == Phase::open || first_is_told_) return false;
  if (phase_ == Phase::before_query && !resumes) return false;
  phase_ = Phase::open;
  return true;
}

void StopNotifications::drop_front(const std::function<bool(const StopReport&)>& obsolete) {
  while (!stops_.empty() && obsolete(stops_.front())) stops_.pop_front();
}

const StopReport& StopNotifications::tell_first() {
  first_is_told_ = true;
  return stops_.front();
}

}  // namespace stub
