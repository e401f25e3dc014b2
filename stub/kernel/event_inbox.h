// What the kernel has said of threads and what nobody has dealt with yet.
//
// A thread's status can be waited for in the middle of something else: while a thread executes a
// system call for the stub, it may die. Such a status is put back here. The engine takes it when
// no caller up the stack walks through threads that it could remove.
//
// The first status of a new thread may come before the event of its parent, which alone tells whose
// thread it is. It is kept here until then.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "stub/kernel/tracee.h"

namespace stub {

class EventInbox {
 public:
  explicit EventInbox(Tracee& tracee) : tracee_(tracee) {}

  // The next status from the kernel. Nothing: there is none for now.
  std::optional<WaitResult> wait();
  // The last wait() found something, so the next one may too.
  bool may_have_more() const { return may_have_more_; }

  void put_back(const WaitResult& result) { put_back_.push_back(result); }
  bool has_put_back() const { return !put_back_.empty(); }
  // A status of this thread was put back and has not been taken.
  bool has_put_back(Tid tid) const;
  // The oldest of those put back.
  std::optional<WaitResult> take_put_back();

  void keep_early(const WaitResult& result) { early_[result.tid] = result.status; }
  std::optional<WaitResult> take_early(Tid tid);
  std::vector<Tid> early_threads() const;

 private:
  Tracee& tracee_;
  bool may_have_more_ = false;
  std::deque<WaitResult> put_back_;
  std::map<Tid, int> early_;
};

}  // namespace stub
