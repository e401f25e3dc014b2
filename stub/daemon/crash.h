// What the tracer does when it crashes.
#pragma once

namespace stub {

// From here on a fatal signal of our own making (SIGSEGV, SIGABRT of a failed assertion ...) makes
// this process clean up what its journal says before it dies. Needs an open journal.
void clean_up_on_crash();

// In main: when this is the process that was executed for that, cleans up and dies of the signal.
// Returns if it is not.
void clean_up_if_crashed(int argc, char** argv);

}  // namespace stub
