// What the command line decides about a session.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string_view>

#include "stub/base/types.h"
#include "stub/hostio/host_io.h"
#include "stub/launch/launch.h"

namespace stub {

// What becomes of the programs when the connection is lost.
enum class OnDisconnect { keep, detach, kill };

// --disable-packet: a server that seems never to have heard of them. For gdb's testsuite.
struct DisabledPackets {
  bool vcont = false;
  bool thread_in_stop = false;     // Tthread
  bool current_thread = false;     // qC
  bool thread_list = false;        // qfThreadInfo
  bool stop_with_details = false;  // T: stops are told as plain S packets

  bool operator==(const DisabledPackets&) const = default;
};

struct SessionSettings {
  bool multi = false;         // stay when no process is left
  bool once = false;          // end with the first connection
  bool announce_ends = true;  // "Child exited with status N" on stderr
  DisabledPackets disabled;
  std::optional<OnDisconnect> on_disconnect;
  HostIoPolicy host_io = HostIoPolicy::full;
  bool no_run = false;   // the client starts no programs; without `multi` it attaches to none
  bool observe = false;  // others may look on
  // So long requests are worked on before others have their turn: another client, SIGTERM, the
  // program's threads. At least one is, or one piece of one that takes long; without a limit all
  // are.
  std::optional<std::chrono::milliseconds> turn;
  // How programs are started; the client edits it (QEnvironment..., QSetWorkingDir, vRun).
  LaunchSpec launch;
  // Starts one; stub::launch with the real tracee, a script in tests.
  std::function<Result<Pid>(const LaunchSpec&)> launcher;
  // Output of breakpoint commands that has no client to go to.
  std::function<void(std::string_view)> console;
};

}  // namespace stub
