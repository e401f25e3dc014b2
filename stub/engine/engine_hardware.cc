// Debug registers in threads.
//
// The points belong to the address space, the registers to each thread. A thread is given its
// process's values when it is resumed; one that runs while the points change is interrupted for a
// moment. The kernel starts every new thread and every new program without any (arch/x86/kernel/
// process_64.c, hw_breakpoint.c), so Thread::debug_loaded starts empty too.
#include <algorithm>

#include "stub/engine/engine.h"

namespace stub {

void Engine::load_hardware(Thread& thread) {
  const DebugRegisters& wanted = thread.process->space->hardware.registers();
  if (thread.debug_loaded == wanted) return;
  for (const auto& write : writes_between(thread.debug_loaded, wanted))
    (void)tracee_.poke_user(thread.tid, write.offset, write.value);
  thread.debug_loaded = wanted;
}

void Engine::unload_hardware(Thread& thread) {
  for (const auto& write : writes_between(thread.debug_loaded, DebugRegisters{}))
    (void)tracee_.poke_user(thread.tid, write.offset, write.value);
  thread.debug_loaded = {};
}

bool Engine::hardware_triggered(const Thread& thread) {
  if (thread.debug_loaded == DebugRegisters{}) return false;
  const auto status = tracee_.peek_user(thread.tid, debug_status_offset());
  return status && !thread.process->space->hardware.triggered(*status).empty();
}

// The first triggered point whose conditions hold is the one that is told.
void Engine::hit_hardware(Thread& thread) {
  const auto status = tracee_.peek_user(thread.tid, debug_status_offset());
  (void)tracee_.poke_user(thread.tid, debug_status_offset(), 0);
  thread.stop_signal = 0;
  for (const auto& hit : thread.process->space->hardware.triggered(status.value_or(0))) {
    if (conditions_.evaluate(thread, hit.point->program, nullptr, stop_seen_ns_) == Verdict::pass)
      continue;
    const auto kind = hit.point->type == rsp::PointType::write_watchpoint ? StopKind::write_watch
                      : hit.point->type == rsp::PointType::access_watchpoint
                          ? StopKind::access_watch
                          : StopKind::hw_breakpoint;
    return queue_stop(thread, {.kind = kind, .signal = SIGTRAP, .value = hit.data.value()});
  }
  finish_step(thread);
}

Result<void> Engine::insert_hardware(Pid pid, rsp::PointType type, Address at, std::uint64_t length,
                                     SiteProgram program) {
  if (find(pid) == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  Inferior* known = process(pid);
  note_trap_action(*known);
  HardwarePoints& points = known->space->hardware;
  auto inserted = points.insert(type, at, length, program);
  // Clients do not take points out of a library that was unloaded.
  const bool is_full = !inserted && inserted.error().code == Errc::refused;
  const auto mappings = is_full ? tracee_.mappings(pid) : fail(Errc::refused);
  if (mappings && points.remove_unmapped(*mappings))
    inserted = points.insert(type, at, length, std::move(program));
  if (inserted) reload_hardware(*known->space);
  return inserted;
}

Result<void> Engine::remove_hardware(Pid pid, rsp::PointType type, Address at,
                                     std::uint64_t length) {
  const Inferior* known = find(pid);
  if (known == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  auto removed = known->space->hardware.remove(type, at, length);
  if (removed) reload_hardware(*known->space);
  return removed;
}

void Engine::reload_hardware(AddressSpace& space) {
  for (Inferior* user : space.users)
    for (auto& [tid, member] : user->threads) request_interrupt(*member);
}

}  // namespace stub
