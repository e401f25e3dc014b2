#include "stub/kernel/seizing.h"

#include <cerrno>

#include "tests/catch.h"

using namespace stub;

namespace {

constexpr pid_t self = 100;

Result<proc_fs::Status> alive(char state, pid_t tracer) {
  proc_fs::Status status;
  status.state = state;
  status.tracer = Tid{tracer};
  return status;
}

TEST_CASE("what a refused seizure means") {
  CHECK(meaning_of_refusal(ESRCH, alive('S', 0), self) == Seizure::gone);
  CHECK(meaning_of_refusal(EPERM, fail(Errc::thread_gone, "", ENOENT), self) == Seizure::gone);
  CHECK(meaning_of_refusal(EPERM, fail(Errc::system, "", EMFILE), self) == Seizure::refused);
  CHECK(meaning_of_refusal(EPERM, alive('Z', 0), self) == Seizure::gone);
  CHECK(meaning_of_refusal(EPERM, alive('X', 0), self) == Seizure::gone);
  CHECK(meaning_of_refusal(EPERM, alive('Z', 7), self) == Seizure::gone);
  CHECK(meaning_of_refusal(EPERM, alive('t', self), self) == Seizure::ours);
  CHECK(meaning_of_refusal(EPERM, alive('S', 7), self) == Seizure::refused);
  CHECK(meaning_of_refusal(EPERM, alive('S', 0), self) == Seizure::passing);
}

}  // namespace
