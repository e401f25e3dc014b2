// The signals that the daemon reads one by one, when it has the time, instead of being interrupted
// by them: deaths and stops of what it traces, and what ends it.
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>

namespace stub {

// SIGCHLD, and SIGTERM, SIGINT, SIGHUP and the guardian's, but for those that the caller had
// ignored.
sigset_t daemon_signals();
// Blocks them, so that they wait for Server::run().
void hold_daemon_signals();
// Whether one of them that ends the daemon waits.
bool is_to_end();

// Waits until one of them comes, takes it and returns its number; 0: none came within `at_most`.
// They must be blocked.
int take_daemon_signal(std::optional<std::chrono::milliseconds> at_most);

// Returns at a SIGCHLD, which is to be blocked, or after `at_most`. It is taken: it may be that of
// another child, or one that came long ago.
void wait_for_child_signal(timespec at_most);

}  // namespace stub
