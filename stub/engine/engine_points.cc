// Breakpoints and caught system calls, as the client asks for them.
#include <fmt/format.h>

#include <utility>

#include "stub/engine/engine.h"

namespace stub {

Result<void> Engine::insert_breakpoint(Pid pid, Address at, SiteProgram program) {
  if (find(pid) == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  Inferior* known = process(pid);
  note_trap_action(*known);
  BreakpointTable& sites = known->space->sites;
  const std::uint64_t insertions = sites.insertions();
  auto site = sites.insert_client(pid, at, std::move(program));
  if (sites.insertions() != insertions) forget_passed(*known->space, at);
  if (!site) return tl::unexpected(site.error());
  (*site)->filter = known->space->filter_at(at);
  return {};
}

Result<void> Engine::set_filter(Pid pid, Address at, std::optional<SiteFilter> filter) {
  const Inferior* known = find(pid);
  if (known == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  AddressSpace& space = *known->space;
  if (filter && !space.filters.contains(at) && space.filters.size() >= most_filters)
    return fail(Errc::refused, fmt::format("{} conditions are set already.", most_filters));
  Site* site = space.sites.find(at);
  if (site != nullptr) site->filter = nullptr;
  space.filters.erase(at);
  if (!filter) return {};
  SiteFilter& kept = space.filters.emplace(at, std::move(*filter)).first->second;
  if (site != nullptr) site->filter = &kept;
  return {};
}

void Engine::drop_idle_filters() {
  for (auto& [pid, process] : processes_)
    std::erase_if(process->space->filters, [&](const auto& entry) {
      return process->space->sites.find(entry.first) == nullptr;
    });
}

Result<void> Engine::remove_breakpoint(Pid pid, Address at) {
  const Inferior* known = find(pid);
  if (known == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  auto removed = known->space->sites.remove_client(pid, at);
  if (known->space->sites.find(at) == nullptr) forget_passed(*known->space, at);
  return removed;
}

Result<void> Engine::catch_syscalls(Pid pid, std::optional<std::set<std::uint64_t>> numbers) {
  Inferior* known = process(pid);
  if (known == nullptr) return fail(Errc::no_process, "No such process", ESRCH);
  known->caught_syscalls = std::move(numbers);
  return {};
}

}  // namespace stub
