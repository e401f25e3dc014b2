// Sockets that a service manager has opened for us (sd_listen_fds(3)).
#pragma once

#include <sys/types.h>

#include <vector>

#include "stub/base/types.h"
#include "stub/base/unique_fd.h"

namespace stub {

// The sockets passed to this process: descriptors from 3 on, as many as $LISTEN_FDS says, if
// $LISTEN_PID is this process. They are made non-blocking and closed on exec, and the variables are
// taken out of the environment, so that neither a program started here nor a second call has them.
// Each either listens (Accept=no) or is a connection (Accept=yes). Error: refused, when there are
// none.
Result<std::vector<UniqueFd>> take_activation_sockets();

// Sockets that were passed to the process `from` are this one's from now on: a child that goes on
// in its place.
void inherit_activation(pid_t from);

// Whether a socket listens (SO_ACCEPTCONN, socket(7)).
bool is_listening(int socket);

}  // namespace stub
