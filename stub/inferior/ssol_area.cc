#include "stub/inferior/ssol_area.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace stub {
namespace {

// A RIP-relative operand of the site may itself lie nearly 2 GiB away; half the reach on each side
// keeps most of them in range from the slot. relocate() has the last word for each operand.
constexpr std::int64_t reach = (std::int64_t{1} << 31) - (std::int64_t{1} << 24);

bool same_code(const x86::Instruction& a, const x86::Instruction& b) {
  return a.length == b.length && std::memcmp(a.bytes.data(), b.bytes.data(), a.length) == 0;
}

bool inside(const SsolAreas::Range& range, Address pc) {
  return pc >= range.start && pc < range.start + range.size;
}

}  // namespace

// Areas and slots are aligned to the slot's size, so a PC names its slot whether or not the area is
// still there.
const Slot* SsolAreas::at(Address pc) const {
  const auto found = slots_.find(Address(pc.value() / x86::slot_size * x86::slot_size));
  return found == slots_.end() ? nullptr : found->second.get();
}

bool SsolAreas::contains(Address pc) const {
  return at(pc) != nullptr || std::any_of(ranges_.begin(), ranges_.end(),
                                          [&](const Range& range) { return inside(range, pc); });
}

Slot* SsolAreas::find(Address site, const x86::Instruction& instruction, x86::Ending ending) {
  const auto found = live_.find({site, ending});
  if (found == live_.end()) return nullptr;
  if (same_code(found->second->instruction, instruction)) return found->second;
  retire(site);
  return nullptr;
}

std::optional<Address> SsolAreas::free_slot(Address site, bool near) {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (free_[i].empty()) continue;
    const std::int64_t distance = ranges_[i].start - site;
    if (near && (distance > reach || distance < -reach)) continue;
    return free_[i].back();
  }
  return std::nullopt;
}

Slot* SsolAreas::occupy(const Slot& content) {
  SlotEntry entry({.slot = content, .space = space_});
  if (entry.is_lost()) return nullptr;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (!inside(ranges_[i], content.address)) continue;
    assert(!free_[i].empty() && free_[i].back() == content.address);
    free_[i].pop_back();
  }
  auto& place = slots_[content.address];
  place = std::make_unique<JournalledSlot>(JournalledSlot{content, std::move(entry)});
  live_[{content.site, content.ending}] = place.get();
  return place.get();
}

void SsolAreas::add(Range area, AreaEntry entry) {
  assert(std::none_of(dropped_.begin(), dropped_.end(),
                      [&](const Dropped& gone) { return inside(gone.range, area.start); }));
  std::vector<Address> free;
  free.reserve(area.size / x86::slot_size);
  for (std::uint64_t offset = area.size; offset >= x86::slot_size; offset -= x86::slot_size)
    free.push_back(area.start + (offset - x86::slot_size));
  ranges_.push_back(area);
  entries_.push_back(std::move(entry));
  free_.push_back(std::move(free));
}

void SsolAreas::inherit(const Slot& slot) {
  slots_[slot.address] = std::make_unique<JournalledSlot>(JournalledSlot{slot, SlotEntry()});
}

void SsolAreas::drop(Address any_address_inside) {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (!inside(ranges_[i], any_address_inside)) continue;
    const Range gone = ranges_[i];
    ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(i));
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
    free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
    std::erase_if(live_, [&](const auto& entry) { return inside(gone, entry.second->address); });
    std::erase_if(retired_, [&](const Retired& slot) { return inside(gone, slot.slot); });
    for (const auto& [address, slot] : slots_)
      if (inside(gone, address)) retired_.push_back({address, epoch_});
    dropped_.push_back({gone, epoch_});
    ++epoch_;
    return;
  }
}

std::vector<SsolAreas::Range> SsolAreas::dropped() const {
  std::vector<Range> ranges;
  for (const auto& each : dropped_) ranges.push_back(each.range);
  return ranges;
}

void SsolAreas::clear() { *this = SsolAreas(space_); }

void SsolAreas::retire(Address site) {
  for (const auto ending : {x86::Ending::jump_back, x86::Ending::trap}) {
    const auto found = live_.find({site, ending});
    if (found == live_.end()) continue;
    retired_.push_back({found->second->address, epoch_});
    live_.erase(found);
  }
  ++epoch_;
}

void SsolAreas::retire_unless(const std::function<bool(Address)>& in_use) {
  std::vector<Address> idle;
  for (const auto& [key, slot] : live_)
    if (!in_use(key.site)) idle.push_back(key.site);
  for (const Address site : idle) retire(site);
}

void SsolAreas::reclaim(std::uint64_t oldest) {
  std::erase_if(retired_, [&](const Retired& slot) {
    if (slot.epoch >= oldest) return false;
    slots_.erase(slot.slot);
    for (std::size_t i = 0; i < ranges_.size(); ++i)
      if (inside(ranges_[i], slot.slot)) free_[i].push_back(slot.slot);
    return true;
  });
  std::erase_if(dropped_, [&](const Dropped& gone) { return gone.epoch < oldest; });
}

}  // namespace stub
