// Non-stop: the stops that the client has not acknowledged, and when the next one may be told.
//
// A stop is told by a notification, `%Stop`, and acknowledged with vStopped, whose reply is the
// next stop, or OK when there is none (GDB manual, "Notification Packets"). A query (`?`) starts
// the same exchange: its reply takes the place of the notification.
//
// gdb 13 to 18 ends with an internal error ("async_event_handler") if it has received a second stop
// when it takes the one that the query told (remote.c, process_initial_stop_replies). Threads that
// get signals all the time (Go preempts with SIGURG, Java faults on purpose) always have a second
// one. So from QNonStop to the query nothing is notified, and the query tells one stop. The others
// are notified after the next request; QPassSignals does not count, which gdb sends between the
// query and the moment in question.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "stub/inferior/stop.h"

namespace stub {

class StopNotifications {
 public:
  // QNonStop.
  void start_over();
  // `?`: these stops have to be told (again). With none to tell, the query is over.
  void start_query(std::deque<StopReport> stops);
  void end_query() { phase_ = Phase::open; }
  // vStopped. True: the next stop is due as its reply; false: OK is.
  bool acknowledge();
  // Any request but these and QPassSignals. `resumes`: it makes threads run or brings new ones; a
  // client that sends such a request without a query is not about to connect. True: notifications
  // were held back and may be sent now.
  bool on_request(bool resumes);

  // Whether a notification may be sent now.
  bool may_notify() const { return phase_ == Phase::open && !first_is_told_; }
  // The client has been told of a stop and has to acknowledge it.
  bool is_outstanding() const { return first_is_told_; }
  // All that have not been acknowledged. The first one may have been told, the others have not.
  const std::deque<StopReport>& all() const { return stops_; }

  // Drops the first ones as long as they are `obsolete`. None of them may have been told.
  void drop_front(const std::function<bool(const StopReport&)>& obsolete);
  void add(StopReport stop) { stops_.push_back(std::move(stop)); }
  // The first one, which is told now. There has to be one.
  const StopReport& tell_first();

 private:
  enum class Phase : std::uint8_t {
    open,
    before_query,  // after QNonStop
    after_query,
  };
  Phase phase_ = Phase::open;
  bool first_is_told_ = false;
  std::deque<StopReport> stops_;
};

}  // namespace stub
