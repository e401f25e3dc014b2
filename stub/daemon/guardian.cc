// A debugger that dies leaves its breakpoint bytes behind, and the kernel lets the program run into
// them. Nothing can be done about that by the process that SIGKILL has hit, so there are two:
//
//   - the guardian, which the user has started and sees: the parent. It does nothing but wait. It
//     passes on SIGTERM, SIGINT and SIGHUP, and ends as the tracer ended. Asked to end once more
//     after three seconds, it kills a tracer that has not ended, and cleans up after it.
//   - the tracer, its child, which does all the work.
//
// `kill -9` of what the user started hits the guardian. The tracer is told (PR_SET_PDEATHSIG), lets
// go of the programs in the usual, orderly way, and ends. No program is at risk. So this is the
// layout, rather than a guardian as the child: the pid that is known, that is in a script's `$!`,
// that `timeout -s KILL`, systemd and `pkill -9 sidestep` aim at, has to be the one whose death
// costs nothing. For the same reason the tracer has a process group of its own (`kill -9 -PGID`; it
// also keeps a terminal's Ctrl-C from arriving twice), another name and another command line, and
// the guardian offers itself to the out-of-memory killer first.
//
// When the tracer itself is killed after all, the guardian restores what the journal says. It
// learns of the death by the end of a pipe: the kernel closes a dying process's files before it
// releases its tracees (kernel/exit.c, do_exit: exit_files before exit_notify), so that with luck
// the bytes are restored before the first thread runs. What stays lost is a thread that was in its
// SIGTRAP stop in that moment and had not been waited for: the kernel delivers the signal
// (kernel/signal.c, ptrace_stop), and the program dies of it. No third process can prevent that,
// only the tracer could.
#include "stub/daemon/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "stub/base/log.h"
#include "stub/base/unique_fd.h"
#include "stub/engine/engine.h"
#include "stub/inferior/journal.h"
#include "stub/inferior/site_memory.h"
#include "stub/kernel/linux_tracee.h"
#include "stub/kernel/retrying_tracee.h"
#include "stub/kernel/self.h"
#include "stub/launch/terminal.h"
#include "stub/transport/activation.h"

namespace stub {
namespace {

constexpr int passed_on[] = {SIGTERM, SIGINT, SIGHUP};

bool is_ignored(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

// Another is chosen first when memory runs out: one in ten of all memory is what the guardian seems
// to use (proc_pid_oom_score_adj(5)). Whoever may not write there keeps the odds.
void offer_to_oom_killer() {
  constexpr int penalty = 100, most = 1000;
  constexpr char path[] = "/proc/self/oom_score_adj";
  int adjustment = 0;
  std::ifstream(path) >> adjustment;
  std::ofstream(path) << std::min(adjustment + penalty, most);
}

// The bytes alone, without waiting for the tracer's end: every instruction counts.
void restore_bytes(Tracee& tracee) {
  journal().processes.for_each([&](const ProcessRow& process) {
    journal().sites.for_each([&](const SiteRow& site) {
      if (site.space == process.space)
        (void)restore_byte(tracee, process.pid, site.address, site.shadow, site.own_page);
    });
  });
}

class Guardian {
 public:
  Guardian(pid_t tracer, int life_line) : tracer_(tracer), life_line_(life_line) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (const int signal : passed_on)
      if (!is_ignored(signal)) sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = UniqueFd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  }

  // The tracer's wait status. It may wait for a disk or a file server that does not answer any
  // more, where no signal reaches it but SIGKILL. It may as well have reasons to take its time, so
  // it is killed only when its end is asked for again after a while.
  int watch() {
    pollfd sources[] = {{signals_.get(), POLLIN, 0}, {life_line_.get(), POLLIN, 0}};
    while (true) {
      if (const auto status = reap()) return *status;
      if (poll(sources, std::size(sources), -1) < 0) continue;
      if (sources[1].revents != 0) {
        sources[1].fd = -1;
        restore_bytes(tracee_);
      }
      pass_on_signals();
    }
  }

 private:
  // Also others that are our children now: in a container the guardian may be its init.
  std::optional<int> reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == tracer_) return status;
    return std::nullopt;
  }

