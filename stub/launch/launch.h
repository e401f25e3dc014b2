// Starting a program under the debugger.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "stub/base/types.h"
#include "stub/kernel/tracee.h"
#include "stub/launch/environment.h"
#include "stub/launch/terminal.h"

namespace stub {

struct LaunchSpec {
  std::vector<std::string> program;  // PROG and its arguments
  std::vector<std::string> wrapper;  // --wrapper; empty: none
  Environment environment;
  std::string working_directory;  // empty: the daemon's
  bool startup_with_shell = true;
  bool say_why = false;  // see launch(): for a client that shows the error to its user
  bool disable_randomization = true;
  // The client talks on our stdin and stdout: the program gets /dev/null and our stderr instead.
  bool redirect_stdio = false;
  // Files for the program's stdin, stdout and stderr in place of ours; empty: as above.
  std::array<std::string, 3> streams;
  Lifetime lifetime = Lifetime::exit_kill;
  Terminal* terminal = nullptr;  // the program's process group gets it
};

// Starts the program, says "Process PROG created; pid = N", and leaves it seized and stopped in
// front of its first instruction (the dynamic linker's, as a rule), with nothing pending but what
// other processes sent. Whatever the shell and the wrapper do before the last exec is not traced:
// their signals are passed on and their children let go.
//
// Errors: refused, with gdbserver's sentence ("During startup program exited with code 127.") when
// the program never came to run; system or refused when it cannot be traced. Details that gdbserver
// prints from the child ("gdbserver: Cannot exec ...") are on stderr. With say_why the error is
// such a detail ("Cannot exec /x: No such file or directory"; the directory, a stream) where it is
// known: a shell or a wrapper that fails to start the program does not tell.
Result<Pid> launch(const LaunchSpec& spec, Tracee& tracee);

// gdbserver's reading of PROG: a bare name that is a file here means that file, else PATH is
// searched when it is executed.
std::string resolve_program(const std::string& name);

// The words as one command line for a POSIX shell that expands nothing in them.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace stub
