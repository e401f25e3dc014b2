#include "stub/inferior/told_siginfo.h"

#include <unistd.h>

#include "tests/catch.h"

namespace stub {
namespace {

siginfo_t kernel(int signal, int code) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_value.sival_int = 7;
  return info;
}

const siginfo_t interrupt_stop = kernel(SIGTRAP, 128 << 8 | SIGTRAP);
const siginfo_t int3 = kernel(SIGTRAP, 0x80);

struct Row {
  const char* what;
  siginfo_t kernel;
  std::optional<Stop> told;
  int signal, code;
};

TEST_CASE("told_siginfo: agrees with the stop") {
  const Stop control_c{.kind = StopKind::signal, .signal = SIGINT, .interrupt = true};
  const Stop request{.kind = StopKind::signal};
  const Stop attached{.kind = StopKind::signal, .taken_over = true};
  const Stop step{.kind = StopKind::step, .signal = SIGTRAP};
  const Stop hit{.kind = StopKind::breakpoint, .signal = SIGTRAP};
  const Stop usr1{.kind = StopKind::signal, .signal = SIGUSR1};
  const Stop stop{.kind = StopKind::signal, .signal = SIGSTOP};
  const Stop fork{.kind = StopKind::fork, .signal = SIGTRAP};
  const Row rows[] = {
      {"Ctrl-C", interrupt_stop, control_c, SIGINT, SI_USER},
      {"Ctrl-C to a thread at a trap", int3, control_c, SIGINT, SI_USER},
      {"Ctrl-C inside of fork", kernel(SIGTRAP, 1 << 8 | SIGTRAP), control_c, SIGINT, SI_USER},
      {"a SIGINT of the program's own", kernel(SIGINT, SI_QUEUE),
       Stop{.kind = StopKind::signal, .signal = SIGINT}, SIGINT, SI_QUEUE},
      {"vCont;t", interrupt_stop, request, SIGSTOP, SI_TKILL},
      {"vCont;t to a thread that had a signal", kernel(SIGUSR1, SI_QUEUE), request, SIGSTOP,
       SI_TKILL},
      {"attached to", interrupt_stop, attached, SIGSTOP, SI_TKILL},
      {"attached to in a group stop", kernel(SIGTSTP, 128 << 8 | SIGTSTP), attached, SIGSTOP,
       SI_TKILL},
      {"attached to with a signal that is not told yet", kernel(SIGUSR1, SI_QUEUE), attached,
       SIGUSR1, SI_QUEUE},
      {"a pause that is told as SIGSTOP", interrupt_stop, stop, SIGSTOP, SI_TKILL},
      {"a SIGSTOP of the program's own", kernel(SIGSTOP, SI_USER), stop, SIGSTOP, SI_USER},
      {"held with others", interrupt_stop, std::nullopt, SIGSTOP, SI_TKILL},
      {"held with a signal that is not told yet", kernel(SIGUSR1, SI_QUEUE), std::nullopt, SIGUSR1,
       SI_QUEUE},
      {"a signal", kernel(SIGUSR1, SI_QUEUE), usr1, SIGUSR1, SI_QUEUE},
      {"a breakpoint", int3, hit, SIGTRAP, 0x80},
      {"a step", kernel(SIGTRAP, TRAP_TRACE), step, SIGTRAP, TRAP_TRACE},
      {"an emulated step from a signal", kernel(SIGUSR1, SI_QUEUE), step, SIGTRAP, TRAP_TRACE},
      {"a step that an interrupt has ended", interrupt_stop, step, SIGTRAP, TRAP_TRACE},
      {"an event", kernel(SIGTRAP, 1 << 8 | SIGTRAP), fork, SIGTRAP, 1 << 8 | SIGTRAP},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const siginfo_t shown = told_siginfo(row.kernel, row.told);
    CHECK(shown.si_signo == row.signal);
    CHECK(shown.si_code == row.code);
  }
}

TEST_CASE("told_siginfo: what is made up is known again") {
  CHECK(is_invented(told_siginfo(interrupt_stop, Stop{.kind = StopKind::signal})));
  CHECK(is_invented(told_siginfo(
      interrupt_stop, Stop{.kind = StopKind::signal, .signal = SIGINT, .interrupt = true})));
  CHECK_FALSE(is_invented(kernel(SIGUSR1, SI_QUEUE)));
  CHECK_FALSE(is_invented(kernel(SIGINT, SI_USER)));
  CHECK_FALSE(is_invented(int3));
}

}  // namespace
}  // namespace stub
