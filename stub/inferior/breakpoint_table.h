// The breakpoint sites of one address space: where our int3 bytes are, what they cover, and how the
// covered instruction is executed.
//
// A byte of another program's text is a shared object: the client inserts and removes by Z0/z0, the
// stub may need a site of its own at the same address, a fork copies all of them. So a site is held
// by at most one client reference (Z is idempotent, GDB manual "Z0") and any number of internal
// ones, and it owns the shadow byte that every read and write of memory is passed through.
// Nothing is done to memory, and no byte is masked, before a look whether our int3 is still there
// (site_memory.h): a program that has rewritten or mapped its text anew meanwhile keeps what it
// has. A site whose page was replaced is `gone` until it is inserted again. The record stays, since
// the client has not removed it.
//
// A fork copies the memory at a moment that nobody sees, and is told of later. Sites that are taken
// out in between are in the child's memory and in no table any more, so those that were taken out
// lately are remembered: each removal has a number, and a thread that forks can have copied the
// byte of any with a number above the last one at the time it was let go.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "arch/step_plan.h"
#include "stub/base/types.h"
#include "stub/inferior/journal.h"
#include "stub/inferior/site_memory.h"
#include "stub/inferior/site_program.h"
#include "stub/kernel/tracee.h"

namespace stub {

inline constexpr std::size_t most_numbered = 262'144;  // addresses whose numbers are remembered

struct SiteStatistics {
  std::uint64_t hits = 0;                  // the breakpoint instruction was executed
  std::uint64_t false_hits = 0;            // conditions said no
  std::uint64_t in_place = 0;              // steps that had to stop the other threads
  std::string_view in_place_because = {};  // the last one's reason; static text
  std::uint64_t total_ns = 0, max_ns = 0;  // from the stop until the thread ran on, false hits
  std::uint64_t others_held = 0;           // threads held because of this site
  std::uint64_t others_held_ns = 0;
};

class SiteFilter;

struct Site {
  Address address;
  std::uint8_t shadow = 0;  // the program's byte under our int3
  bool client = false;      // inserted by the client
  unsigned internal = 0;    // references of the stub itself
  bool gone = false;        // the program has other memory there: no int3 of ours is in it
  bool lifted = false;      // the int3 is out for an in-place step
  // The instruction that `plan` was made for: the program's bytes, `length` of them.
  std::array<std::uint8_t, x86::max_instruction_length> original{};
  std::uint8_t length = 0;
  x86::StepPlan plan;
  SiteProgram program;           // of the client's reference
  SiteFilter* filter = nullptr;  // the user's, in AddressSpace::filters
  unsigned number = 0;           // by which users name it; the same whenever it is inserted
  SiteStatistics statistics;
};

class BreakpointTable {
 public:
  // `space`: what its sites are journalled under.
  BreakpointTable(Tracee& tracee, x86::Mode mode, SpaceId space = {})
      : tracee_(tracee), mode_(mode), space_(space) {}

  // The site at an address, or nothing. Constant time whatever the number of sites.
  Site* find(Address at);
  // The same for a thread of `pid` that has executed an int3 there; nothing when the int3 cannot
  // have been ours. What would stop the program is looked at; a hit that has conditions to be
  // evaluated goes by the record, and by its text when it is stepped over (step_over.h).
  Site* find_hit(Pid pid, Address at);
  bool empty() const { return sites_.empty(); }
  std::size_t size() const { return sites_.size(); }
  void for_each(const std::function<void(Site&)>& visit);

  // Adds a reference; the first one decodes the instruction and writes int3, and so does another
  // one where the int3 is not in memory any more. Errors: bad_address, refused (more sites than the
  // journal can hold, or more than most_program_memory).
  Result<Site*> insert_client(Pid pid, Address at, SiteProgram program);
  Result<Site*> insert_internal(Pid pid, Address at);
  // The address of the site that has, or had, this number.
  std::optional<Address> address_of(unsigned number) const;
  // How often an int3 has been put in so far.
  std::uint64_t insertions() const { return insertions_; }

