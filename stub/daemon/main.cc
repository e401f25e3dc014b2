// argv in, a served session out. The order is gdbserver's, which scripts rely on: the address first
// (nothing is started when it cannot be had), then the program, then "Listening on port N".
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "stub/base/log.h"
#include "stub/base/printable.h"
#include "stub/daemon/command_line.h"
#include "stub/daemon/crash.h"
#include "stub/daemon/guardian.h"
#include "stub/engine/engine.h"
#include "stub/kernel/daemon_signals.h"
#include "stub/kernel/linux_tracee.h"
#include "stub/kernel/retrying_tracee.h"
#include "stub/launch/launch.h"
#include "stub/launch/signal_state.h"
#include "stub/launch/terminal.h"
#include "stub/session/session.h"
#include "stub/transport/listener.h"
#include "stub/transport/server.h"

namespace {

using namespace stub;

constexpr int failure = 1;

int fail_with(std::string_view text) {
  say(text);
  say("Exiting");
  return failure;
}

void configure_log(const DebugOptions& debug) {
  debug_log().set_topics(debug.topics);
  debug_log().set_timestamps(debug.timestamps);
  if (debug.file.empty() || debug_log().open_file(debug.file.c_str())) return;
  say(fmt::format("Cannot open {} for writing. {}. Switching to stderr.", debug.file,
                  std::strerror(errno)));
}

bool write_port_file(const Options& options, const Listener& listener) {
  if (options.port_file.empty() || !listener.port()) return true;
  std::ofstream file(options.port_file);
  file << *listener.port() << '\n';
  return static_cast<bool>(file.flush());
}

LaunchSpec launch_spec(const Options& options, Terminal& terminal) {
  LaunchSpec spec;
  spec.program = options.program;
  spec.wrapper = options.wrapper;
  spec.environment = Environment::of_this_process();
  spec.startup_with_shell = options.startup_with_shell;
  spec.disable_randomization = options.disable_randomization;
  spec.redirect_stdio = std::holds_alternative<StdioEndpoint>(options.endpoint);
  spec.terminal = &terminal;
  return spec;
}

Result<void> take_on_process(const Options& options, const LaunchSpec& spec, Engine& engine) {
  if (options.attach) {
    hold_daemon_signals();  // in the middle of it, threads have been stopped, with signals of
                            // theirs
    const auto attached = engine.attach(Pid{*options.attach});
    if (attached) say(fmt::format("Attached; pid = {}", *options.attach));
    return attached;
  }
  if (options.program.empty()) return {};
  if (options.program.front().empty()) return fail(Errc::refused, "No executable file specified.");
  const auto launched = launch(spec, engine.tracee());
  if (!launched) return tl::unexpected(launched.error());
  engine.adopt_launched(*launched);
  return {};
}

SessionSettings session_settings(const Options& options, const LaunchSpec& spec, Tracee& tracee) {
  SessionSettings settings;
  settings.multi = options.multi;
  settings.once = options.once;
  // gdb shows what a server at the other end of a pipe says, and tells of the end itself.
  settings.announce_ends = !std::holds_alternative<StdioEndpoint>(options.endpoint);
  settings.disabled = options.disabled;
  settings.host_io = options.host_io;
  settings.no_run = options.no_run;
  settings.observe = options.observe;
  settings.on_disconnect = options.on_disconnect;
  settings.turn = std::chrono::milliseconds(20);
  settings.launch = spec;
  settings.launcher = [&tracee](const LaunchSpec& program) { return launch(program, tracee); };
  // Where the client is at the other end of stdout, that is not for text.
  const int console = settings.announce_ends ? STDOUT_FILENO : STDERR_FILENO;
  settings.console = [console](std::string_view text) {
    write_text(console, printable(text, "\n\t"));
  };
  return settings;
}

// What is opened later must not take the place of a stream that the caller has closed: messages
// would go into it. A program that is started finds it closed all the same.
void occupy_standard_streams() {
  int fd = 0;
  do fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

// As if the caller had left them alone; what programs are started with has been captured.
void set_own_signals() {
  std::signal(SIGCHLD, SIG_DFL);  // ignored, it takes the statuses of children away (wait(2))
  std::signal(SIGPIPE, SIG_IGN);  // whoever has read our messages may be gone
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write(2) then
}

bool is_child(Pid pid) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(raw(pid)), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// A client of `target remote` has detached from programs that were started here. As with gdbserver
// they keep the terminal, and the caller, who waits for this server, waits for them. The engine
// still has something to do for them: a thread that was killed while it was detached from is ours
// to wait for, and its process does not end before (kernel/exit.c, delay_group_leader); one asleep
// in vfork can only be let go when it wakes up. Returns the signal that ends this server first, or
// 0.
int join(Engine& engine, const std::vector<Pid>& children) {
  for (const Pid child : children)
    for (engine.on_child_event(); is_child(child); engine.on_child_event()) {
      const int signal = take_daemon_signal(engine.poll_after());
      if (signal != 0 && signal != SIGCHLD) return signal;
    }
  return 0;
}

int serve(Options options, pid_t process_group) {
  auto listener = Listener::open(options.endpoint, options.comm, options.allowed_users);
  if (!listener) return fail_with(listener.error().text);
  options.once = options.once || listener->is_connection();

  Terminal terminal(process_group);
  LinuxTracee kernel;
  RetryingTracee tracee(kernel);
  ProcessorFollower follower(ProcessorFollower::linux_scheduler());
  Engine engine(tracee);
  engine.set_follower(&follower);
  const LaunchSpec spec = launch_spec(options, terminal);
  if (auto taken = take_on_process(options, spec, engine); !taken)
    return fail_with(taken.error().text);
  Session session(engine, session_settings(options, spec, tracee));
  if (!write_port_file(options, *listener)) {
    const int error = errno;
    session.end_all();
    return fail_with(fmt::format("{}: {}", options.port_file, std::strerror(error)));
  }

  int signal = 0;
  {
    Server server(*listener, options.once);
    signal = server.run(session);
  }
  listener->close_sockets();  // whoever comes next may have them at once
  session.end_all();
  engine.wait_for_sleepers();
  if (signal == 0) signal = join(engine, session.children_to_join());
  terminal.take_back();
  if (signal != 0) die_of(signal);  // the caller sees what it would have seen had we not caught it
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  clean_up_if_crashed(argc, argv);
  (void)initial_signal_state();  // before anything changes it
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const auto options = parse_command_line(arguments);
  if (!options) {
    std::fputs(options.error().out.c_str(), stdout);
    std::fputs(options.error().err.c_str(), stderr);
    return options.error().code;
  }
  configure_log(options->debug);
  const pid_t process_group = getpgrp();
  const bool reads_terminal =
      std::holds_alternative<StdioEndpoint>(options->endpoint) && isatty(STDIN_FILENO) == 1;
  set_own_signals();
  if (const auto status = stand_guard({.one_group = reads_terminal, .argc = argc, .argv = argv}))
    return *status;
  clean_up_on_crash();
  return serve(*options, process_group);
}
