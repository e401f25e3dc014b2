// The area is mapped read-execute from the start and is never writable: the stub writes slots
// through /proc/PID/mem, for which the kernel makes private copies of the pages whatever their
// protection (mm/gup.c, FOLL_FORCE). It is kept out of fork children and core dumps, and named, so
// that whoever reads /proc/PID/maps knows what it is.
//
// A seccomp filter may answer an injected call by killing the process, so a thread under seccomp is
// not asked at all, unless the filter can be suspended (PTRACE_O_SUSPEND_SECCOMP, needs
// CAP_SYS_ADMIN). Filters belong to threads: another thread may map the area for all. Without one
// the in-place lane remains.
#include "stub/ssol_mapping.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "stub/memory_map.h"
#include "stub/proc_fs.h"
#include "stub/remote_syscall.h"

namespace stub {
namespace {

// Areas grow with need: 1024 slots first, then twice as many, up to 65536.
constexpr std::uint64_t first_area_size = 64 * 1024;
constexpr std::uint64_t largest_area_size = 4 * 1024 * 1024;

constexpr std::uint64_t no_descriptor = ~std::uint64_t{0};
constexpr char area_name[] = "sidestep-ssol";

std::uint64_t next_area_size(const SsolAreas& areas) {
  std::uint64_t size = first_area_size;
  for (const auto& range : areas.ranges()) size = std::max(size, range.size * 2);
  return std::min(size, largest_area_size);
}

// The name has to be in the inferior's memory: it is written into the area, which is zero and
// unused as yet. Kernels without anonymous names answer EINVAL; the area works without one.
void label(Tracee& tracee, RemoteSyscall& remote, Pid pid, x86::Mode mode, SsolAreas::Range area) {
  const auto& numbers = syscall_numbers(mode);
  (void)remote.call(numbers.madvise, {area.start.value(), area.size, MADV_DONTFORK});
  (void)remote.call(numbers.madvise, {area.start.value(), area.size, MADV_DONTDUMP});
  constexpr std::uint64_t set_vma = 0x53564d41, set_vma_anon_name = 0;  // linux/prctl.h
  tracee.write_memory(pid, area.start, std::as_bytes(std::span(area_name)));
  (void)remote.call(numbers.prctl, {set_vma, set_vma_anon_name, area.start.value(), area.size,
                                    area.start.value()});
}

Result<SsolAreas::Range> map_at(RemoteSyscall& remote, x86::Mode mode, Address place,
                                std::uint64_t size) {
  constexpr std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const auto mapped =
      remote.call(syscall_numbers(mode).mmap,
                  {place.value(), size, PROT_READ | PROT_EXEC, flags, no_descriptor, 0});
  if (!mapped) return tl::unexpected(mapped.error());
  return SsolAreas::Range{Address(*mapped), size};
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

}  // namespace

// The vDSO is executable, is always there unless booted with vdso=0, and falls back to real system
// calls, so it holds the instruction we need.
std::optional<Address> find_syscall_instruction(Tracee& tracee, Pid pid, x86::Mode mode,
                                                std::span<const Mapping> mappings) {
  const auto vdso = std::find_if(mappings.begin(), mappings.end(),
                                 [](const Mapping& m) { return m.path == "[vdso]"; });
  if (vdso == mappings.end()) return std::nullopt;
  std::vector<std::byte> code(vdso->size());
  code.resize(tracee.read_memory(pid, vdso->start, code));
  const std::array<std::byte, 2> wanted = mode == x86::Mode::amd64
                                              ? std::array{std::byte{0x0f}, std::byte{0x05}}
                                              : std::array{std::byte{0xcd}, std::byte{0x80}};
  const auto found = std::search(code.begin(), code.end(), wanted.begin(), wanted.end());
  if (found == code.end()) return std::nullopt;
  return vdso->start + static_cast<std::uint64_t>(found - code.begin());
}

Result<void> map_area(Tracee& tracee, AddressSpace& space, const Thread& thread, Address text,
                      Reach reach, std::optional<WaitResult>& death) {
  const Pid pid = thread.process->pid;
  const Lifetime lifetime = thread.process->lifetime;
  if (thread.mid_syscall) return fail(Errc::bad_address, "The thread is inside a system call");
  const auto status = proc_fs::status(thread.tid);
  if (!status) return fail(Errc::thread_gone, "The process is gone", ESRCH);
  const bool filtered = status->seccomp != 0;
  if (filtered && !tracee.suspend_seccomp(thread.tid, lifetime, true))
    return fail(Errc::unsupported, "A seccomp filter stands in the way of mapping an SSOL area");
  const auto mappings = proc_fs::maps(pid);
  if (!mappings) return fail(Errc::thread_gone, "The process is gone", ESRCH);
  if (!space.syscall_instruction)
    space.syscall_instruction = find_syscall_instruction(tracee, pid, space.mode, *mappings);
  if (!space.syscall_instruction)
    return fail(Errc::refused, "The program has no vDSO to make system calls from");
  const std::uint64_t size = next_area_size(space.areas);
  const auto place = find_place(space, *mappings, text, reach, size);
  if (!place) return fail(Errc::bad_address, "No room for an SSOL area within reach");
  Result<SsolAreas::Range> area = fail(Errc::thread_gone);
  {
    RemoteSyscall remote(tracee, thread.tid, space.mode, *space.syscall_instruction);
    area = map_at(remote, space.mode, *place, size);
    if (area) label(tracee, remote, pid, space.mode, *area);
    death = remote.death();
  }
  if (filtered) tracee.suspend_seccomp(thread.tid, lifetime, false);
  if (area) {
    space.areas.add(*area);
    return {};
  }
  if (area.error().code == Errc::thread_gone) return tl::unexpected(area.error());
  return fail(Errc::refused, "The program cannot map an SSOL area: " + area.error().text);
}

void unmap_areas(Tracee& tracee, AddressSpace& space, const Thread& thread,
                 std::optional<WaitResult>& death) {
  if (space.areas.ranges().empty() || !space.syscall_instruction) return;
  const Lifetime lifetime = thread.process->lifetime;
  const bool filtered = [&] {
    const auto status = proc_fs::status(thread.tid);
    return !status || status->seccomp != 0;
  }();
  if (filtered && !tracee.suspend_seccomp(thread.tid, lifetime, true)) return;
  {
    RemoteSyscall remote(tracee, thread.tid, space.mode, *space.syscall_instruction);
    for (const auto& range : space.areas.ranges())
      if (!remote.death())
        (void)remote.call(syscall_numbers(space.mode).munmap, {range.start.value(), range.size});
    death = remote.death();
  }
  if (filtered) tracee.suspend_seccomp(thread.tid, lifetime, false);
  space.areas.clear();
}

}  // namespace stub