  void pass_on_signals() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      if (is_asked_again()) return kill_tracer();
      kill(tracer_, static_cast<int>(info.ssi_signo));
      kill(tracer_, SIGCONT);  // somebody may have stopped it
    }
  }

  // The threads that it holds run as soon as it has died: before that the bytes are restored.
  void kill_tracer() {
    restore_bytes(tracee_);
    kill(tracer_, SIGKILL);
  }

  bool is_asked_again() {
    constexpr auto patience = std::chrono::seconds(3);
    const auto now = std::chrono::steady_clock::now();
    if (!first_asked_) first_asked_ = now;
    return now - *first_asked_ >= patience;
  }

  pid_t tracer_;
  std::optional<std::chrono::steady_clock::time_point> first_asked_;  // to end
  UniqueFd life_line_;
  UniqueFd signals_;
  LinuxTracee tracee_;
};

void clean_up() {
  bool anything = false;
  journal().processes.for_each([&](const ProcessRow&) { anything = true; });
  if (!anything) return;
  LinuxTracee kernel;
  RetryingTracee tracee(kernel);
  Engine(tracee).clean_up_after(journal());
  say("sidestep: the tracer was killed; cleaned up after it");  // nobody may be reading
}

int guard(pid_t tracer, int life_line, Terminal& terminal) {
  offer_to_oom_killer();
  const int status = Guardian(tracer, life_line).watch();
  clean_up();
  if (WIFSIGNALED(status)) {
    terminal.take_back_from_the_dead();
    die_of(WTERMSIG(status));
    return 128 + WTERMSIG(status);  // the first process of a container does not die of signals
  }
  return WEXITSTATUS(status);
}

// What others read is the memory that the kernel has put the arguments into, one behind the other
// (fs/proc/base.c, get_mm_cmdline). The last NUL stays: by its absence the kernel knows a text that
// goes on in the environment.
void rename_to_tracer(const GuardianOptions& options) {
  prctl(PR_SET_NAME, tracer_name);
  // libc's messages (assert) begin with a name that lies in there.
  static char name[sizeof tracer_name];
  std::memcpy(name, tracer_name, sizeof name);
  program_invocation_name = program_invocation_short_name = name;
  std::size_t size = 0;
  for (int i = 0; i < options.argc && options.argv[i] == options.argv[0] + size; ++i)
    size += std::strlen(options.argv[i]) + 1;
  if (size == 0) return;
  std::memset(options.argv[0], 0, size);
  std::memcpy(options.argv[0], name, std::min(size - 1, std::strlen(name)));
}

std::nullopt_t unguarded() {
  say(std::string("sidestep: nobody will clean up after this process if it is killed: ") +
      std::strerror(errno));
  return std::nullopt;
}

void become_tracer(pid_t guardian, const GuardianOptions& options) {
  set_guardian(guardian);
  if (!options.one_group) setpgid(0, 0);
  std::signal(SIGTTOU, SIG_IGN);  // messages to the terminal from a background group
  rename_to_tracer(options);
  std::signal(guardian_gone_signal(), SIG_DFL);
  prctl(PR_SET_PDEATHSIG, guardian_gone_signal());
  if (getppid() != guardian) _exit(EXIT_FAILURE);  // it was faster
  inherit_activation(guardian);
}

}  // namespace

void die_of(int signal) {
  // A second core file would be of the wrong process.
  constexpr rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  raise(signal);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

std::optional<int> stand_guard(const GuardianOptions& options) {
  int ends[2];
  if (!journal().create() || pipe2(ends, O_CLOEXEC) != 0) return unguarded();
  Terminal terminal(getpgrp());
  const pid_t guardian = getpid();
  const pid_t tracer = fork();
  if (tracer != 0) close(ends[1]);
  if (tracer > 0) return guard(tracer, ends[0], terminal);
  if (tracer < 0) unguarded();
  close(ends[0]);
  if (tracer == 0) become_tracer(guardian, options);  // ends[1] stays open till its end
  return std::nullopt;
}

}  // namespace stub
