// From fork to the first instruction.
//
// The child must be traced before it executes anything, and PTRACE_SEIZE can only be done by the
// parent. A child that stops itself (SIGSTOP) would have to be brought out of a group-stop again; a
// pipe it reads from needs no signal at all: the parent seizes, lends the terminal, and then lets
// go by writing to it.
//
// A program started through a shell and a wrapper goes through several execs: shell, wrapper,
// program. Each is a PTRACE_EVENT_EXEC; the last of them is the program. At that event the thread
// is still inside execve, and a single step from there would report the end of the system call
// before any instruction ran. So the thread is sent on into an interrupt stop, which it reaches on
// its way back to user mode: after the system call, in front of the first instruction (ptrace(2),
// PTRACE_INTERRUPT; kernel/signal.c takes this trap before it delivers any signal).
#include "stub/launch/launch.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>
#include <variant>

#include "stub/base/log.h"
#include "stub/base/printable.h"
#include "stub/base/unique_fd.h"
#include "stub/kernel/daemon_signals.h"
#include "stub/kernel/exec_pkru.h"
#include "stub/kernel/ptrace_refusal.h"
#include "stub/kernel/wait_status.h"
#include "stub/launch/signal_state.h"

namespace stub {
namespace {

// Exit status of a child that could not become the program, as shells have it.
constexpr int cannot_run = 127;

// The ends of the pipes that the child has: `gate` it reads from until it may go on, `report` gets
// a sentence if it cannot become the program, and is closed by its first exec.
struct ChildEnds {
  int gate = -1;
  int report = -1;
};

[[noreturn]] void give_up(std::string_view what, int error, int report) {
  say(fmt::format("gdbserver: {}", what));
  say(fmt::format("gdbserver: Error: {}", std::strerror(error)));
  const std::string why = fmt::format("{}: {}", what, std::strerror(error));
  [[maybe_unused]] const ssize_t written = write(report, why.data(), why.size());
  _exit(cannot_run);
}

// A shell prints the name of a program that it does not find as it is. Commands for a terminal in
// it, or lines that look like the server's, are a client's doing.
void refuse_unprintable(const LaunchSpec& spec, int report) {
  const std::string program = resolve_program(spec.program.front());
  if (printable(program) != program && access(program.c_str(), X_OK) != 0)
    give_up("Cannot exec " + program, errno, report);
}

std::string startup_shell() {
  const char* shell = std::getenv("SHELL");
  return shell != nullptr && *shell != '\0' ? shell : "/bin/sh";
}

// What the child executes first, and how many execs it takes to arrive at the program.
struct Command {
  std::vector<std::string> words;
  int execs = 1;
};

Command command_of(const LaunchSpec& spec) {
  std::vector<std::string> words = spec.wrapper;
  words.insert(words.end(), spec.program.begin(), spec.program.end());
  words[spec.wrapper.size()] = resolve_program(spec.program.front());
  const int execs = spec.wrapper.empty() ? 1 : 2;
  if (!spec.startup_with_shell) return {std::move(words), execs};
  return {{startup_shell(), "-c", "exec " + shell_command(words)}, execs + 1};
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

void redirect_stdio() {
  close(STDIN_FILENO);
  open("/dev/null", O_RDONLY);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  say("stdin/stdout redirected");
}

void open_streams(const LaunchSpec& spec, int report) {
  for (int fd = 0; fd < 3; ++fd) {
    const std::string& path = spec.streams[static_cast<std::size_t>(fd)];
    if (path.empty()) continue;
    const int flags = fd == STDIN_FILENO ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
    const int opened = open(path.c_str(), flags | O_NOCTTY, 0666);
    if (opened < 0) give_up("Cannot open " + path, errno, report);
    if (opened != fd) {
      dup2(opened, fd);
      close(opened);
    }
  }
}

// Returns when the parent has written a byte. One that has died has closed its end without: then
// the program would run untraced, and after the daemon's end.
void wait_for_parent(int gate) {
  char byte;
  ssize_t got;
  do got = read(gate, &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) _exit(cannot_run);
}

void let_child_go(UniqueFd gate) {
  constexpr char byte = 0;
  while (write(gate.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}

[[noreturn]] void become_program(const LaunchSpec& spec, const Command& command,
                                 const ChildEnds& ends) {
  setpgid(0, 0);
  initial_signal_state().restore();
  wait_for_parent(ends.gate);  // before anything that can fail: nobody can seize a dead child
  if (spec.redirect_stdio) redirect_stdio();
  open_streams(spec, ends.report);
  if (!spec.working_directory.empty() && chdir(spec.working_directory.c_str()) != 0)
    give_up("Cannot change to directory " + spec.working_directory, errno, ends.report);
  if (spec.disable_randomization) {
    // 0xffffffff asks without changing anything.
    const int persona = personality(0xffffffff);
    if (persona != -1) personality(static_cast<unsigned long>(persona) | ADDR_NO_RANDOMIZE);
  }
  if (spec.startup_with_shell) refuse_unprintable(spec, ends.report);
  auto arguments = pointers(command.words);
  auto environment = pointers(spec.environment.entries());
  environ = environment.data();  // execvp searches the PATH that the program will see
  execvp(arguments[0], arguments.data());
  give_up("Cannot exec " + command.words.front(), errno, ends.report);
}

// The child is ours and has executed nothing yet.
void abandon(pid_t child, Tracee& tracee) {
  ::kill(child, SIGKILL);
  while (tracee.wait_for(Tid{child}).has_value()) {
  }
}

tl::unexpected<Error> never_ran(const WaitStatus& status) {
  if (const auto* killed = std::get_if<Killed>(&status)) {
    const char* name = sigabbrev_np(killed->signal);
    return fail(Errc::refused,
                fmt::format("During startup program terminated with signal SIG{}, {}.",
                            name != nullptr ? name : std::to_string(killed->signal),
                            strsignal(killed->signal)));
  }
  const int code = std::get<Exited>(status).code;
  if (code == 0) return fail(Errc::refused, "During startup program exited normally.");
  return fail(Errc::refused, fmt::format("During startup program exited with code {}.", code));
}

// A process that the shell or the wrapper started: none of our business.
void release_child_of(Tid parent, Tracee& tracee) {
  const auto child = tracee.event_message(parent);
  if (!child) return;
  const Tid tid{static_cast<pid_t>(*child)};
  // Its first stop is already due, the kernel has attached it.
  if (tracee.wait_for(tid)) (void)tracee.detach(tid, 0);
}

// SIGCHLD is blocked while this lives, so that it can be waited for.
class BlockedChildSignal {
 public:
  BlockedChildSignal() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &before_);
  }
  ~BlockedChildSignal() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  BlockedChildSignal(const BlockedChildSignal&) = delete;
  BlockedChildSignal& operator=(const BlockedChildSignal&) = delete;

 private:
  sigset_t before_;
};

// Waits for the child's next stop or its end; not if we are to end meanwhile: a shell or a wrapper
// may wait for something that never comes (a password), and other programs are to be let go.
bool wait_unless_ended(Tid child) {
  constexpr timespec look_again{0, 100'000'000};
  const BlockedChildSignal blocked;
  while (!is_to_end()) {
    siginfo_t info{};
    const auto options = WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL;
    if (waitid(P_PID, static_cast<id_t>(raw(child)), &info, options) != 0 || info.si_pid != 0)
      return true;
    wait_for_child_signal(look_again);
  }
  return false;
}

// Follows the child through its execs until it stands at the event of the last one.
Result<void> follow_execs(Tid tid, int execs, Tracee& tracee) {
  while (true) {
    if (!wait_unless_ended(tid)) {
      abandon(raw(tid), tracee);
      return fail(Errc::refused, "The server is about to end");
    }
    const auto next = tracee.wait_for(tid);
    if (!next) return fail(Errc::refused, "During startup program vanished.");
    const WaitStatus status = decode_wait_status(next->status);
    if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status))
      return never_ran(status);
    int signal = 0;
    if (const auto* stop = std::get_if<SignalStop>(&status)) signal = stop->signal;
    if (const auto* stop = std::get_if<EventStop>(&status)) {
      if (stop->event == PtraceEvent::exec) {
        if (--execs == 0) return {};
      } else if (stop->event != PtraceEvent::vfork_done) {
        release_child_of(tid, tracee);
      }
    }
    // A failure means that it was killed meanwhile; the next wait says so.
    (void)tracee.resume(tid, ResumeHow::run, signal);
  }
}

// From the event of execve to the first instruction.
Result<void> finish_exec(Tid tid, Tracee& tracee) {
  (void)tracee.interrupt(tid);
  (void)tracee.resume(tid, ResumeHow::run, 0);
  const auto next = tracee.wait_for(tid);
  if (!next) return fail(Errc::refused, "During startup program vanished.");
  const WaitStatus status = decode_wait_status(next->status);
  if (std::holds_alternative<Exited>(status) || std::holds_alternative<Killed>(status))
    return never_ran(status);
  complete_pkru_after_exec(tracee, tid);
  return {};
}

struct Pipe {
  UniqueFd reader, writer;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return fail(Errc::system, fmt::format("Cannot create pipe: {}", std::strerror(errno)), errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Afterwards each process has its own ends only.
Result<pid_t> fork_program(const LaunchSpec& spec, const Command& command, Pipe& gate,
                           Pipe& report) {
  const pid_t child = fork();
  if (child == 0) {
    gate.writer = UniqueFd();
    report.reader = UniqueFd();
    become_program(spec, command, {.gate = gate.reader.get(), .report = report.writer.get()});
  }
  const int error = errno;
  gate.reader = UniqueFd();
  report.writer = UniqueFd();
  if (child < 0)
    return fail(Errc::system, fmt::format("Cannot fork: {}", std::strerror(error)), error);
  return child;
}

// What a child has reported that has died since.
std::string read_report(int fd) {
  char text[PIPE_BUF];
  const ssize_t got = read(fd, text, sizeof text);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : std::string();
}

}  // namespace

std::string resolve_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  struct stat info;
  if (stat(name.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return name;
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  return error ? name : (here / name).string();
}

std::string shell_command(const std::vector<std::string>& words) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%";
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (char c : word) {
      if (c == '\'')
        line += "'\\''";
      else
        line += c;
    }
    line += '\'';
  }
  return line;
}

Result<Pid> launch(const LaunchSpec& spec, Tracee& tracee) {
  assert(!spec.program.empty());
  const Command command = command_of(spec);
  auto gate = make_pipe();
  if (!gate) return tl::unexpected(gate.error());
  auto report = make_pipe();
  if (!report) return tl::unexpected(report.error());
  const auto forked = fork_program(spec, command, *gate, *report);
  if (!forked) return tl::unexpected(forked.error());

  const pid_t child = *forked;
  const Tid tid{child};
  setpgid(child, child);  // the child does it, too; whoever is first
  if (auto seized = tracee.seize(tid, spec.lifetime); !seized) {
    abandon(child, tracee);
    return fail(Errc::refused,
                fmt::format("Cannot trace created process: {}",
                            explain_ptrace_refusal(child, seized.error().sys_errno)),
                seized.error().sys_errno);
  }
  if (spec.terminal != nullptr) spec.terminal->lend_to(child);
  let_child_go(std::move(gate->writer));

  auto started = follow_execs(tid, command.execs, tracee);
  if (started) started = finish_exec(tid, tracee);
  if (!started) {
    if (spec.terminal != nullptr) spec.terminal->take_back();
    if (std::string why = read_report(report->reader.get()); spec.say_why && !why.empty())
      return fail(Errc::refused, std::move(why));
    return tl::unexpected(started.error());
  }
  if (spec.terminal != nullptr) spec.terminal->promise_to(child);
  say(fmt::format("Process {} created; pid = {}", resolve_program(spec.program.front()), child));
  return Pid{child};
}

}  // namespace stub
