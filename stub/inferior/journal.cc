#include "stub/inferior/journal.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace stub {

SpaceId next_space_id() {
  static std::uint32_t last = 0;
  return SpaceId{++last};
}

namespace {

// The limit for files (setrlimit(2), RLIMIT_FSIZE) is not meant for this one, which takes no room.
bool set_size(int fd, off_t size) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  constexpr rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  const rlimit most{before.rlim_max, before.rlim_max};
  if (setrlimit(RLIMIT_FSIZE, &none) != 0) setrlimit(RLIMIT_FSIZE, &most);
  const bool done = ftruncate(fd, size) == 0;
  const int error = errno;
  setrlimit(RLIMIT_FSIZE, &before);
  errno = error;
  return done;
}

}  // namespace

bool Journal::create() {
  const int fd = memfd_create("sidestep-journal", MFD_CLOEXEC);
  if (fd < 0) return false;
  if (set_size(fd, sizeof(JournalFile)) && map(fd)) return true;
  const int error = errno;
  close(fd);
  errno = error;
  return false;
}

bool Journal::open(int fd) { return map(fd); }

void Journal::clear() {
  processes.clear();
  sites.clear();
  areas.clear();
  slots.clear();
  scratches.clear();
  settled.clear();
  borrowed.clear();
}

bool Journal::map(int fd) {
  void* const memory =
      mmap(nullptr, sizeof(JournalFile), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (memory == MAP_FAILED) return false;
  auto* const file = static_cast<JournalFile*>(memory);
  processes.open(file->processes);
  sites.open(file->sites);
  areas.open(file->areas);
  slots.open(file->slots);
  scratches.open(file->scratches);
  settled.open(file->settled);
  borrowed.open(file->borrowed);
  fd_ = fd;
  return true;
}

Journal& journal() {
  // Never destroyed: entries of objects that live as long refer to it.
  static Journal& the_journal = *new Journal;
  return the_journal;
}

}  // namespace stub
