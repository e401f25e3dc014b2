// LLDB compiles expressions and wants a place to put the code. It can also have the program call
// mmap itself, which costs it a symbol lookup, two breakpoints' worth of packets and all registers
// of a thread; here it is one system call executed by a thread that is stopped anyway.
#include "stub/stepping/remote_memory.h"

#include <sys/mman.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "stub/stepping/borrow_thread.h"

namespace stub {
namespace {

constexpr std::uint64_t no_descriptor = ~std::uint64_t{0};

// The thread's XSAVE state is as it was when this ends.
class KeptXstate {
 public:
  KeptXstate(Tracee& tracee, Tid tid)
      : tracee_(tracee),
        tid_(tid),
        image_(whole_xstate(tracee, tid).value_or(std::vector<std::byte>{})) {}
  ~KeptXstate() {
    if (!image_.empty()) (void)tracee_.set_xstate(tid_, image_);
  }
  KeptXstate(const KeptXstate&) = delete;
  KeptXstate& operator=(const KeptXstate&) = delete;

 private:
  Tracee& tracee_;
  Tid tid_;
  std::vector<std::byte> image_;
};

}  // namespace

Result<Address> map_memory(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                           const Thread& thread, std::uint64_t size, int protection) {
  constexpr std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
  // Execute-only memory has a protection key, whose rights mmap takes from the thread that calls it
  // (arch/x86/mm/pkeys.c, __execute_only_pkey).
  std::optional<KeptXstate> rights;
  if (protection == PROT_EXEC) rights.emplace(tracee, thread.tid);
  Address start;
  return borrow_thread(
             tracee, inbox, space, thread,
             [&](RemoteSyscall& remote) {
               return remote
                   .call(syscall_numbers(space.mode).mmap,
                         {0, size, static_cast<std::uint64_t>(protection), flags, no_descriptor, 0})
                   .map([&](std::uint64_t at) { start = Address(at); });
             })
      .map([&] { return start; });
}

Result<void> unmap_memory(Tracee& tracee, EventInbox& inbox, AddressSpace& space,
                          const Thread& thread, Address start, std::uint64_t size) {
  return borrow_thread(tracee, inbox, space, thread, [&](RemoteSyscall& remote) {
    return remote.call(syscall_numbers(space.mode).munmap, {start.value(), size})
        .map([](std::uint64_t) {});
  });
}

}  // namespace stub
