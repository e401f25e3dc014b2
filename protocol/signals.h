// Signal numbers. GDB has numbers of its own, the same for every system (GDB manual, "Packets":
// signal numbers in C, S, T, X, QPassSignals are those of include/gdb/signals.h); Linux has one set
// per architecture. Host numbers here are those of Linux on x86 (signal(7)).
#pragma once

#include <string_view>

namespace rsp {

inline constexpr int gdb_signal_int = 2;
inline constexpr int gdb_signal_trap = 5;
inline constexpr int gdb_signal_unknown = 143;
inline constexpr int last_linux_signal = 64;

// The number GDB knows a host signal by; gdb_signal_unknown when it has none (SIGSTKFLT). 0 is 0.
int gdb_from_host(int host_signal);
// 0 when Linux has no such signal. SIGIO and SIGPOLL are two signals for GDB and one for Linux,
// which is reported as SIGIO: for lists of signals, compare GDB's numbers (gdb_from_host).
// gdb_signal_unknown is SIGSTKFLT, so that a client that continues with the signal it was told of
// delivers it.
int host_from_gdb(int gdb_signal);
// "SIGSEGV", "SIG34"; "0" for 0; "?" for numbers GDB gives no name.
std::string_view gdb_signal_name(int gdb_signal);

}  // namespace rsp
