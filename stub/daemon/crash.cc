// A crashed daemon cannot trust its heap, and a signal handler can call next to nothing. But what
// has to be done is what detach() does: stop threads, translate program counters, make a program
// unmap an area. Two ways: a second implementation of that, in async-signal-safe calls, working on
// tables made ready beforehand; or the real one, in a process whose heap is in order.
//
// execve(2) is async-signal-safe, and it makes just that of the process we are: memory is new, and
// the kernel does not care that it was a tracer and goes on being one (ptrace(2): the relation is
// between tasks, and only exit ends it). Threads that run into a breakpoint meanwhile stop and
// wait. So the handler executes this program again, by a descriptor (the file may have been
// replaced, /proc may be missing), with the journal's descriptor as its argument.
//
// The first thing the handler does is a fork: the child dies of the signal and leaves the core file
// that the crash would have left.
#include "stub/daemon/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "stub/base/log.h"
#include "stub/daemon/guardian.h"
#include "stub/engine/engine.h"
#include "stub/inferior/journal.h"
#include "stub/kernel/linux_tracee.h"
#include "stub/kernel/retrying_tracee.h"
#include "stub/kernel/self.h"

namespace stub {
namespace {

constexpr int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
constexpr char marker[] = "--clean-up-after-crash";

// Made ready for the handler, which makes nothing itself.
struct Prepared {
  pid_t tracer = 0;
  int program = -1;
  char journal[16] = "";
  char signal[4] = "";
  alignas(16) std::array<char, 64 * 1024> stack{};
};
Prepared prepared;

void write_number(char* to, std::size_t size, int number) {
  *std::to_chars(to, to + size - 1, number).ptr = '\0';
}

void on_fatal_signal(int signal) {
  // A child between fork and exec is no tracer, and nothing of ours is in danger.
  if (getpid() != prepared.tracer) return;  // once more, and SA_RESETHAND ends it
  if (_Fork() == 0) {
    raise(signal);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    _exit(EXIT_FAILURE);
  }
  write_number(prepared.signal, sizeof prepared.signal, signal);
  fcntl(journal().fd(), F_SETFD, 0);
  char name[sizeof tracer_name], option[sizeof marker];
  std::memcpy(name, tracer_name, sizeof tracer_name);
  std::memcpy(option, marker, sizeof marker);
  char* const arguments[] = {name, option, prepared.journal, prepared.signal, nullptr};
  syscall(SYS_execveat, prepared.program, "", arguments, environ, AT_EMPTY_PATH);
  _exit(EXIT_FAILURE);  // the guardian has the journal too
}

int number(const char* text) {
  int value = -1;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

void clean_up_on_crash() {
  prepared.program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
  if (prepared.program < 0 || !journal().is_open()) return;
  prepared.tracer = getpid();
  write_number(prepared.journal, sizeof prepared.journal, journal().fd());
  stack_t stack{};
  stack.ss_sp = prepared.stack.data();
  stack.ss_size = prepared.stack.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = on_fatal_signal;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  // The caller may have had them blocked: a fault would end us then without the handler.
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : fatal) {
    sigaction(signal, &action, nullptr);
    sigaddset(&set, signal);
  }
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void clean_up_if_crashed(int argc, char** argv) {
  if (argc != 4 || std::string_view(argv[1]) != marker) return;
  // What was blocked stays so: a SIGTERM that came in the same moment is not to end this.
  prctl(PR_SET_PDEATHSIG, 0);
  prctl(PR_SET_NAME, tracer_name);
  const int signal = number(argv[3]);
  const bool is_open = journal().open(number(argv[2]));
  if (is_open) {
    LinuxTracee kernel;
    RetryingTracee tracee(kernel);
    Engine(tracee).clean_up_after(journal());
    journal().clear();
  }
  say("sidestep: internal error, cleaned up");
  if (is_open && signal > 0) die_of(signal);
  std::exit(EXIT_FAILURE);
}

}  // namespace stub
