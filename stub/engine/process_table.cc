#include "stub/engine/process_table.h"

#include <utility>

namespace stub {

Inferior* ProcessTable::process(Pid pid) const {
  const auto found = processes_.find(pid);
  return found == processes_.end() ? nullptr : found->second.get();
}

Thread* ProcessTable::thread(Tid tid) const {
  const auto found = threads_.find(tid);
  return found == threads_.end() ? nullptr : found->second;
}

const Inferior* ProcessTable::shown_process(Pid pid) const {
  const Inferior* known = process(pid);
  return known == nullptr || known->hidden ? nullptr : known;
}

const Thread* ProcessTable::shown_thread(Tid tid) const {
  const Thread* known = thread(tid);
  return known == nullptr || known->process->hidden ? nullptr : known;
}

std::vector<Pid> ProcessTable::shown_processes() const {
  std::vector<Pid> shown;
  for (const Pid pid : order_)
    if (shown_process(pid) != nullptr) shown.push_back(pid);
  return shown;
}

Inferior& ProcessTable::add_process(Pid pid, std::shared_ptr<AddressSpace> space,
                                    Lifetime lifetime) {
  auto& place = processes_[pid];
  place = std::make_unique<Inferior>();
  place->pid = pid;
  place->lifetime = lifetime;
  order_.push_back(pid);
  join(*place, std::move(space));
  return *place;
}

Thread& ProcessTable::add_thread(Inferior& process, Tid tid) {
  auto& place = process.threads[tid];
  if (!place) {
    place = std::make_unique<Thread>();
    place->tid = tid;
    place->process = &process;
    place->newborn = true;
    place->seen_epoch = process.space->areas.epoch();
    threads_[tid] = place.get();
  }
  return *place;
}

void ProcessTable::move_thread(Thread& thread, Inferior& to) {
  to.threads.insert(thread.process->threads.extract(thread.tid));
  thread.process = &to;
}

void ProcessTable::erase(Thread& thread) {
  const Tid tid = thread.tid;
  threads_.erase(tid);
  thread.process->threads.erase(tid);
}

void ProcessTable::erase(Inferior& process) {
  const Pid pid = process.pid;
  std::erase(process.space->users, &process);
  for (const auto& [tid, member] : process.threads) threads_.erase(tid);
  std::erase(order_, pid);
  processes_.erase(pid);
}

void join(Inferior& process, std::shared_ptr<AddressSpace> space) {
  if (process.space) std::erase(process.space->users, &process);
  process.space = std::move(space);
  process.space->users.push_back(&process);
  if (process.lifetime == Lifetime::independent)
    process.entry = ProcessEntry({.pid = process.pid,
                                  .space = process.space->id,
                                  .mode = process.space->mode,
                                  .trap_ignored = process.trap_ignored});
}

}  // namespace stub
