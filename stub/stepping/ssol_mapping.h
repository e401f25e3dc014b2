// Making the inferior map an SSOL area, and taking it away again.
#pragma once

#include <span>
#include <vector>

#include "stub/inferior/inferior.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/tracee.h"

namespace stub {

enum class Reach : std::uint8_t { near, anywhere };  // near: +-2 GiB of the text

// Has `thread` (stopped) map a new area for `text` and adds it to the space's areas. Errors:
// bad_address when there is no room within reach; unsupported when this thread cannot be asked, for
// its seccomp filter; refused when the inferior cannot be made to map anything (limits, no vDSO);
// thread_gone.
Result<void> map_area(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread,
                      Address text, Reach reach);

// Areas as memory has them. A slot that nothing was put into holds instructions that fault; its
// last bytes are a mark, which no code of ours covers and which another mapping does not have. By
// it a slot is known before it is written to.
inline constexpr std::uint64_t slot_room = x86::slot_size - 8;  // bytes for code
std::vector<std::byte> blank_slots(std::uint64_t size);
bool has_mark(Tracee& tracee, Pid pid, Address slot);
// Whether the area is there still: an anonymous private mapping, read-execute, over all of the
// range, with our mark (or with nothing but zeros, as it was mapped).
bool is_area(Tracee& tracee, Pid pid, std::span<const Mapping> mappings,
             const SsolAreas::Range& range);
// The program has taken the area away that holds the address. A program that does so for ever gets
// no other.
void lose_area(AddressSpace& space, Address any_address_inside);

// Unmaps all areas of the space that are there still, by means of `thread`, and forgets the others.
// Every other thread must be outside them.
void unmap_areas(Tracee& tracee, EventInbox& inbox, AddressSpace& space, const Thread& thread);

}  // namespace stub
