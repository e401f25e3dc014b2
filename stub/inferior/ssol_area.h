// The single-step-out-of-line areas of one address space: which slot holds what.
//
// A slot belongs to a site and serves all threads at once, because it holds no per-thread state. An
// area is a mapping of the inferior, read-execute, that nobody but the stub may change; what is in
// it is the inferior's all the same and is checked before each use (see step_over.cc). This class
// is the stub's own record and touches no memory.
//
// A removed site keeps its slot: clients take a breakpoint out and put it back all the time, and
// the same instruction at the same address needs the same code. Only when slots run out are those
// of removed sites retired. Boosted threads leave a slot silently, so a retired slot may still be
// executing: it carries the epoch of its retirement, and is free when every thread has been seen
// stopped since (all stops are made canonical, hence outside). The same goes for an area the
// program has taken away: a thread may be about to execute at an address of it, so no new area may
// lie there before every thread has been seen elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "arch/step_plan.h"
#include "stub/base/types.h"
#include "stub/inferior/journal.h"
#include "stub/inferior/slot.h"

namespace stub {

class SsolAreas {
 public:
  struct Range {
    Address start;
    std::uint64_t size = 0;
  };

  // `space`: what areas and slots are journalled under.
  explicit SsolAreas(SpaceId space = {}) : space_(space) {}

  bool contains(Address pc) const;
  // The slot that holds `pc`, also one of an area that has been dropped; nothing for a PC in no
  // area or in a slot never used.
  const Slot* at(Address pc) const;

  // The slot made for this site, instruction and ending, if there is one.
  Slot* find(Address site, const x86::Instruction& instruction, x86::Ending ending);
  // The next free slot within reach of `site` (+-2 GiB with a margin; anywhere when `near` is
  // false). nullopt: a new area is needed there.
  std::optional<Address> free_slot(Address site, bool near);
  // Gives a slot that free_slot() has just returned its content. Null: the journal has no room for
  // it; the slot stays free.
  Slot* occupy(const Slot& content);
  // `entry` is what was journalled of it before it was mapped.
  void add(Range area, AreaEntry entry = AreaEntry());
  // A slot that a predecessor has filled, for threads that are still in it.
  void inherit(const Slot& slot);
  // The program has taken the area away (munmap, mprotect): its slots are not entered any more, and
  // are retired, since threads may stop in them yet.
  void drop(Address any_address_inside);
  // Where no new area may be, until reclaim() finds every thread outside.
  std::vector<Range> dropped() const;
  void clear();

  // The site's slots will not be entered any more.
  void retire(Address site);
  void retire_unless(const std::function<bool(Address)>& in_use);
  std::uint64_t epoch() const { return epoch_; }
  // Frees what was retired before `oldest`, the lowest epoch at which any thread was last stopped.
  void reclaim(std::uint64_t oldest);

  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  struct Key {
    Address site;
    x86::Ending ending;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<Address>{}(key.site) * 2 + static_cast<std::size_t>(key.ending);
    }
  };
  struct Retired {
    Address slot;
    std::uint64_t epoch;
  };
  struct Dropped {
    Range range;
    std::uint64_t epoch;
  };

  struct JournalledSlot : Slot {
    SlotEntry entry;
  };

  SpaceId space_;
  std::vector<Range> ranges_;
  std::vector<AreaEntry> entries_;          // per range
  std::vector<std::vector<Address>> free_;  // per range, used from the back
  std::unordered_map<Address, std::unique_ptr<JournalledSlot>> slots_;
  std::unordered_map<Key, Slot*, KeyHash> live_;
  std::vector<Retired> retired_;
  std::vector<Dropped> dropped_;
  std::uint64_t epoch_ = 1;
};

}  // namespace stub
