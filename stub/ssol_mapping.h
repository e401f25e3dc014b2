// Making the inferior map an SSOL area, and taking it away again.
#pragma once

#include "stub/inferior.h"
#include "stub/tracee.h"

namespace stub {

enum class Reach : std::uint8_t { near, anywhere };  // near: +-2 GiB of the text

// Has `thread` (stopped) map a new area for `text` and adds it to the space's areas. Errors:
// bad_address when there is no room within reach; unsupported when this thread cannot be asked, for
// its seccomp filter; refused when the inferior cannot be made to map anything (limits, no vDSO);
// thread_gone. `death` receives the thread's end when it was waited for here.
Result<void> map_area(Tracee& tracee, AddressSpace& space, const Thread& thread, Address text,
                      Reach reach, std::optional<WaitResult>& death);

// Unmaps all areas of the space by means of `thread`. Every other thread must be outside them.
void unmap_areas(Tracee& tracee, AddressSpace& space, const Thread& thread,
                 std::optional<WaitResult>& death);

}  // namespace stub
