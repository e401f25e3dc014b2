// gdbserver's grammar is older than any option library: options end at COMM, `--attach` may also
// follow it, `--wrapper` swallows words up to `--`, and whatever comes after PROG is the program's
// own, dashes or not. So the words are divided here, and CLI11 sees only the run of options in
// front of COMM, each one a single word (`--name` or `--name=value`).
#include "stub/daemon/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "stub/base/log.h"

namespace stub {
namespace {

constexpr std::string_view usage_text =
    R"(Usage:	sidestep [OPTIONS] COMM PROG [ARGS ...]
	sidestep [OPTIONS] --attach COMM PID
	sidestep [OPTIONS] --multi COMM

COMM is HOST:PORT (TCP; :PORT or PORT listens on this machine's loopback only,
0.0.0.0:PORT or [::]:PORT on every interface; port 0 takes a free one),
unix:PATH, 'systemd' (sockets passed by a service manager), a tty device, or
'-' or 'stdio' for stdin and stdout.
PROG is the program to start, ARGS are its arguments.
PID is the process to attach to.

Operating modes:

  --attach              Attach to the running process PID.
  --multi               Start without a program; stay until told to quit.
  --once                Quit when the first connection closes.
  --on-disconnect=keep|detach|kill
                        What to do with the programs when the connection is
                        lost (keep; with --once started ones are killed,
                        attached ones let go).
  --allow-user=NAME|UID Let this user connect as well ('*': everybody). On this
                        machine only the server's own user and root may.
  --host-io=off|read|full
                        What the client may do with files (full).
  --no-run              The client starts no programs; without --multi it attaches
                        to none either.
  --observe             More clients may connect, to look on: they can read
                        and change nothing.
  --help                Print this text and quit.
  --version             Print the version and quit.

Starting programs:

  --wrapper WRAPPER --  Start programs by means of WRAPPER.
  --disable-randomization, --no-disable-randomization
                        Without or with address space randomization
                        (without is the default).
  --startup-with-shell, --no-startup-with-shell
                        Start PROG through $SHELL (default) or directly.
  --port-file=FILE      Write the TCP port to FILE once it is listened on.

Debug options:

  --debug[=OPT1,OPT2,...]
                        Debug output of: all, threads, event-loop, remote
                        (threads when nothing is said; '-' in front of one
                        excludes it).
  --debug-format=OPT1[,OPT2,...]
                        Additions to debug output: all, none, timestamp.
  --debug-file=FILE     Debug output goes to FILE.
  --remote-debug        The same as --debug=remote.
  --event-loop-debug    The same as --debug=event-loop.
  --disable-packet=OPT1[,OPT2,...]
                        Do not know: vCont, T, Tthread, qC, qfThreadInfo,
                        threads (all of them but T).
  --selftest            Accepted; the tests are programs of their own.
)";

constexpr std::string_view version_text =
    "sidestep " SIDESTEP_VERSION
    ", in place of GNU gdbserver 13 to 16\n"
    "Breakpoints are stepped over out of line: a hit never stops another thread.\n"
    "This sidestep was configured as \"x86_64-linux-gnu\"\n"
#if SIDESTEP_STATIC
    "Statically linked: without libthread_db (thread-local variables are found by the thread\n"
    "pointer and the link map), and host names are looked up in /etc/hosts and by DNS only.\n"
#endif
    ;

constexpr std::string_view disableable_text =
    "Disableable packets:\n"
    "  vCont       \tAll vCont packets\n"
    "  qC          \tQuerying the current thread\n"
    "  qfThreadInfo\tThread listing\n"
    "  Tthread     \tPassing the thread specifier in the T stop reply packet\n"
    "  threads     \tAll of the above\n"
    "  T           \tAll 'T' packets\n";

using Words = std::vector<std::string>;

tl::unexpected<EarlyExit> quit(std::string_view out) {
  return tl::unexpected(EarlyExit{0, std::string(out), {}});
}
tl::unexpected<EarlyExit> misuse(std::string err) {
  return tl::unexpected(EarlyExit{1, {}, std::move(err)});
}
tl::unexpected<EarlyExit> usage() { return misuse(std::string(usage_text)); }

// The words as gdbserver divides them.
struct Division {
  Words options;  // before COMM, without --wrapper and its words
  std::optional<Words> wrapper;
  Words rest;  // COMM and everything after it
};

tl::expected<Division, EarlyExit> divide(std::span<const std::string> args) {
  Division division;
  auto next = args.begin();
  for (; next != args.end() && next->starts_with("-") && *next != "-"; ++next) {
    if (*next != "--wrapper") {
      division.options.push_back(*next);
      continue;
    }
    const auto end = std::find(next + 1, args.end(), "--");
    if (end == args.end() || end == next + 1) return usage();
    division.wrapper = Words(next + 1, end);
    next = end;
  }
  division.rest.assign(next, args.end());
  return division;
}

// Empty items count for nothing, as with strtok(3).
std::vector<std::string_view> split_list(std::string_view list) {
  std::vector<std::string_view> items;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    if (!item.empty()) items.push_back(item);
  }
  return items;
}

