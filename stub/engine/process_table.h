// The processes that are traced and their threads, by id.
//
// A process is hidden when the client must not see it: a fork child that is let go at its first
// stop, a vfork child on the memory of its parent, a process left unattended.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "stub/inferior/inferior.h"

namespace stub {

class ProcessTable {
 public:
  using Processes = std::map<Pid, std::unique_ptr<Inferior>>;

  // Null: there is none. Pointers stay valid until the process or thread is erased.
  Inferior* process(Pid pid) const;
  Thread* thread(Tid tid) const;
  // The same without those that are hidden.
  const Inferior* shown_process(Pid pid) const;
  const Thread* shown_thread(Tid tid) const;
  std::vector<Pid> shown_processes() const;  // in order of arrival

  // All, hidden ones too. By pid, in order of arrival, and every thread.
  Processes::const_iterator begin() const { return processes_.begin(); }
  Processes::const_iterator end() const { return processes_.end(); }
  bool empty() const { return processes_.empty(); }
  const std::vector<Pid>& order() const { return order_; }
  const std::unordered_map<Tid, Thread*>& threads() const { return threads_; }

  // The pid must not be in the table.
  Inferior& add_process(Pid pid, std::shared_ptr<AddressSpace> space, Lifetime lifetime);
  // The thread that is there, or a new one: newborn, running, held.
  Thread& add_thread(Inferior& process, Tid tid);
  // The thread becomes one of another process.
  void move_thread(Thread& thread, Inferior& to);
  void erase(Thread& thread);
  void erase(Inferior& process);  // and its threads

 private:
  Processes processes_;
  std::vector<Pid> order_;
  std::unordered_map<Tid, Thread*> threads_;
};

// The process runs in that memory from now on, and in no other. The journal has it so, if the
// process is to outlive the daemon.
void join(Inferior& process, std::shared_ptr<AddressSpace> space);

}  // namespace stub
