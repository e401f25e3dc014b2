// LinuxTracee's access to memory.
//
// Memory is copied through /proc/PID/mem, whose accesses use FOLL_FORCE: a debugger may see
// PROT_NONE and execute-only pages, and text is not writable for the program itself. It returns a
// short count at the first page that cannot be had, which is exactly the partial result that our
// callers promise. process_vm_readv is no faster for a page (1.6 us against 1.2 us; a fifth for a
// megabyte) and waits for a page that a userfaultfd of the program's is to fill (mm/gup.c,
// FOLL_UNLOCKABLE): for ever, if that is the work of a thread which is stopped. It is left for the
// few bytes where the program's own rights count (what an emulated instruction accesses), and for
// text and slots in one call. A leader that has ended before the other threads has no memory any
// more (proc_fs.cc): process_vm_readv knows no such process then, and a handle opened by its name
// holds nothing. Both are seen when they are used, so a living leader costs no question.
#include "stub/kernel/linux_tracee.h"

#include "stub/base/memory_map.h"
#include "stub/kernel/proc_fs.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace stub {
namespace {

// Addresses above the user half would be negative file offsets.
constexpr std::uint64_t user_limit = std::uint64_t{1} << 63;

std::size_t clip(Address from, std::size_t size) {
  if (from.value() >= user_limit) return 0;
  return static_cast<std::size_t>(std::min<std::uint64_t>(size, user_limit - from.value()));
}

}  // namespace

LinuxTracee::~LinuxTracee() {
  for (auto& [pid, memory] : memories_) close_handles(memory);
}

void LinuxTracee::close_handles(Memory& memory) {
  if (memory.handle >= 0) close(memory.handle);
  if (memory.pages >= 0) close(memory.pages);
  memory.handle = memory.pages = -1;
}

// Whoever asks for a hundred thousand places in a process that has ended, to restore each of them,
// is told at once: only its leader could come by memory again (as a new process of that id).
bool LinuxTracee::open_handle(Pid pid, Memory& memory) {
  close_handles(memory);
  if (memory.has_ended && !proc_fs::has_memory(pid, leader_of(pid))) return false;
  memory.handle = open(proc_fs::memory_file(pid, "mem").c_str(), O_RDWR | O_CLOEXEC);
  memory.has_ended = memory.handle < 0;
  return !memory.has_ended;
}

// A short count of pread/pwrite may mean a fault or just a limit of one call, so go on until a call
// moves nothing. A fault is EIO; 0 means that there is no memory behind the handle (fs/proc/base.c,
// mem_rw).
template <class Call>
std::size_t LinuxTracee::by_handle(Pid pid, std::size_t size, Call call) {
  Memory& memory = memories_[pid];
  bool fresh = memory.handle < 0;
  if (fresh && !open_handle(pid, memory)) return 0;
  std::size_t done = 0;
  while (done < size) {
    const ssize_t moved = call(memory.handle, done);
    if (moved > 0) done += static_cast<std::size_t>(moved);
    if (moved > 0 || (moved < 0 && errno == EINTR)) continue;
    const bool is_hollow = moved == 0;
    if (is_hollow && fresh) memory.has_ended = true;
    if (!is_hollow || fresh || !open_handle(pid, memory)) break;
    fresh = true;
  }
  return done;
}

// The id of a thread that has been waited for may be another's already: a deputy is looked at
// before it is used again.
template <class Call>
ssize_t LinuxTracee::by_thread(Pid pid, Call call) {
  const ssize_t moved = call(raw(pid));
  if (moved >= 0 || errno != ESRCH) return moved;
  Tid& deputy = memories_[pid].deputy;
  if (!proc_fs::has_memory(pid, deputy)) deputy = proc_fs::memory_thread(pid);
  return call(raw(deputy));
}

std::size_t LinuxTracee::read_memory(Pid pid, Address from, std::span<std::byte> to) {
  to = to.first(clip(from, to.size()));
  return by_handle(pid, to.size(), [&](int fd, std::size_t done) {
    return pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(from.value() + done));
  });
}