// CLI11 takes no empty values. Where they mean something, the word never gets there.
bool is_empty_value(std::string_view word) {
  return word == "--debug=" || word == "--debug-format=" || word == "--debug-file=" ||
         word == "--disable-packet=";
}

// What CLI11 fills in.
struct Switches {
  Options options;
  bool attach = false, help = false, version = false;
  bool remote_debug = false, event_loop_debug = false;
  std::string on_disconnect, host_io;
  Words allowed_users;
  std::optional<std::string> debug, debug_format, disable_packet, selftest;  // "": without a value
};

void declare(CLI::App& app, Switches& to) {
  Options& options = to.options;
  app.set_help_flag();
  app.allow_extras();
  const auto flag = [&app](const char* names, bool& value) {
    app.add_flag(names, value)->disable_flag_override();  // no --once=0
  };
  flag("--help", to.help);
  flag("--version", to.version);
  flag("--attach", to.attach);
  flag("--multi", options.multi);
  flag("--once", options.once);
  flag("--disable-randomization,!--no-disable-randomization", options.disable_randomization);
  flag("--startup-with-shell,!--no-startup-with-shell", options.startup_with_shell);
  flag("--remote-debug", to.remote_debug);
  flag("--event-loop-debug", to.event_loop_debug);
  app.add_option("--on-disconnect", to.on_disconnect)
      ->check(CLI::IsMember({"keep", "detach", "kill"}));
  app.add_option("--host-io", to.host_io)->check(CLI::IsMember({"off", "read", "full"}));
  app.add_option_function<std::string>(
      "--allow-user", [&to](const std::string& user) { to.allowed_users.push_back(user); });
  flag("--no-run", options.no_run);
  flag("--observe", options.observe);
  app.add_option("--port-file", options.port_file);
  app.add_option("--debug-file", options.debug.file);
  app.add_option("--debug-format", to.debug_format);
  app.add_option("--debug", to.debug)->expected(0, 1);
  app.add_option("--disable-packet", to.disable_packet)->expected(0, 1);
  app.add_option("--selftest", to.selftest)->expected(0, 1);
}

tl::expected<Switches, EarlyExit> parse_switches(const Words& options) {
  CLI::App app;
  Switches switches;
  declare(app, switches);
  // One word at a time, so that no option takes its neighbour for a value and a misuse can name
  // the word it is about.
  for (const std::string& word : options) {
    if (is_empty_value(word)) continue;
    bool known = word != "--";
    try {
      if (known) app.parse(Words{word});
      known = known && app.remaining().empty();
    } catch (const CLI::ValidationError& wrong) {
      return misuse(std::string(wrong.what()) + "\n");
    } catch (const CLI::ParseError&) {
      known = false;
    }
    if (!known) return misuse("Unknown argument: " + word + "\n");
    if (switches.help) return quit(usage_text);
    if (switches.version) return quit(version_text);
  }
  return switches;
}

