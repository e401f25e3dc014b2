// Memory, as the client sees it and has it mapped.
#include <algorithm>

#include "stub/engine/engine.h"
#include "stub/stepping/remote_memory.h"

namespace stub {

namespace {

// What was mapped for the client; the program may have put something else there.
bool is_anonymous(std::span<const Mapping> mappings, Address start, std::uint64_t size) {
  const Mapping* there = find_mapping(mappings, start);
  return there != nullptr && there->inode == 0 && !there->shared && start + size <= there->end;
}

}  // namespace

std::size_t Engine::read_memory(Pid pid, Address from, std::span<std::byte> to) {
  const Inferior* known = process(pid);
  if (known == nullptr) return 0;
  known->space->sites.verify(pid, from, to.size());
  const std::size_t got = tracee_.read_memory(pid, from, to);
  known->space->sites.mask(from, to.first(got));
  return got;
}

// Under a site the shadow byte changes and the breakpoint stays in.
std::size_t Engine::write_memory(Pid pid, Address to, std::span<const std::byte> from) {
  const Inferior* known = process(pid);
  if (known == nullptr || from.empty()) return 0;
  for (const Tid stepping : ranges_.text_changed(*known->space, to, from.size()))
    request_interrupt(*thread(stepping));
  BreakpointTable& sites = known->space->sites;
  if (sites.empty()) return tracee_.write_memory(pid, to, from);
  std::vector<std::byte> image(from.begin(), from.end());
  sites.patch_write(pid, to, image);
  const std::size_t done = tracee_.write_memory(pid, to, image);
  sites.after_write(pid, to, done);
  return done;
}

// Any thread will do that is at rest, and has the memory that is meant.
Thread* Engine::stopped_thread(Inferior& process) {
  const auto found = std::ranges::find_if(process.threads, [](const auto& entry) {
    return !entry.second->running && !entry.second->mid_syscall && !entry.second->own_memory;
  });
  return found == process.threads.end() ? nullptr : found->second.get();
}

Result<Address> Engine::allocate_memory(Pid pid, std::uint64_t size, int protection) {
  Inferior* owner = process(pid);
  Thread* thread = owner != nullptr ? stopped_thread(*owner) : nullptr;
  if (thread == nullptr) return fail(Errc::refused, "No thread of the process is stopped");
  const auto start = map_memory(tracee_, inbox_, *owner->space, *thread, size, protection);
  if (start) owner->space->client_memory[*start] = size;
  return start;
}

Result<void> Engine::free_memory(Pid pid, Address start) {
  Inferior* owner = process(pid);
  Thread* thread = owner != nullptr ? stopped_thread(*owner) : nullptr;
  if (thread == nullptr) return fail(Errc::refused, "No thread of the process is stopped");
  const auto known = owner->space->client_memory.extract(start);
  if (known.empty()) return fail(Errc::bad_address, "That memory was not allocated here");
  const auto mappings = tracee_.mappings(pid);
  if (!mappings || !is_anonymous(*mappings, start, known.mapped()))
    return fail(Errc::bad_address, "The program has taken that memory away");
  return unmap_memory(tracee_, inbox_, *owner->space, *thread, start, known.mapped());
}

}  // namespace stub
