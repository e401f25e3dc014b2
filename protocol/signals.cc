#include "protocol/signals.h"

#include <algorithm>
#include <array>
#include <string>

namespace rsp {
namespace {

struct Row {
  int gdb;
  int host;  // 0: Linux on x86 does not have it
  std::string_view name;
};

// Where two rows have the same host number, the first is the one reported.
constexpr Row named_signals[] = {
    {0, 0, "0"},
    {1, 1, "SIGHUP"},
    {2, 2, "SIGINT"},
    {3, 3, "SIGQUIT"},
    {4, 4, "SIGILL"},
    {5, 5, "SIGTRAP"},
    {6, 6, "SIGABRT"},
    {7, 0, "SIGEMT"},
    {8, 8, "SIGFPE"},
    {9, 9, "SIGKILL"},
    {10, 7, "SIGBUS"},
    {11, 11, "SIGSEGV"},
    {12, 31, "SIGSYS"},
    {13, 13, "SIGPIPE"},
    {14, 14, "SIGALRM"},
    {15, 15, "SIGTERM"},
    {16, 23, "SIGURG"},
    {17, 19, "SIGSTOP"},
    {18, 20, "SIGTSTP"},
    {19, 18, "SIGCONT"},
    {20, 17, "SIGCHLD"},
    {21, 21, "SIGTTIN"},
    {22, 22, "SIGTTOU"},
    {23, 29, "SIGIO"},
    {24, 24, "SIGXCPU"},
    {25, 25, "SIGXFSZ"},
    {26, 26, "SIGVTALRM"},
    {27, 27, "SIGPROF"},
    {28, 28, "SIGWINCH"},
    {29, 0, "SIGLOST"},
    {30, 10, "SIGUSR1"},
    {31, 12, "SIGUSR2"},
    {32, 30, "SIGPWR"},
    {33, 29, "SIGPOLL"},
    {34, 0, "SIGWIND"},
    {35, 0, "SIGPHONE"},
    {36, 0, "SIGWAITING"},
    {37, 0, "SIGLWP"},
    {38, 0, "SIGDANGER"},
    {39, 0, "SIGGRANT"},
    {40, 0, "SIGRETRACT"},
    {41, 0, "SIGMSG"},
    {42, 0, "SIGSOUND"},
    {43, 0, "SIGSAK"},
    {44, 0, "SIGPRIO"},
    {76, 0, "SIGCANCEL"},
    {142, 0, "SIGINFO"},
    {gdb_signal_unknown, 16, "?"},  // SIGSTKFLT, the only signal of Linux that GDB has no name for
    {145, 0, "EXC_BAD_ACCESS"},
    {146, 0, "EXC_BAD_INSTRUCTION"},
    {147, 0, "EXC_ARITHMETIC"},
    {148, 0, "EXC_EMULATION"},
    {149, 0, "EXC_SOFTWARE"},
    {150, 0, "EXC_BREAKPOINT"},
    {151, 0, "SIGLIBRT"},
};

// Real-time signals came into GDB's numbering in four portions. Linux ends at 64 on x86; GDB has
// names up to 127 for other systems.
struct Portion {
  int gdb_first;
  int host_first;
  int count;
};
constexpr Portion real_time_signals[] = {
    {45, 33, 31},  // 33-63
    {77, 32, 1},
    {78, 64, 1},
    {79, 65, 63},  // 65-127
};
constexpr int first_real_time = 32;
constexpr int last_named_real_time = 127;

const std::array<std::string, last_named_real_time + 1>& real_time_names() {
  static const auto names = [] {
    std::array<std::string, last_named_real_time + 1> result;
    for (std::size_t i = first_real_time; i < result.size(); ++i)
      result[i] = "SIG" + std::to_string(i);
    return result;
  }();
  return names;
}

// The number a GDB real-time signal has in its name; 0 when it is none.
int real_time_number(int gdb_signal) {
  for (const Portion& p : real_time_signals) {
    if (gdb_signal >= p.gdb_first && gdb_signal < p.gdb_first + p.count)
      return p.host_first + gdb_signal - p.gdb_first;
  }
  return 0;
}

}  // namespace

int gdb_from_host(int host_signal) {
  if (host_signal == 0) return 0;
  for (const Portion& p : real_time_signals) {
    if (host_signal >= p.host_first && host_signal < p.host_first + p.count)
      return host_signal <= last_linux_signal ? p.gdb_first + host_signal - p.host_first
                                              : gdb_signal_unknown;
  }
  const auto* row = std::ranges::find(named_signals, host_signal, &Row::host);
  return row != std::end(named_signals) ? row->gdb : gdb_signal_unknown;
}

int host_from_gdb(int gdb_signal) {
  if (const int number = real_time_number(gdb_signal))
    return number <= last_linux_signal ? number : 0;
  const auto* row = std::ranges::find(named_signals, gdb_signal, &Row::gdb);
  return row != std::end(named_signals) ? row->host : 0;
}

std::string_view gdb_signal_name(int gdb_signal) {
  if (const int number = real_time_number(gdb_signal))
    return real_time_names()[static_cast<std::size_t>(number)];
  const auto* row = std::ranges::find(named_signals, gdb_signal, &Row::gdb);
  return row != std::end(named_signals) ? row->name : "?";
}

}  // namespace rsp