std::optional<unsigned> log_topic(std::string_view name) {
  static const std::map<std::string_view, unsigned> names = {
      {"all", all_log_topics},
      {"threads", static_cast<unsigned>(LogTopic::threads)},
      {"event-loop", static_cast<unsigned>(LogTopic::event_loop)},
      {"remote", static_cast<unsigned>(LogTopic::remote)},
  };
  const auto found = names.find(name);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

tl::expected<unsigned, EarlyExit> debug_topics(const Switches& switches) {
  unsigned topics = 0;
  if (switches.remote_debug) topics |= *log_topic("remote");
  if (switches.event_loop_debug) topics |= *log_topic("event-loop");
  if (!switches.debug) return topics;
  if (switches.debug->empty()) return topics | *log_topic("threads");
  for (std::string_view item : split_list(*switches.debug)) {
    const bool exclude = item.starts_with("-");
    if (exclude) item.remove_prefix(1);
    const auto topic = log_topic(item);
    if (!topic) return misuse("gdbserver: unknown debug option '" + std::string(item) + "'\n");
    topics = exclude ? topics & ~*topic : topics | *topic;
  }
  return topics;
}

tl::expected<bool, EarlyExit> debug_timestamps(const Switches& switches) {
  bool timestamps = false;
  if (!switches.debug_format) return timestamps;
  for (std::string_view item : split_list(*switches.debug_format)) {
    if (item == "all" || item == "timestamp")
      timestamps = true;
    else if (item == "none")
      timestamps = false;
    else
      return misuse("Unknown debug-format argument: \"" + std::string(item) + "\"\n");
  }
  return timestamps;
}

tl::expected<DisabledPackets, EarlyExit> disabled_packets(std::string_view list) {
  DisabledPackets disabled;
  for (std::string_view item : split_list(list)) {
    const bool threads = item == "threads";
    if (!threads && item != "vCont" && item != "Tthread" && item != "qC" &&
        item != "qfThreadInfo" && item != "T")
      return misuse("Don't know how to disable \"" + std::string(item) + "\".\n\n" +
                    std::string(disableable_text));
    if (threads || item == "vCont") disabled.vcont = true;
    if (threads || item == "Tthread") disabled.thread_in_stop = true;
    if (threads || item == "qC") disabled.current_thread = true;
    if (threads || item == "qfThreadInfo") disabled.thread_list = true;
    if (item == "T") disabled.stop_with_details = true;
  }
  return disabled;
}

std::optional<OnDisconnect> on_disconnect(std::string_view word) {
  if (word == "keep") return OnDisconnect::keep;
  if (word == "detach") return OnDisconnect::detach;
  if (word == "kill") return OnDisconnect::kill;
  return std::nullopt;
}

HostIoPolicy host_io(std::string_view word) {
  if (word == "off") return HostIoPolicy::off;
  return word == "read" ? HostIoPolicy::read : HostIoPolicy::full;
}

// strtoul's base 0: decimal, 0x and octal, as gdbserver takes it.
tl::expected<pid_t, EarlyExit> parse_pid(const std::string& text) {
  char* end = nullptr;
  const auto value = static_cast<pid_t>(std::strtoul(text.c_str(), &end, 0));
  if (text.empty() || *end != '\0' || value == 0) return usage();
  if (value > 0) return value;
  // Such numbers name groups of processes to kill(2) and waitpid(2): no further with them.
  return misuse("Cannot attach to process " + std::to_string(value) +
                ": No such process (3)\nExiting\n");
}

// COMM and what follows it.
tl::expected<void, EarlyExit> take_operands(std::span<const std::string> words, bool attach,
                                            Options& options) {
  if (words.empty()) return usage();
  options.comm = words.front();
  options.endpoint = parse_endpoint(options.comm);
  // Nobody can connect a second time to stdin; waiting for that would hang.
  if (std::holds_alternative<StdioEndpoint>(options.endpoint)) options.once = true;
  words = words.subspan(1);
  if (!words.empty() && words.front() == "--attach") {
    attach = true;
    words = words.subspan(1);
  }
  if (attach) {
    if (words.size() != 1) return usage();
    const auto pid = parse_pid(words.front());
    if (!pid) return tl::unexpected(pid.error());
    options.attach = *pid;
  } else {
    if (words.empty() && !options.multi) return usage();
    options.program.assign(words.begin(), words.end());
  }
  return {};
}

}  // namespace

tl::expected<Options, EarlyExit> parse_command_line(std::span<const std::string> args) {
  auto division = divide(args);
  if (!division) return tl::unexpected(division.error());
  auto switches = parse_switches(division->options);
  if (!switches) return tl::unexpected(switches.error());
  if (switches->selftest) return quit("Selftests have been disabled for this build.\n");

  Options options = std::move(switches->options);
  options.on_disconnect = on_disconnect(switches->on_disconnect);
  options.host_io = host_io(switches->host_io);
  for (const std::string& user : switches->allowed_users)
    if (auto allowed = allow_user(user, options.allowed_users); !allowed)
      return misuse(allowed.error().text + "\n");
  if (division->wrapper) options.wrapper = std::move(*division->wrapper);

  if (switches->disable_packet) {
    if (switches->disable_packet->empty()) return quit(disableable_text);
    auto disabled = disabled_packets(*switches->disable_packet);
    if (!disabled) return tl::unexpected(disabled.error());
    options.disabled = *disabled;
  }
  auto topics = debug_topics(*switches);
  if (!topics) return tl::unexpected(topics.error());
  options.debug.topics = *topics;
  auto timestamps = debug_timestamps(*switches);
  if (!timestamps) return tl::unexpected(timestamps.error());
  options.debug.timestamps = *timestamps;

  if (auto taken = take_operands(division->rest, switches->attach, options); !taken)
    return tl::unexpected(taken.error());
  return options;
}

}  // namespace stub
