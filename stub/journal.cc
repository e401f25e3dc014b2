#include "stub/journal.h"

#include <sys/mman.h>
#include <unistd.h>

namespace stub {

SpaceId next_space_id() {
  static std::uint32_t last = 0;
  return SpaceId{++last};
}

bool Journal::create() {
  const int fd = memfd_create("sidestep-journal", MFD_CLOEXEC);
  if (fd < 0) return false;
  if (ftruncate(fd, sizeof(JournalFile)) == 0 && map(fd)) return true;
  close(fd);
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
