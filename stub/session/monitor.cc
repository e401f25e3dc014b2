// The table of monitor commands. gdb's testsuite and IDEs know a gdbserver by the first lines of
// its help and by a few of its texts, so those are kept to the letter.
#include "stub/session/monitor.h"

#include <fmt/format.h>

#include <algorithm>

#include "arch/step_plan.h"
#include "stub/base/log.h"

namespace stub {
namespace {

constexpr std::string_view first_help =
    "The following monitor commands are supported:\n"
    "  set debug <0|1>\n"
    "    Enable general debugging messages\n"
    "  set debug COMPONENT <off|on>\n"
    "    Enable debugging messages for COMPONENT, which is\n"
    "    one of: all, threads, remote, event-loop.\n"
    "  set debug-hw-points <0|1>\n"
    "    Enable h/w breakpoint/watchpoint debugging messages\n"
    "  set remote-debug <0|1>\n"
    "    Enable remote protocol debugging messages\n"
    "  set event-loop-debug <0|1>\n"
    "    Enable event loop debugging messages\n"
    "  set debug-format option1[,option2,...]\n"
    "    Add additional information to debugging messages\n"
    "    Options: all, none, timestamp\n"
    "  sites\n"
    "    Show each breakpoint site with how it is stepped over, and why\n"
    "  stats\n"
    "    Show for each breakpoint site its hits and what they cost\n";
constexpr std::string_view last_help =
    "  set follow <0|1>\n"
    "    Run on the processor of a thread that hits breakpoints all the time,\n"
    "    where measuring shows that it pays (default: 1)\n"
    "  exit\n"
    "    Quit GDBserver\n";

std::string help_text() {
  return fmt::format("{}{}{}", first_help, monitor_condition_help, last_help);
}

MonitorResult say_back(std::string text) { return {std::move(text), false, false}; }
MonitorResult refuse(std::string text) { return {std::move(text) + help_text(), true, false}; }

// ---- sites and their statistics ----------------------------------------------------------------

constexpr std::size_t most_past_sites = 65536;

void add_up(SiteStatistics& sum, const SiteStatistics& more) {
  sum.hits += more.hits;
  sum.false_hits += more.false_hits;
  sum.in_place += more.in_place;
  if (more.in_place != 0) sum.in_place_because = more.in_place_because;
  sum.total_ns += more.total_ns;
  sum.max_ns = std::max(sum.max_ns, more.max_ns);
  sum.others_held += more.others_held;
  sum.others_held_ns += more.others_held_ns;
}

void merge(SiteRecord& record, Pid pid, const Site& site) {
  record.pid = pid;
  record.address = site.address;
  record.number = site.number;
  record.lane = site.plan.lane();
  record.reason = site.plan.reason;
  add_up(record.statistics, site.statistics);
}

std::string shown_process(const SiteRecord& site) {
  return site.processes == 1 ? std::to_string(raw(site.pid))
                             : fmt::format("{} ended", site.processes);
}

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

// Steps that did not go the planned way.
std::string exceptions(const SiteRecord& site) {
  if (site.statistics.in_place == 0 || site.lane == x86::Lane::in_place) return "";
  return fmt::format("; in place {} times: {}", site.statistics.in_place,
                     site.statistics.in_place_because);
}

MonitorResult sites(std::string_view, MonitorContext context) {
  std::string text = fmt::format("{:>4}  {:>11}  {:18}  {:3}  {:8}  {}\n", "site", "process",
                                 "address", "now", "lane", "reason");
  for (const SiteRecord& site : context.past_sites.with_present(context.engine))
    text += fmt::format("{:>4}  {:>11}  {:#018x}  {:3}  {:8}  {}{}\n", site.number,
                        shown_process(site), site.address.value(), site.in ? "in" : "out", x86::name(site.lane),
                        site.reason, exceptions(site));
  return say_back(std::move(text));
}

MonitorResult stats(std::string_view, MonitorContext context) {
  std::string text =
      fmt::format("{:18}  {:8}  {:>9}  {:>9}  {:>8}  {:>8}  {:>11}  {:>8}  {:>11}\n", "address",
                  "lane", "hits", "false", "mean us", "max us", "others held", "held us", "process");
  for (const SiteRecord& site : context.past_sites.with_present(context.engine)) {
    const SiteStatistics& s = site.statistics;
    const double mean = s.false_hits == 0 ? 0 : us(s.total_ns) / static_cast<double>(s.false_hits);
    text += fmt::format("{:#018x}  {:8}  {:>9}  {:>9}  {:>8.1f}  {:>8.1f}  {:>11}  {:>8.1f}  {:>11}\n",
                        site.address.value(), x86::name(site.lane), s.hits, s.false_hits, mean,
                        us(s.max_ns), s.others_held, us(s.others_held_ns), shown_process(site));
  }
  return say_back(std::move(text));
}

// ---- settings ----------------------------------------------------------------------------------

template <LogTopic topic, char kind>
MonitorResult toggle(std::string_view value, MonitorContext) {
  if (value != "0" && value != "1") return refuse("Unknown monitor command.\n\n");
  const bool on = value == "1";
  debug_log().enable(topic, on);
  constexpr std::string_view what = kind == 'g'   ? "Debug output"
                                    : kind == 'h' ? "H/W point debugging output"
                                    : kind == 'p' ? "Protocol debug output"
                                                  : "Event loop debug output";
  return say_back(fmt::format("{} {}.\n", what, on ? "enabled" : "disabled"));
}

MonitorResult follow(std::string_view value, MonitorContext context) {
  if (value != "0" && value != "1") return refuse("Unknown monitor command.\n\n");
  const bool on = value == "1";
  if (context.engine.follower() != nullptr) context.engine.follower()->enable(on);
  return say_back(on ? "A thread that hits all the time is followed where that pays.\n"
                     : "The server runs on any processor.\n");
}

struct DebugComponent {
  std::string_view name;
  unsigned topics;
};
constexpr DebugComponent debug_components[] = {
    {"all", all_log_topics},
    {"threads", static_cast<unsigned>(LogTopic::threads)},
    {"remote", static_cast<unsigned>(LogTopic::remote)},
    {"event-loop", static_cast<unsigned>(LogTopic::event_loop)},
};

struct FirstWord {
  std::string_view word;  // empty when the text has none
  std::string_view rest;  // without spaces in front
};

FirstWord first_word(std::string_view text) {
  const auto skip_spaces = [](std::string_view in) {
    return in.substr(std::min(in.find_first_not_of(' '), in.size()));
  };
  text = skip_spaces(text);
  const std::string_view word = text.substr(0, text.find(' '));
  return {word, skip_spaces(text.substr(word.size()))};
}

std::optional<bool> on_or_off(std::string_view word) {
  if (word == "1" || word == "on") return true;
  if (word == "0" || word == "off") return false;
  return std::nullopt;
}

MonitorResult refuse_junk(std::string_view junk, std::string_view command) {
  return refuse(fmt::format("Junk '{}' found at end of 'set debug {}' command.\n", junk, command));
}

MonitorResult debug_in_general(std::string_view value, bool on, MonitorContext context) {
  const bool is_number = value == "0" || value == "1";
  if (is_number && !context.client_is_gdb_16) return toggle<LogTopic::threads, 'g'>(value, context);
  if (on)
    debug_log().enable(LogTopic::threads, true);
  else
    debug_log().set_topics(0);
  return say_back(on ? "General debug output enabled.\n" : "All debug output disabled.\n");
}

MonitorResult debug_component(std::string_view name, std::string_view arguments) {
  const auto [value, junk] = first_word(arguments);
  if (value.empty())
    return refuse(fmt::format("Missing value for 'set debug {}' command.\n", name));
  if (!junk.empty()) return refuse_junk(junk, fmt::format("{} {}", name, value));
  const auto on = on_or_off(value);
  if (!on) return refuse(fmt::format("Invalid value '{}' for 'set debug {}'.\n", value, name));
  const auto component = std::ranges::find(debug_components, name, &DebugComponent::name);
  if (component == std::end(debug_components))
    return refuse(fmt::format("Error: unknown debug option '{}'\n", name));
  for (const LogTopic topic : {LogTopic::threads, LogTopic::remote, LogTopic::event_loop})
    if ((component->topics & static_cast<unsigned>(topic)) != 0) debug_log().enable(topic, *on);
  return say_back(fmt::format("Debug output for '{}' {}.\n", name, *on ? "enabled" : "disabled"));
}

// gdbserver 13 has 0 and 1; gdbserver 16 on and off besides, also for one component. The sentences
// are those of gdbserver 16; for 0 and 1 a client older than gdb 16 gets those of gdbserver 13.
MonitorResult debug(std::string_view value, MonitorContext context) {
  const auto [word, rest] = first_word(value);
  if (word.empty()) return refuse("No debug component name found.\n");
  if (word.find(',') != word.npos || word.starts_with('-') || word.starts_with('+'))
    return refuse("Invalid character found in debug component name.\n");
  const auto on = on_or_off(word);
  if (!on) return debug_component(word, rest);
  if (!rest.empty()) return refuse_junk(rest, word);
  return debug_in_general(word, *on, context);
}

MonitorResult debug_format(std::string_view options, MonitorContext) {
  std::string text;
  debug_log().set_timestamps(false);
  while (!options.empty()) {
    const std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(options.size(), option.size() + 1));
    if (option == "all") {
      debug_log().set_timestamps(true);
      text += "All extra debug format options enabled.\n";
    } else if (option == "none") {
      debug_log().set_timestamps(false);
      text += "All extra debug format options disabled.\n";
    } else if (option == "timestamp") {
      debug_log().set_timestamps(true);
      text += "Timestamps will be added to debug output.\n";
    } else if (!option.empty()) {
      return refuse(fmt::format("{}Unknown debug-format argument: \"{}\"\n", text, option));
    }
  }
  return say_back(std::move(text));
}

MonitorResult thread_db_path(std::string_view path, MonitorContext context) {
  if (context.no_run && !path.empty())
    return {"Choosing the server's libraries is switched off (--no-run)\n", true, false};
  context.tls.library_path = path.empty() ? TlsOptions{}.library_path : std::string(path);
  return say_back(fmt::format("libthread-db-search-path set to `{}'\n", context.tls.library_path));
}

MonitorResult help(std::string_view, MonitorContext) { return say_back(help_text()); }
MonitorResult leave(std::string_view, MonitorContext) { return {"", false, true}; }

enum class Value : std::uint8_t { none, needed, possible };

struct Command {
  std::string_view name;
  Value value;
  bool only_looks;
  MonitorResult (*run)(std::string_view value, MonitorContext context);
};

constexpr Command commands[] = {
    {"help", Value::none, true, help},
    {"exit", Value::none, false, leave},
    {"sites", Value::none, true, sites},
    {"stats", Value::none, true, stats},
    {"condition", Value::possible, false, monitor_condition},
    {"set debug", Value::needed, false, debug},
    {"set debug-hw-points", Value::needed, false, toggle<LogTopic::threads, 'h'>},
    {"set remote-debug", Value::needed, false, toggle<LogTopic::remote, 'p'>},
    {"set event-loop-debug", Value::needed, false, toggle<LogTopic::event_loop, 'e'>},
    {"set debug-format", Value::needed, false, debug_format},
    {"set follow", Value::needed, false, follow},
    {"set libthread-db-search-path", Value::possible, false, thread_db_path},
};

}  // namespace

