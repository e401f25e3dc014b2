// Processes and their threads, and waiting for what they do.
#include <algorithm>
#include <ctime>
#include <set>

#include "stub/base/clock.h"
#include "stub/engine/engine.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

void sleep_us(long microseconds) {
  const timespec pause{0, microseconds * 1000};
  nanosleep(&pause, nullptr);
}

}  // namespace

std::optional<Pid> Engine::process_of(Tid tid) const {
  const Thread* known = find(tid);
  return known ? std::optional(known->process->pid) : std::nullopt;
}

// No event tells that the leader has become a zombie while others live on.
bool Engine::is_zombie_leader(const Thread& thread) const {
  if (!thread.running || thread.tid != leader_of(thread.process->pid) ||
      thread.process->threads.size() < 2)
    return false;
  const auto stat = proc_fs::stat(thread.tid);
  return stat && stat->state == 'Z';
}

std::vector<Tid> Engine::threads(Pid pid) const {
  std::set<Tid> untold;
  for (const StopReport& report : reports_)
    if (const auto child = child_of(report.stop)) untold.insert(*child);
  std::vector<Tid> tids;
  if (const Inferior* known = find(pid))
    for (const auto& [tid, member] : known->threads)
      if (!untold.contains(tid) && !is_zombie_leader(*member)) tids.push_back(tid);
  return tids;
}

std::shared_ptr<AddressSpace> Engine::new_space(x86::Mode mode) {
  return std::make_shared<AddressSpace>(tracee_, mode);
}

Thread& Engine::add_thread(Inferior& process, Tid tid) {
  let_go_.erase(tid);  // the id of a thread that has ended
  return processes_.add_thread(process, tid);
}

// Handles events until `done` or the time is up.
bool Engine::pump(const std::function<bool()>& done, int milliseconds) {
  const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(milliseconds) * 1'000'000u;
  long pause_us = 20;
  while (true) {
    on_child_event();
    if (done()) return true;
    if (now_ns() > end) return false;
    if (inbox_.may_have_more()) continue;
    check_zombie_leaders();
    sleep_us(pause_us);
    pause_us = std::min(pause_us * 2, 2000l);
  }
}

}  // namespace stub
