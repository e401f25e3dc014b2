// argv -> Options: gdbserver's command line (versions 13 and 16 together), and a little more.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "stub/hostio/host_io.h"
#include "stub/session/session_settings.h"
#include "stub/transport/endpoint.h"
#include "stub/transport/peer_user.h"

namespace stub {

struct DebugOptions {
  unsigned topics = 0;  // LogTopic bits
  bool timestamps = false;
  std::string file;  // empty: stderr
};

struct Options {
  std::string comm;  // as it was given, for messages
  Endpoint endpoint;
  bool once = false;
  bool multi = false;
  std::optional<pid_t> attach;
  std::vector<std::string> program;  // PROG and its ARGS; empty with attach and plain --multi
  std::vector<std::string> wrapper;
  bool disable_randomization = true;
  bool startup_with_shell = true;
  std::optional<OnDisconnect> on_disconnect;  // nullopt: as gdbserver does
  AllowedUsers allowed_users;
  HostIoPolicy host_io = HostIoPolicy::full;
  bool no_run = false;    // the client starts no programs
  bool observe = false;   // more clients may connect, to look on
  std::string port_file;  // empty: none
  DisabledPackets disabled;
  DebugOptions debug;
};

// The command line says to end at once: --help and --version (code 0) and every misuse (code 1).
struct EarlyExit {
  int code = 0;
  std::string out;  // for stdout, newlines included
  std::string err;  // for stderr
};

// `args` is argv without argv[0].
tl::expected<Options, EarlyExit> parse_command_line(std::span<const std::string> args);

}  // namespace stub
