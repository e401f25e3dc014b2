#include "stub/inferior/breakpoint_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace stub {
namespace {

constexpr std::byte int3_byte{int3_opcode};
constexpr unsigned page_bits = 12;
// So many removals are remembered: with each of them at least two system calls were made, and a
// fork is not in flight as long as that.
constexpr std::size_t most_removed = 65536;

std::uint64_t page_of(Address at) { return at.value() >> page_bits; }
Address start_of(std::uint64_t page) { return Address(page << page_bits); }

}  // namespace

BreakpointTable::JournalledSite* BreakpointTable::known(Address at) {
  const auto found = by_address_.find(at);
  return found == by_address_.end() ? nullptr : found->second;
}

Site* BreakpointTable::find(Address at) { return known(at); }

Site* BreakpointTable::find_hit(Pid pid, Address at) {
  Site* site = find(at);
  if (site == nullptr) return nullptr;
  const bool stops = site->client && site->program.conditions.empty() &&
                     site->program.commands.empty() && site->filter == nullptr;
  if (stops) verify(pid, at, 1);
  return site->gone ? nullptr : site;
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
  if (!site) {
    if (there != nullptr && there->client) (void)remove_client(pid, at);
    return site;
  }
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

Result<Site*> BreakpointTable::insert(Pid pid, Address at) {
  verify(pid, at, 1);
  if (JournalledSite* there = known(at)) {
    if (!is_in_memory(pid, *there))
      if (auto put = put_in(pid, *there); !put) return tl::unexpected(put.error());
    return there;
  }
  JournalledSite& site = sites_[at];
  site.address = at;
  if (auto put = put_in(pid, site); !put) {
    sites_.erase(at);
    return tl::unexpected(put.error());
  }
  by_address_.emplace(at, &site);
  return &site;
}

// The bytes are copied first and the copy is decoded; after the int3 is in, memory is compared with
// what was decoded, since the program may have rewritten it in between.
Result<void> BreakpointTable::put_in(Pid pid, JournalledSite& site) {
  const Address at = site.address;
  site.gone = true;
  plan(pid, site);
  if (site.length == 0)
    return fail(Errc::bad_address, "Cannot access memory at the breakpoint's address", EFAULT);
  site.shadow = site.original[0];
  site.entry = journalled(site);
  if (site.entry.is_lost()) return fail(Errc::refused, "Too many breakpoints", ENOSPC);
  if (tracee_.write_memory(pid, at, {&int3_byte, 1}) != 1) {
    site.entry = SiteEntry();
    return fail(Errc::refused,
                "The memory there cannot be written, not even by a debugger: use a hardware "
                "breakpoint (hbreak)",
                EACCES);
  }
  site.gone = false;
  ++insertions_;
  removed_.erase(at);
  Page& page = add_to_page(site);
  if (!page.own) page.own = tracee_.is_own_page(pid, at).value_or(false);
  if (SiteRow* row = site.entry.row()) row->own_page = page.own;
  std::array<std::uint8_t, x86::max_instruction_length> now{};
  const std::span tail(now.data(), site.length);
  if (tracee_.read_memory(pid, at, std::as_writable_bytes(tail)) == tail.size() &&
      std::memcmp(now.data() + 1, site.original.data() + 1, tail.size() - 1) != 0)
    plan(pid, site);
  return {};
}

// After verify(). An int3 that is out for an in-place step comes back by itself.
bool BreakpointTable::is_in_memory(Pid pid, const Site& site) const {
  return site.lifted || (!site.gone && int3_at(tracee_, pid, site.address, false) == Int3::ours);
}

// An int3 of ours that is written to a page anew would make it one of the process's own again. So
// this comes before each write.
void BreakpointTable::verify(Pid pid, Address from, std::size_t size) {
  if (size == 0 || sites_.empty()) return;
  const std::uint64_t last = page_of(from + (size - 1));
  for (std::uint64_t number = page_of(from); number <= last; ++number) {
    const auto page = pages_.find(number);
    if (page == pages_.end()) continue;
    if (is_page_replaced(tracee_, pid, start_of(number), page->second.own))
      forget_int3s(page->second);
  }
}

bool BreakpointTable::is_on_own_page(Address at) const {
  const auto page = pages_.find(page_of(at));
  return page != pages_.end() && page->second.own;
}

void BreakpointTable::forget_int3s(Page& page) {
  page.own = false;
  for (JournalledSite* site : page.sites) {
    site->gone = true;
    site->entry = SiteEntry();
  }
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

void BreakpointTable::replan(Pid pid, Site& site) {
  verify(pid, site.address, 1);
  if (!site.gone) plan(pid, site);
}

// Of a process that has ended no memory is left, which is not the program's doing.
Result<void> BreakpointTable::remove_client(Pid pid, Address at) {
  Site* site = find(at);
  if (site == nullptr || !site->client)
    return fail(Errc::refused, "No breakpoint is inserted there");
  site->client = false;
  set_program(*site, {});
  if (drop_if_unused(pid, *site) == Int3::unmapped && tracee_.mappings(pid))
    return fail(Errc::bad_address, "The program has unmapped the breakpoint's memory", EFAULT);
  return {};
}

void BreakpointTable::remove_internal(Pid pid, Address at) {
  Site* site = find(at);
  if (site == nullptr || site->internal == 0) return;
  --site->internal;
  (void)drop_if_unused(pid, *site);
}

void BreakpointTable::drop_internal(Pid pid) {
  for (auto it = sites_.begin(); it != sites_.end();) {
    JournalledSite& site = (it++)->second;
    site.internal = 0;
    if (!site.client || (!site.gone && site.entry.is_lost())) (void)take_out(pid, site);
  }
}

Int3 BreakpointTable::drop_if_unused(Pid pid, Site& site) {
  if (site.client || site.internal != 0) return Int3::ours;
  remember(site);
  return take_out(pid, site);
}

// When there are too many, the older half is forgotten.
void BreakpointTable::remember(const Site& site) {
  removed_[site.address] = {
      .shadow = site.shadow, .own_page = is_on_own_page(site.address), .number = ++removals_};
  if (removed_.size() <= most_removed) return;
  const std::uint64_t oldest = removals_ - most_removed / 2;
  std::erase_if(removed_, [&](const auto& entry) { return entry.second.number <= oldest; });
}

Int3 BreakpointTable::take_out(Pid pid, const Site& site) {
  const Address at = site.address;
  const Int3 there = site.gone ? int3_at(tracee_, pid, at, false)
                               : restore_byte(tracee_, pid, at, site.shadow, is_on_own_page(at));
  program_memory_ -= site.program.memory_size();
  by_address_.erase(at);
  remove_from_page(at);
  sites_.erase(at);
  return there;
}

void BreakpointTable::lift(Pid pid, Site& site) {
  verify(pid, site.address, 1);
  site.lifted =
      !site.gone && restore_byte(tracee_, pid, site.address, site.shadow, false) == Int3::ours;
}

// The instruction that was stepped may itself have changed the memory. Then the program has
// overwritten its own byte, or mapped something else there, as it could have done over the int3.
void BreakpointTable::put_back(Pid pid, Site& site) {
  if (!std::exchange(site.lifted, false)) return;
  verify(pid, site.address, 1);
  if (!site.gone) put_in_again(pid, site);
}

void BreakpointTable::put_in_again(Pid pid, const Site& site) const {
  std::byte now{};
  const bool there = tracee_.read_memory(pid, site.address, {&now, 1}) == 1;
  if (there && now == static_cast<std::byte>(site.shadow))
    tracee_.write_memory(pid, site.address, {&int3_byte, 1});
}

void BreakpointTable::mask(Address from, std::span<std::byte> bytes) const {
  if (bytes.empty() || sites_.empty()) return;
  const std::uint64_t last = page_of(from + (bytes.size() - 1));
  for (std::uint64_t number = page_of(from); number <= last; ++number) {
    const auto page = pages_.find(number);
    if (page == pages_.end()) continue;
    const auto& sites = page->second.sites;
    auto it = std::ranges::lower_bound(sites, from, {}, &Site::address);
    for (; it != sites.end(); ++it) {
      const auto offset = static_cast<std::uint64_t>((*it)->address - from);
      if (offset >= bytes.size()) break;
      // Only our own byte is masked: where the program has written over it, its byte is the truth.
      if (bytes[offset] == int3_byte && !(*it)->gone)
        bytes[offset] = static_cast<std::byte>((*it)->shadow);
    }
  }
}

BreakpointTable::Page& BreakpointTable::add_to_page(JournalledSite& site) {
  Page& page = pages_[page_of(site.address)];
  const auto place = std::ranges::lower_bound(page.sites, site.address, {}, &Site::address);
  if (place == page.sites.end() || *place != &site) page.sites.insert(place, &site);
  return page;
}

void BreakpointTable::remove_from_page(Address at) {
  const auto page = pages_.find(page_of(at));
  std::erase_if(page->second.sites, [&](const Site* site) { return site->address == at; });
  if (page->second.sites.empty()) pages_.erase(page);
}

void BreakpointTable::patch_write(Pid pid, Address to, std::span<std::byte> bytes) {
  verify(pid, to, bytes.size());
  for (auto it = sites_.lower_bound(to); it != sites_.end(); ++it) {
    const auto offset = static_cast<std::uint64_t>(it->first - to);
    if (offset >= bytes.size()) break;
    JournalledSite& site = it->second;
    if (!is_in_memory(pid, site)) continue;
    site.shadow = static_cast<std::uint8_t>(bytes[offset]);
    if (SiteRow* row = site.entry.row()) row->shadow = site.shadow;
    if (!site.lifted) bytes[offset] = int3_byte;
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
  for (const auto& [number, page] : pages_) {
    if (is_page_replaced(tracee_, pid, start_of(number), page.own)) continue;
    for (const JournalledSite* site : page.sites)
      if (!site->gone) (void)restore_byte(tracee_, pid, site->address, site->shadow, false);
  }
}

void BreakpointTable::restore_removed(Pid pid, std::uint64_t since) const {
  for (const auto& [at, gone] : removed_)
    if (gone.number > since) (void)restore_byte(tracee_, pid, at, gone.shadow, gone.own_page);
}

void BreakpointTable::put_in_missing(Pid pid) const {
  for (const auto& [address, site] : sites_)
    if (!site.gone) put_in_again(pid, site);
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
    site.lifted = false;
    program_memory_ += site.program.memory_size();
    if (!site.gone) site.entry = journalled(site);
    by_address_.emplace(address, &site);
    Page& page = add_to_page(site);
    page.own = parent.pages_.at(page_of(address)).own;
    if (SiteRow* row = site.entry.row()) row->own_page = page.own;
  }
}

void BreakpointTable::inherit(const SiteRow& row) {
  JournalledSite& site = sites_[row.address];
  site.address = row.address;
  site.shadow = row.shadow;
  site.internal = 1;
  by_address_.emplace(row.address, &site);
  Page& page = add_to_page(site);
  page.own = page.own || row.own_page;
}

}  // namespace stub