std::size_t LinuxTracee::write_memory(Pid pid, Address to, std::span<const std::byte> from) {
  const std::size_t size = clip(to, from.size());
  return by_handle(pid, size, [&](int fd, std::size_t done) {
    return pwrite(fd, from.data() + done, size - done, static_cast<off_t>(to.value() + done));
  });
}

// process_vm_readv and -writev pin pages without FOLL_FORCE, so they fail where the program would
// fault (mm/process_vm_access.c).
bool LinuxTracee::read_as_program(Pid pid, Address from, std::span<std::byte> to) {
  iovec local{to.data(), to.size()};
  iovec remote{reinterpret_cast<void*>(from.value()), to.size()};
  const ssize_t got =
      by_thread(pid, [&](pid_t tid) { return process_vm_readv(tid, &local, 1, &remote, 1, 0); });
  return got == static_cast<ssize_t>(to.size());
}

bool LinuxTracee::write_as_program(Pid pid, Address to, std::span<const std::byte> from) {
  iovec local{const_cast<std::byte*>(from.data()), from.size()};
  iovec remote{reinterpret_cast<void*>(to.value()), from.size()};
  const ssize_t put =
      by_thread(pid, [&](pid_t tid) { return process_vm_writev(tid, &local, 1, &remote, 1, 0); });
  return put == static_cast<ssize_t>(from.size());
}

Result<std::vector<Mapping>> LinuxTracee::mappings(Pid pid) { return proc_fs::maps(pid); }

// Word n is of page n. A page that was copied when it was written to is anonymous: present or
// swapped out, and neither a page of a file nor shared (fs/proc/task_mmu.c, pte_to_pagemap_entry).
// The handle is of the memory the process had when it was opened; with nothing behind it any more a
// read is empty (pagemap_read), and it is opened anew once.
std::optional<bool> LinuxTracee::is_own_page(Pid pid, Address at) {
  constexpr std::uint64_t present = std::uint64_t{1} << 63, swapped = std::uint64_t{1} << 62,
                          of_file_or_shared = std::uint64_t{1} << 61;
  Memory& memory = memories_[pid];
  const auto offset = static_cast<off_t>(at.value() / page_size * sizeof(std::uint64_t));
  for (const bool fresh : {memory.pages < 0, true}) {
    if (fresh && memory.pages >= 0) close(memory.pages);
    if (fresh)
      memory.pages = open(proc_fs::memory_file(pid, "pagemap").c_str(), O_RDONLY | O_CLOEXEC);
    std::uint64_t entry = 0;
    if (memory.pages >= 0 && pread(memory.pages, &entry, sizeof entry, offset) == sizeof entry)
      return (entry & (present | swapped)) != 0 && (entry & of_file_or_shared) == 0;
    if (fresh) break;
  }
  return std::nullopt;
}

bool LinuxTracee::is_fixed_text(Pid pid, Address from, std::uint64_t size) {
  const auto mappings = proc_fs::maps(pid);
  const Mapping* text = mappings ? find_mapping(*mappings, from) : nullptr;
  return text != nullptr && text->execute && !text->write && text->inode != 0 &&
         from + size <= text->end;
}

bool LinuxTracee::read_pieces(Pid pid, std::span<const Piece> pieces) {
  constexpr std::size_t most = 4;
  assert(pieces.size() <= most);
  iovec local[most] = {}, remote[most] = {};
  std::size_t total = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    local[i] = {pieces[i].to.data(), pieces[i].to.size()};
    remote[i] = {reinterpret_cast<void*>(pieces[i].from.value()), pieces[i].to.size()};
    total += pieces[i].to.size();
  }
  const ssize_t got = by_thread(pid, [&](pid_t tid) {
    return process_vm_readv(tid, local, pieces.size(), remote, pieces.size(), 0);
  });
  if (got == static_cast<ssize_t>(total)) return true;
  for (const Piece& piece : pieces)  // execute-only pages and the like
    if (read_memory(pid, piece.from, std::as_writable_bytes(piece.to)) != piece.to.size())
      return false;
  return true;
}

void LinuxTracee::forget_memory(Pid pid) {
  const auto found = memories_.find(pid);
  if (found == memories_.end()) return;
  close_handles(found->second);
  memories_.erase(found);
}

}  // namespace stub
