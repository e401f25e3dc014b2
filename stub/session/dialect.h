// Which debugger the client is. GDB and LLDB give a few packets different meanings: signal numbers,
// target.xml, stop replies, who delivers a signal. All that differs asks a value of this type, and
// only this file knows how a client is recognised and how the two number signals.
//
// A connection is GDB's until a packet comes that only LLDB sends. The first of them is qSupported,
// before anything that is answered differently.
#pragma once

#include "protocol/packets.h"
#include "stub/inferior/stop.h"
#include "stub/transport/first_bytes.h"

namespace stub {

// LLDB lists several architectures in `xmlRegisters` (GDB: `i386` alone), and sends
// QThreadSuffixSupported, QListThreadsInStopReply and qHostInfo (LLDB documentation, "GDB Remote
// Protocol Extensions"). No other client is known to.
bool only_lldb_sends(const rsp::Request& request);

// Signal numbers in packets: GDB's own (protocol/signals.h), or the host's for LLDB, since the
// server announces native-signals. host_signal() gives 0, no signal, for what Linux has no signal
// for.
int wire_signal(Dialect dialect, int host);
int host_signal(Dialect dialect, int wire);

// The signal that a stop is told with, as the host numbers them. LLDB takes SIGSTOP for a stop that
// the debugger has made, as lldb-server makes it: a Ctrl-C (GDB: SIGINT), and when a process is
// started (GDB: SIGTRAP) or attached to (GDB: none). SIGSTOP it never passes on of its own accord;
// SIGINT it would if its user has said `process handle -p true SIGINT`.
int told_signal(Dialect dialect, const Stop& stop);

}  // namespace stub
