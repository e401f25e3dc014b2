// `monitor condition`: filters on breakpoint sites (site_filter.h), for users of any client.
//
// The remote protocol does not tell a server the numbers that a client gives its breakpoints, and
// one breakpoint may be many sites. So a site is named by its address or by the number that
// `monitor sites` shows, which it keeps however often the client takes it out and puts it back.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "stub/base/number.h"
#include "stub/session/monitor.h"

namespace stub {

const std::string_view monitor_condition_help =
    "  condition [ADDRESS|SITE [TERM ...|off] | off]\n"
    "    Report a breakpoint's hit only if all terms hold as well as the\n"
    "    client's condition; SITE is a number of `monitor sites'. Terms:\n"
    "      thread=LWP[,LWP...]  one of these threads (gdb: Thread PID.LWP)\n"
    "      after=N  every=N     not the first N hits; only each Nth of the others\n"
    "      rate=N/s             at most N in a second (N/ms, N/min)\n"
    "      PLACE==\"TEXT\"        a C string; also != , ^= begins, ~= contains.\n"
    "                           PLACE: $REGISTER or a number, +N or -N; each *\n"
    "                           in front follows a pointer: *$rdi+8==\"abc\"\n"
    "    Without terms: show what is set; `condition off': clear all of them\n";

namespace {

MonitorResult refuse(std::string text) { return {std::move(text) + "\n", true, false}; }

std::string describe(Address at, const SiteFilter& filter) {
  return fmt::format("{:#018x}  {:>9} of {:>9} hits  {}\n", at.value(), filter.let_through(),
                     filter.asked(), filter.text());
}

MonitorResult list(MonitorContext context) {
  std::string text;
  for (const Pid pid : context.engine.processes())
    for (const auto& [at, filter] : context.engine.find(pid)->space->filters)
      text += describe(at, filter);
  return {text.empty() ? "No conditions are set.\n" : text, false, false};
}

std::optional<Address> place(std::string_view text, const BreakpointTable& sites) {
  const auto value = decimal_or_hex(text);
  if (!value) return std::nullopt;
  if (text.starts_with("0x")) return Address(*value);
  return *value > 0xffffffff ? std::nullopt : sites.address_of(static_cast<unsigned>(*value));
}

MonitorResult clear(Engine& engine, const Inferior& process) {
  std::vector<Address> set;
  for (const auto& [at, filter] : process.space->filters) set.push_back(at);
  for (const Address at : set) (void)engine.set_filter(process.pid, at, std::nullopt);
  return {fmt::format("{} conditions are cleared.\n", set.size()), false, false};
}

}  // namespace

MonitorResult monitor_condition(std::string_view arguments, MonitorContext context) {
  if (arguments.empty()) return list(context);
  if (!context.process) return refuse("No process is being debugged.");
  const Pid pid = *context.process;
  const Inferior* process = context.engine.find(pid);
  if (process == nullptr) return refuse("No process is being debugged.");
  const AddressSpace& space = *process->space;
  const std::string_view where = arguments.substr(0, arguments.find(' '));
  std::string_view terms = arguments.substr(where.size());
  terms.remove_prefix(std::min(terms.find_first_not_of(' '), terms.size()));
  if (where == "off" && terms.empty()) return clear(context.engine, *process);
  const auto at = place(where, space.sites);
  if (!at)
    return refuse(fmt::format("{}: no such site; `monitor sites' has their numbers.", where));
  if (terms == "off") {
    (void)context.engine.set_filter(pid, *at, std::nullopt);
    return {fmt::format("{:#x}: no condition of the server's any more.\n", at->value()), false,
            false};
  }
  if (terms.empty()) {
    const SiteFilter* filter = process->space->filter_at(*at);
    if (filter == nullptr) return refuse("No condition is set there.");
    return {describe(*at, *filter), false, false};
  }
  auto filter = SiteFilter::parse(terms, space.mode);
  if (!filter) return refuse(filter.error().text);
  const auto done = context.engine.set_filter(pid, *at, std::move(*filter));
  if (!done) return refuse(done.error().text);
  return {describe(*at, space.filters.at(*at)), false, false};
}

}  // namespace stub