void PastSites::add(Pid pid, const Site& site) {
  if (!site.client) return;
  if (size() >= most_past_sites && !living_.contains({pid, site.address})) return;
  merge(living_[{pid, site.address}], pid, site);
}

void PastSites::end(const Inferior& process) {
  if (process.space->users.size() == 1)  // else its sites are those of another process as well
    process.space->sites.for_each([&](const Site& site) { add(process.pid, site); });
  const auto first = living_.lower_bound({process.pid, Address()});
  auto it = first;
  for (; it != living_.end() && it->first.first == process.pid; ++it) {
    SiteRecord& own = it->second;
    const auto [sum, is_new] = ended_.try_emplace(own.address, own);
    if (is_new) continue;
    add_up(own.statistics, sum->second.statistics);
    own.processes += sum->second.processes;
    sum->second = own;
  }
  living_.erase(first, it);
}

std::vector<SiteRecord> PastSites::with_present(Engine& engine) const {
  auto all = living_;
  for (const Pid pid : engine.processes())
    engine.find(pid)->space->sites.for_each([&](const Site& site) {
      SiteRecord& record = all[{pid, site.address}];
      record.in = true;
      merge(record, pid, site);
    });
  std::vector<SiteRecord> list;
  for (const auto& [address, record] : ended_) list.push_back(record);
  for (const auto& [key, record] : all) list.push_back(record);
  return list;
}

bool monitor_command_only_looks(std::string_view text) {
  const auto command = std::ranges::find(commands, text, &Command::name);
  return command != std::end(commands) && command->only_looks;
}

MonitorResult run_monitor_command(std::string_view text, MonitorContext context) {
  for (const Command& command : commands) {
    if (text == command.name && command.value != Value::needed) return command.run("", context);
    if (command.value == Value::none || !text.starts_with(command.name)) continue;
    std::string_view value = text.substr(command.name.size());
    if (!value.starts_with(' ')) continue;
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return command.run(value, context);
  }
  return refuse("Unknown monitor command.\n\n");
}

}  // namespace stub
