// Memory that a client has the inferior map (LLDB's _M and _m), for code it wants to run there.
#pragma once

#include "stub/inferior/inferior.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/tracee.h"

namespace stub {

// Has `thread` (stopped) map `size` bytes with the PROT_ bits `protection`, anywhere. Errors:
// those of borrow_thread(); system when the kernel says no.
Result<Address> map_memory(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                           const Thread& thread, std::uint64_t size, int protection);

// The same for munmap.
Result<void> unmap_memory(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                          const Thread& thread, Address start, std::uint64_t size);

}  // namespace stub
