// A thread stands at a site it has dealt with and is to go on.
#include <fmt/format.h>

#include "stub/base/clock.h"
#include "stub/base/log.h"
#include "stub/engine/engine.h"

namespace stub {

void Engine::step_over_site(Thread& thread, Site& site) {
  const bool stepping = is_step(thread.want);
  StepOutcome outcome = step_over_.prepare(thread, site, stepping);
  if (outcome == StepOutcome::site_changed) outcome = step_over_.prepare(thread, site, stepping);
  switch (outcome) {
    case StepOutcome::emulated:
      thread.passed_site.reset();
      if (stepping) return finish_emulated_step(thread);
      return resume_in_kernel(thread, how_wanted(thread));
    case StepOutcome::in_slot:
      thread.passed_site.reset();
      return resume_in_kernel(thread, how_to_run(thread));
    case StepOutcome::boosted:
      thread.passed_site.reset();
      return resume_in_kernel(thread, how_wanted(thread));
    case StepOutcome::single_step:
      thread.passed_site.reset();
      return resume_in_kernel(thread, ResumeHow::step);
    case StepOutcome::site_changed:  // with everybody stopped
      site.statistics.in_place_because = "the text changes faster than it can be looked at";
      [[fallthrough]];
    case StepOutcome::in_place:
      return begin_in_place(thread, site);
    case StepOutcome::site_gone:
      thread.passed_site.reset();
      return resume_in_kernel(thread, how_wanted(thread));
    case StepOutcome::gone:
      thread.running = thread.running || inbox_.has_put_back(thread.tid);
      return;
  }
}

// The step is over without the thread having run. A further step of a range may be at a site again,
// which it has not passed.
void Engine::finish_emulated_step(Thread& thread) {
  if (step_is_complete(thread.want, inside_range(thread, thread.general->pc())))
    return queue_stop(thread, {.kind = StopKind::step, .signal = SIGTRAP});
  resume_in_kernel(thread, how_wanted(thread));
}

// ---- the in-place lane -------------------------------------------------------------------------

void Engine::begin_in_place(Thread& thread, Site& site) {
  InPlaceStep& lane = thread.process->space->in_place;
  ++site.statistics.in_place;
  if (debug_log().enabled(LogTopic::threads))
    debug_log().write(LogTopic::threads, fmt::format("stepping over {:#x} in place, thread {}: {}",
                                                     site.address.value(), raw(thread.tid),
                                                     site.statistics.in_place_because));
  lane.queue.push_back(thread.tid);
  if (lane.queue.size() == 1) lane.since_ns = now_ns();
  advance_in_place(*thread.process->space);
}

// Called at every stop while somebody waits for the lane: once all other threads of the address
// space are at rest, the byte is lifted and the first in the queue takes one step.
void Engine::advance_in_place(AddressSpace& space) {
  InPlaceStep& lane = space.in_place;
  while (!lane.lifted && !lane.queue.empty()) {
    Thread* stepping = thread(lane.queue.front());
    Site* site = stepping != nullptr && stepping->passed_site
                     ? space.sites.find(*stepping->passed_site)
                     : nullptr;
    const bool due = site != nullptr && stepping->want != Want::hold && !stepping->stop_pending &&
                     !stepping->running && !stepping->process->exiting &&
                     (!gate_ || stepping->process->hidden);
    if (!due) {
      lane.queue.pop_front();
      continue;
    }
    if (!stop_others(space, *stepping)) return;
    site->statistics.others_held += count_threads(space) - 1;
    lane.lifted = true;
    lane.lifted_site = site->address;
    space.sites.lift(stepping->process->pid, *site);
    stepping->in_place_step = true;
    resume_in_kernel(*stepping, ResumeHow::step);
    return;
  }
  if (lane.queue.empty()) settle_all();
}

// True when they are at rest.
bool Engine::stop_others(AddressSpace& space, const Thread& stepping) {
  bool rest = true;
  for (Inferior* user : space.users)
    for (auto& [tid, other] : user->threads) {
      if (other.get() == &stepping || !other->running || other->in_vfork) continue;
      request_interrupt(*other);
      rest = false;
    }
  return rest;
}

std::size_t Engine::count_threads(const AddressSpace& space) const {
  std::size_t count = 0;
  for (const Inferior* user : space.users) count += user->threads.size();
  return count;
}

// The stepping thread has stopped, for whatever reason, or is gone. Who waits for the lane gets it
// when this stop has been dealt with.
void Engine::end_in_place(Thread& thread) {
  AddressSpace& space = *thread.process->space;
  InPlaceStep& lane = space.in_place;
  thread.in_place_step = false;
  lane.lifted = false;
  if (!lane.queue.empty() && lane.queue.front() == thread.tid) lane.queue.pop_front();
  Site* site = space.sites.find(lane.lifted_site);
  if (site != nullptr) {
    space.sites.put_back(thread.process->pid, *site);
    site->statistics.others_held_ns += now_ns() - lane.since_ns;
  }
  lane.since_ns = now_ns();
  if (thread.passed_hit) {
    thread.passed_hit->spent = lane.since_ns - thread.passed_hit->seen;
    count_passed_hit(thread);
  }
  if (!thread.general || !thread.passed_site || thread.general->pc() == *thread.passed_site) return;
  thread.passed_site.reset();
}

}  // namespace stub
