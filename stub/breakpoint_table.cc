#include "stub/breakpoint_table.h"

#include <algorithm>
#include <cstring>

namespace stub {
namespace {

constexpr std::byte int3_byte{int3_opcode};
constexpr unsigned page_bits = 12;
// So many removals are remembered: with each of them at least two system calls were made, and a
// fork is not in flight as long as that.
constexpr std::size_t most_removed = 65536;

std::uint64_t page_of(Address at) { return at.value() >> page_bits; }

}  // namespace

Site* BreakpointTable::find(Address at) {
  const auto found = by_address_.find(at);
  return found == by_address_.end() ? nullptr : found->second;
}

void BreakpointTable::for_each(const std::function<void(Site&)>& visit) {
  for (auto& [address, site] : sites_) visit(site);
}

Result<Site*> BreakpointTable::insert_client(Pid pid, Address at, SiteProgram program) {
  const Site* there = find(at);
  const std::size_t replaced = there == nullptr ? 0 : there->program.memory_size();
  if (program_memory_ - replaced + program.memory_size() > most_program_memory)
    return fail(Errc::refused, "Too many conditions and commands", ENOMEM);
  auto site = insert(pid, at);
  if (!site) return site;
  (*site)->client = true;
  (*site)->number = number_of(at);
  set_program(**site, std::move(program));
  return site;
}

void BreakpointTable::set_program(Site& site, SiteProgram program) {
  program_memory_ += program.memory_size() - site.program.memory_size();
  site.program = std::move(program);
}

// Numbers stay with their addresses, since clients take breakpoints out and put them back. When a
// client has gone through very many addresses, those without a site are forgotten and the others
// are numbered anew.
unsigned BreakpointTable::number_of(Address at) {
  if (numbered_.size() >= forget_at_) forget_absent_numbers();
  const auto [place, added] = numbers_.try_emplace(at, 0u);
  if (added) {
    numbered_.push_back(at);
    place->second = static_cast<unsigned>(numbered_.size());
  }
  return place->second;
}

void BreakpointTable::forget_absent_numbers() {
  std::erase_if(numbered_, [&](Address at) { return find(at) == nullptr; });
  numbers_.clear();
  for (const Address at : numbered_) {
    const auto number = static_cast<unsigned>(numbers_.size() + 1);
    numbers_[at] = number;
    find(at)->number = number;
  }
  forget_at_ = std::max(most_numbered, 2 * numbered_.size());
}

std::optional<Address> BreakpointTable::address_of(unsigned number) const {
  if (number == 0 || number > numbered_.size()) return std::nullopt;
  return numbered_[number - 1];
}

Result<Site*> BreakpointTable::insert_internal(Pid pid, Address at) {
  auto site = insert(pid, at);
  if (site) ++(*site)->internal;
  return site;
}

// The bytes are copied first and the copy is decoded; after the int3 is in, memory is compared with
// what was decoded, since the program may have rewritten it in between.
Result<Site*> BreakpointTable::insert(Pid pid, Address at) {
  if (Site* there = find(at)) return there;
  JournalledSite site;
  site.address = at;
  plan(pid, site);
  if (site.length == 0)
    return fail(Errc::bad_address, "Cannot access memory at the breakpoint's address", EFAULT);
  site.shadow = site.original[0];
  site.entry = journalled(site);
  if (site.entry.is_lost())
    return fail(Errc::refused, "Too many breakpoints", ENOSPC);
  if (tracee_.write_memory(pid, at, {&int3_byte, 1}) != 1)
    return fail(Errc::bad_address, "Cannot write a breakpoint there", EFAULT);
  removed_.erase(at);
  auto [place, added] = sites_.emplace(at, std::move(site));
  by_address_.emplace(at, &place->second);
  add_to_page(place->second);
  std::array<std::uint8_t, x86::max_instruction_length> now{};
  const std::span tail(now.data(), place->second.length);
  if (tracee_.read_memory(pid, at, std::as_writable_bytes(tail)) == tail.size() &&
      std::memcmp(now.data() + 1, place->second.original.data() + 1, tail.size() - 1) != 0)
    replan(pid, place->second);
  return &place->second;
}

SiteEntry BreakpointTable::journalled(const Site& site) const {
  return SiteEntry({.address = site.address, .space = space_, .shadow = site.shadow});
}

// A truncated or undecodable instruction still makes a site: the classifier's answer for it is the
// in-place lane.
void BreakpointTable::plan(Pid pid, Site& site) {
  std::array<std::uint8_t, x86::max_instruction_length> bytes{};
  const std::size_t got =
      tracee_.read_memory(pid, site.address, std::as_writable_bytes(std::span(bytes)));
  mask(site.address, std::as_writable_bytes(std::span(bytes).first(got)));
  site.original = bytes;
  const auto instruction = x86::decode(std::span(bytes).first(got), mode_);
  site.length = instruction ? instruction->length : static_cast<std::uint8_t>(got ? 1 : 0);
  site.plan = x86::classify(std::span(bytes).first(got), mode_);
}

void BreakpointTable::replan(Pid pid, Site& site) { plan(pid, site); }

Result<void> BreakpointTable::remove_client(Pid pid, Address at) {
  Site* site = find(at);
  if (site == nullptr || !site->client)
    return fail(Errc::refused, "No breakpoint is inserted there");
  site->client = false;
  set_program(*site, {});
  drop_if_unused(pid, *site);
  return {};
}

void BreakpointTable::remove_internal(Pid pid, Address at) {
  Site* site = find(at);
  if (site == nullptr || site->internal == 0) return;
  --site->internal;
  drop_if_unused(pid, *site);
}

void BreakpointTable::drop_internal(Pid pid) {
  for (auto it = sites_.begin(); it != sites_.end();) {
    JournalledSite& site = (it++)->second;
    site.internal = 0;
    if (!site.client || site.entry.is_lost()) take_out(pid, site);
  }
}

void BreakpointTable::drop_if_unused(Pid pid, Site& site) {
  if (site.client || site.internal != 0) return;
  remember(site);
  take_out(pid, site);
}

// When there are too many, the older half is forgotten.
void BreakpointTable::remember(const Site& site) {
  removed_[site.address] = {.shadow = site.shadow, .number = ++removals_};
  if (removed_.size() <= most_removed) return;
  const std::uint64_t oldest = removals_ - most_removed / 2;
  std::erase_if(removed_, [&](const auto& entry) { return entry.second.number <= oldest; });
}

void BreakpointTable::take_out(Pid pid, const Site& site) {
  restore(pid, site.address, site.shadow);
  const Address at = site.address;
  program_memory_ -= site.program.memory_size();
  by_address_.erase(at);
  remove_from_page(at);
  sites_.erase(at);
}

void BreakpointTable::restore(Pid pid, Address at, std::uint8_t shadow) const {
  std::byte now{};
  if (tracee_.read_memory(pid, at, {&now, 1}) != 1 || now != int3_byte) return;
  const auto original = static_cast<std::byte>(shadow);
  tracee_.write_memory(pid, at, {&original, 1});
}

void BreakpointTable::lift(Pid pid, const Site& site) const {
  const auto shadow = static_cast<std::byte>(site.shadow);
  tracee_.write_memory(pid, site.address, {&shadow, 1});
}

void BreakpointTable::put_back(Pid pid, const Site& site) const {
  tracee_.write_memory(pid, site.address, {&int3_byte, 1});
}

void BreakpointTable::mask(Address from, std::span<std::byte> bytes) const {
  if (bytes.empty() || sites_.empty()) return;
  const std::uint64_t last = page_of(from + (bytes.size() - 1));
  for (std::uint64_t number = page_of(from); number <= last; ++number) {
    const auto page = pages_.find(number);
    if (page == pages_.end()) continue;
    auto it = std::ranges::lower_bound(page->second, from, {}, &Site::address);
    for (; it != page->second.end(); ++it) {
      const auto offset = static_cast<std::uint64_t>((*it)->address - from);
      if (offset >= bytes.size()) break;
      // Only our own byte is masked: where the program has written over it, its byte is the truth.
      if (bytes[offset] == int3_byte) bytes[offset] = static_cast<std::byte>((*it)->shadow);
    }
  }
}

void BreakpointTable::add_to_page(const Site& site) {
  Page& page = pages_[page_of(site.address)];
  page.insert(std::ranges::lower_bound(page, site.address, {}, &Site::address), &site);
}

void BreakpointTable::remove_from_page(Address at) {
  const auto page = pages_.find(page_of(at));
  std::erase_if(page->second, [&](const Site* site) { return site->address == at; });
  if (page->second.empty()) pages_.erase(page);
}

void BreakpointTable::patch_write(Address to, std::span<std::byte> bytes) {
  for (auto it = sites_.lower_bound(to); it != sites_.end(); ++it) {
    const auto offset = static_cast<std::uint64_t>(it->first - to);
    if (offset >= bytes.size()) break;
    it->second.shadow = static_cast<std::uint8_t>(bytes[offset]);
    if (SiteRow* row = it->second.entry.row()) row->shadow = it->second.shadow;
    bytes[offset] = int3_byte;
  }
}

void BreakpointTable::after_write(Pid pid, Address to, std::size_t size) {
  const Address first =
      to.value() < x86::max_instruction_length ? Address(0) : to - x86::max_instruction_length;
  for (auto it = sites_.lower_bound(first); it != sites_.end(); ++it) {
    if (it->first >= to + size) break;
    if (it->first + it->second.length > to) replan(pid, it->second);
  }
}

void BreakpointTable::restore_all(Pid pid) const {
  for (const auto& [address, site] : sites_) restore(pid, address, site.shadow);
}

void BreakpointTable::restore_removed(Pid pid, std::uint64_t since) const {
  for (const auto& [address, gone] : removed_)
    if (gone.number > since) restore(pid, address, gone.shadow);
}

void BreakpointTable::put_in_missing(Pid pid) const {
  for (const auto& [address, site] : sites_) {
    std::byte now{};
    const bool there = tracee_.read_memory(pid, address, {&now, 1}) == 1;
    if (there && now == static_cast<std::byte>(site.shadow)) put_back(pid, site);
  }
}

void BreakpointTable::clear() {
  by_address_.clear();
  pages_.clear();
  sites_.clear();
  program_memory_ = 0;
}

void BreakpointTable::copy_from(const BreakpointTable& parent) {
  clear();
  numbered_ = parent.numbered_;
  numbers_ = parent.numbers_;
  for (const auto& [address, original] : parent.sites_) {
    JournalledSite& site = sites_[address];
    static_cast<Site&>(site) = original;
    site.statistics = {};
    program_memory_ += site.program.memory_size();
    site.entry = journalled(site);
    by_address_.emplace(address, &site);
    add_to_page(site);
  }
}

void BreakpointTable::inherit(Address at, std::uint8_t shadow) {
  JournalledSite& site = sites_[at];
  site.address = at;
  site.shadow = shadow;
  site.internal = 1;
  by_address_.emplace(at, &site);
  add_to_page(site);
}

}  // namespace stub
