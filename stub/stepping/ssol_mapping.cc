// The area is mapped read-execute from the start and is never writable: the stub writes slots
// through /proc/PID/mem, for which the kernel makes private copies of the pages whatever their
// protection (mm/gup.c, FOLL_FORCE). It is kept out of fork children and core dumps, and named, so
// that whoever reads /proc/PID/maps knows what it is. Where the program cannot be made to map one,
// the in-place lane remains.
#include "stub/stepping/ssol_mapping.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "stub/base/memory_map.h"
#include "stub/kernel/proc_fs.h"
#include "stub/stepping/borrow_thread.h"

namespace stub {
namespace {

// Areas grow with need: 1024 slots first, then twice as many, up to 65536.
constexpr std::uint64_t first_area_size = 64 * 1024;
constexpr std::uint64_t largest_area_size = 4 * 1024 * 1024;

constexpr std::uint64_t no_descriptor = ~std::uint64_t{0};
constexpr char area_name[] = "sidestep-ssol";
constexpr char shown_name[] = "[anon:sidestep-ssol]";  // in /proc/PID/maps

constexpr std::array mark{std::byte{'S'},  std::byte{'S'},  std::byte{'O'},  std::byte{'L'},
                          std::byte{0xf4}, std::byte{0xf4}, std::byte{0xf4}, std::byte{0xf4}};
static_assert(slot_room + mark.size() == x86::slot_size);
constexpr std::byte hlt{0xf4};  // faults in user mode

std::uint64_t next_area_size(const SsolAreas& areas) {
  std::uint64_t size = first_area_size;
  for (const auto& range : areas.ranges()) size = std::max(size, range.size * 2);
  return std::min(size, largest_area_size);
}

// The mark comes first: by it a successor knows the area if we crash in the middle (is_area()). The
// name has to be in the inferior's memory, so it lies in the first slot for a moment. Kernels
// without anonymous names answer EINVAL; the area works without one.
void label(Tracee& tracee, RemoteSyscall& remote, Pid pid, x86::Mode mode, SsolAreas::Range area) {
  static_assert(sizeof area_name <= slot_room);
  const auto& numbers = syscall_numbers(mode);
  tracee.write_memory(pid, area.start, blank_slots(area.size));
  (void)remote.call(numbers.madvise, {area.start.value(), area.size, MADV_DONTFORK});
  (void)remote.call(numbers.madvise, {area.start.value(), area.size, MADV_DONTDUMP});
  constexpr std::uint64_t set_vma = 0x53564d41, set_vma_anon_name = 0;  // linux/prctl.h
  tracee.write_memory(pid, area.start, std::as_bytes(std::span(area_name)));
  (void)remote.call(numbers.prctl, {set_vma, set_vma_anon_name, area.start.value(), area.size,
                                    area.start.value()});
  tracee.write_memory(pid, area.start, blank_slots(x86::slot_size));
}

bool is_blank(Tracee& tracee, Pid pid, const SsolAreas::Range& range) {
  std::vector<std::byte> content(range.size);
  return tracee.read_memory(pid, range.start, content) == content.size() &&
         std::ranges::all_of(content, [](std::byte value) { return value == std::byte{0}; });
}

// The program may have mapped other memory in the place of an area, or have made it its own by
// writing to it.
void forget_lost_areas(Tracee& tracee, SsolAreas& areas, Pid pid) {
  const auto mappings = tracee.mappings(pid);
  for (const auto& range : std::vector(areas.ranges()))
    if (!mappings || !is_area(tracee, pid, *mappings, range)) areas.drop(range.start);
}

// A place in no mapping and in no area that was dropped a moment ago. Anywhere is near the vDSO,
// which the kernel puts where there is most room.
std::optional<Address> find_place(const AddressSpace& space, std::vector<Mapping> taken,
                                  Address text, Reach reach, std::uint64_t size) {
  for (const auto& range : space.areas.dropped()) {
    Mapping gone;
    gone.start = range.start;
    gone.end = range.start + range.size;
    taken.push_back(std::move(gone));
  }
  std::ranges::sort(taken, {}, &Mapping::start);
  return find_gap_near(taken, reach == Reach::near ? text : *space.syscall_instruction, size,
                       space.mode, proc_fs::mmap_min_address());
}

struct MappedArea {
  SsolAreas::Range range;
  AreaEntry entry;
};

// Recorded before it is there: who cleans up after us looks whether it has come to be.
Result<MappedArea> map_in_gap(Tracee& tracee, RemoteSyscall& remote, const AddressSpace& space,
                              Pid pid, Address text, Reach reach) {
  auto mappings = tracee.mappings(pid);
  if (!mappings) return tl::unexpected(mappings.error());
  const std::uint64_t size = next_area_size(space.areas);
  const auto place = find_place(space, std::move(*mappings), text, reach, size);
  if (!place) return fail(Errc::bad_address, "No room for an SSOL area within reach");
  AreaEntry entry({.start = *place, .size = size, .space = space.id});
  if (entry.is_lost()) return fail(Errc::refused, "The journal has no room for an SSOL area");
  constexpr std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const auto mapped =
      remote.call(syscall_numbers(space.mode).mmap,
                  {place->value(), size, PROT_READ | PROT_EXEC, flags, no_descriptor, 0});
  if (!mapped && mapped.error().code != Errc::system) return tl::unexpected(mapped.error());
  if (!mapped)
    return fail(Errc::refused, "The program cannot map an SSOL area: " + mapped.error().text);
  // A kernel that does not know the flag takes the place for a wish (mmap(2)).
  if (Address(*mapped) != *place) {
    (void)remote.call(syscall_numbers(space.mode).munmap, {*mapped, size});
    return fail(Errc::refused, "The program cannot map an SSOL area where it is to be");
  }
  return MappedArea{{*place, size}, std::move(entry)};
}

}  // namespace

Result<void> map_area(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread,
                      Address text, Reach reach) {
  const Pid pid = thread.process->pid;
  return borrow_thread(tracee, inbox, space, thread, [&](RemoteSyscall& remote) -> Result<void> {
    auto area = map_in_gap(tracee, remote, space, pid, text, reach);
    if (!area) return tl::unexpected(area.error());
    label(tracee, remote, pid, space.mode, area->range);
    space.areas.add(area->range, std::move(area->entry));
    return {};
  });
}

std::vector<std::byte> blank_slots(std::uint64_t size) {
  std::vector<std::byte> content(size, hlt);
  for (std::uint64_t at = slot_room; at + mark.size() <= size; at += x86::slot_size)
    std::ranges::copy(mark, content.begin() + static_cast<std::ptrdiff_t>(at));
  return content;
}

bool has_mark(Tracee& tracee, Pid pid, Address slot) {
  std::array<std::byte, mark.size()> found{};
  return tracee.read_memory(pid, slot + slot_room, found) == found.size() && found == mark;
}

bool is_area(Tracee& tracee, Pid pid, std::span<const Mapping> mappings,
             const SsolAreas::Range& range) {
  const Mapping* there = find_mapping(mappings, range.start);
  return there != nullptr && range.start + range.size <= there->end && there->read &&
         there->execute && !there->write && !there->shared && there->inode == 0 &&
         (there->path.empty() || there->path == shown_name) &&
         (has_mark(tracee, pid, range.start) || is_blank(tracee, pid, range));
}

void lose_area(AddressSpace& space, Address any_address_inside) {
  constexpr unsigned most_lost_areas = 64;
  space.areas.drop(any_address_inside);
  if (++space.lost_areas > most_lost_areas) space.area_refused = true;
}

void unmap_areas(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread) {
  forget_lost_areas(tracee, space.areas, thread.process->pid);
  if (space.areas.ranges().empty()) return;
  const auto unmapped =
      borrow_thread(tracee, inbox, space, thread, [&](RemoteSyscall& remote) -> Result<void> {
        for (const auto& range : space.areas.ranges())
          (void)remote.call(syscall_numbers(space.mode).munmap, {range.start.value(), range.size});
        return {};
      });
  if (unmapped) space.areas.clear();
}

}  // namespace stub
