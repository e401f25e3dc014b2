// A traced process and the memory it runs in.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "stub/base/types.h"
#include "stub/inferior/breakpoint_table.h"
#include "stub/inferior/hardware_points.h"
#include "stub/inferior/journal.h"
#include "stub/inferior/site_filter.h"
#include "stub/inferior/ssol_area.h"
#include "stub/inferior/thread.h"

namespace stub {

// The one path that disturbs others: the byte is lifted while a single thread steps with the trap
// flag. `queue` are threads waiting for their turn; the first one is served.
struct InPlaceStep {
  std::deque<Tid> queue;
  Address lifted_site;
  bool lifted = false;  // the others are at rest, the byte is out, queue.front() is stepping
  std::uint64_t since_ns = 0;
};

struct Inferior;

// Memory with what we put into it. Shared by a process and its vfork children, copied on fork,
// replaced on exec.
struct AddressSpace {
  AddressSpace(Tracee& tracee, x86::Mode its_mode)
      : mode(its_mode), sites(tracee, its_mode, id), areas(id) {}

  SpaceId id = next_space_id();
  x86::Mode mode;
  std::vector<Inferior*> users;  // the processes that run in it
  BreakpointTable sites;
  // Of sites, inserted or not (Site::filter points here); most_filters at most.
  std::map<Address, SiteFilter> filters;
  SiteFilter* filter_at(Address at) {  // null: none
    const auto found = filters.find(at);
    return found == filters.end() ? nullptr : &found->second;
  }
  SsolAreas areas;
  // After a fork: the parent's slots, to make the PC of the child canonical at its first stop.
  std::shared_ptr<AddressSpace> parent_areas;
  std::optional<Address> syscall_instruction;  // for remote system calls; found when first needed
  unsigned lost_areas = 0;                     // taken away by the program
  bool area_refused = false;                   // the inferior cannot be made to map an area
  std::map<Address, std::uint64_t> client_memory;  // mapped for the client: start, size
  InPlaceStep in_place;
  HardwarePoints hardware;
};

struct Inferior {
  enum class Origin : std::uint8_t { launched, attached };

  Pid pid{};
  Origin origin = Origin::attached;
  Lifetime lifetime = Lifetime::independent;
  // A vfork child the client does not follow: it runs on its parent's memory, so it stays traced
  // until exec or until its parent is let go. Its hits are stepped over and nothing is reported.
  bool hidden = false;
  bool release_at_stop =
      false;  // a fork child the client does not follow: let go at its first stop
  // Hidden too: the client has detached from it, and the commands of its sites are carried out
  // without a client (engine_unattended.cc).
  bool unattended = false;
  std::shared_ptr<AddressSpace> space;
  std::map<Tid, std::unique_ptr<Thread>> threads;
  std::optional<std::set<std::uint64_t>> caught_syscalls;  // empty set: all
  std::optional<Pid> vfork_parent;  // on whose memory it runs, until its exec
  ProcessEntry entry{};             // if it is to outlive the daemon
  bool trap_ignored = false;        // SIGTRAP, before we came (trap_action.h)
  bool exiting = false;  // kill() or detach() is under way: nothing of it is reported any more

  // Whoever cleans up after the daemon is to know it, too.
  void set_trap_ignored(bool ignored) {
    trap_ignored = ignored;
    if (ProcessRow* row = entry.row()) row->trap_ignored = ignored;
  }
};

}  // namespace stub