  // Drops a reference; the last one restores the byte. Errors: refused when there is none to drop;
  // bad_address when the program has unmapped the memory, and then the reference is dropped, too.
  Result<void> remove_client(Pid pid, Address at);
  void remove_internal(Pid pid, Address at);
  // Of the copy for a fork child, whose memory is `pid`'s: all internal references, which nobody
  // there holds, and the sites that the journal has no room for.
  void drop_internal(Pid pid);

  // Looks whether the pages from there on are those that our int3 were written to. Sites in others
  // are `gone` after this.
  void verify(Pid pid, Address from, std::size_t size);
  // Plans again from what memory holds now: the program has rewritten its text.
  void replan(Pid pid, Site& site);
  // The byte under the int3 for the moment of an in-place step, and back.
  void lift(Pid pid, Site& site);
  void put_back(Pid pid, Site& site);

  // Memory as the program wrote it: masks our bytes in `bytes`, which were read from `from`. For
  // what leaves the stub, verify() comes first.
  void mask(Address from, std::span<std::byte> bytes) const;
  // Before writing `bytes` to `to`: the part over a site goes to its shadow byte, and the image to
  // write keeps our int3. Sites whose instruction is touched are planned again by after_write().
  void patch_write(Pid pid, Address to, std::span<std::byte> bytes);
  void after_write(Pid pid, Address to, std::size_t size);

  // Writes the program's own bytes into the memory of `pid` (a fork child, or before detaching).
  void restore_all(Pid pid) const;
  // How many sites have been taken out so far.
  std::uint64_t removals() const { return removals_; }
  // The same as restore_all() for sites that were taken out since there had been `since` removals:
  // the memory of `pid` is a copy made by a thread that has run since then.
  void restore_removed(Pid pid, std::uint64_t since) const;
  // Writes int3 where a copy of the memory lacks it and holds the program's byte: it was made
  // before the site was put in, or while the byte was out for an in-place step.
  void put_in_missing(Pid pid) const;
  // Forgets all sites without touching memory (exec).
  void clear();
  // Takes over the sites of a fork child's parent: its memory holds a copy of our bytes.
  void copy_from(const BreakpointTable& parent);
  // A site whose int3 was put into memory by a predecessor. Only to be restored: it has no plan.
  void inherit(const SiteRow& row);

 private:
  struct JournalledSite : Site {
    SiteEntry entry;
  };

  struct Page {
    std::vector<JournalledSite*> sites;  // ascending
    bool own = false;  // a copy of the process's own since our int3 was written to it
  };

  JournalledSite* known(Address at);
  Result<Site*> insert(Pid pid, Address at);
  Result<void> put_in(Pid pid, JournalledSite& site);
  bool is_in_memory(Pid pid, const Site& site) const;
  void put_in_again(Pid pid, const Site& site) const;
  void set_program(Site& site, SiteProgram program);
  Int3 drop_if_unused(Pid pid, Site& site);
  Int3 take_out(Pid pid, const Site& site);
  void remember(const Site& site);
  SiteEntry journalled(const Site& site) const;
  void plan(Pid pid, Site& site);
  bool is_on_own_page(Address at) const;
  static void forget_int3s(Page& page);

  Tracee& tracee_;
  x86::Mode mode_;
  unsigned number_of(Address at);
  void forget_absent_numbers();
  Page& add_to_page(JournalledSite& site);
  void remove_from_page(Address at);

  SpaceId space_;
  std::size_t program_memory_ = 0;                           // bytes, of all sites
  std::map<Address, JournalledSite> sites_;                  // in order, for listing and writing
  std::unordered_map<Address, JournalledSite*> by_address_;  // for hits
  // For masking what was read, which conditions do at each hit: by page number.
  std::unordered_map<std::uint64_t, Page> pages_;
  std::vector<Address> numbered_;  // by number - 1, of the client sites there have been
  std::unordered_map<Address, unsigned> numbers_;
  std::size_t forget_at_ = most_numbered;

  struct Removed {
    std::uint8_t shadow = 0;
    bool own_page = false;
    std::uint64_t number = 0;  // of the removal
  };
  std::unordered_map<Address, Removed> removed_;  // where there is no site now
  std::uint64_t removals_ = 0;
  std::uint64_t insertions_ = 0;
};

}  // namespace stub
