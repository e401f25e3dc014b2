#include "stub/kernel/seizing.h"

#include <unistd.h>

#include <cerrno>

namespace stub {

Seizure meaning_of_refusal(int error, const Result<proc_fs::Status>& thread, pid_t self) {
  if (error == ESRCH) return Seizure::gone;
  if (!thread) return thread.error().code == Errc::thread_gone ? Seizure::gone : Seizure::refused;
  if (thread->state == 'Z' || thread->state == 'X') return Seizure::gone;
  if (raw(thread->tracer) == self) return Seizure::ours;
  return raw(thread->tracer) == 0 ? Seizure::passing : Seizure::refused;
}

SeizeResult seize_thread(Tracee& tracee, Tid tid, Lifetime lifetime) {
  constexpr int attempts = 20;
  int error = 0;
  for (int i = 0; i < attempts; ++i) {
    const auto seized = tracee.seize(tid, lifetime);
    if (seized) return {};
    error = seized.error().sys_errno;
    const Seizure meaning = meaning_of_refusal(error, proc_fs::status(tid), ::getpid());
    if (meaning != Seizure::passing) return {meaning, error};
  }
  return {Seizure::refused, error};
}

}  // namespace stub
