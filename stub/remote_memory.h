// Memory that a client has the inferior map (LLDB's _M and _m), for code it wants to run there.
#pragma once

#include <optional>

#include "stub/inferior.h"
#include "stub/tracee.h"

namespace stub {

// Has `thread` (stopped) map `size` bytes with the PROT_ bits `protection`, anywhere. Errors:
// those of borrow_thread(); system when the kernel says no. `death` receives the thread's end when
// it was waited for here.
Result<Address> map_memory(Tracee& tracee, AddressSpace& space, const Thread& thread,
                           std::uint64_t size, int protection, std::optional<WaitResult>& death);

// The same for munmap.
Result<void> unmap_memory(Tracee& tracee, AddressSpace& space, const Thread& thread, Address start,
                          std::uint64_t size, std::optional<WaitResult>& death);

}  // namespace stub
