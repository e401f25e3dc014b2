// The event loop: one thread, two sources of events, the client and the kernel.
#pragma once

#include <memory>

#include "stub/transport/listener.h"
#include "stub/transport/peer.h"

namespace stub {

class Server {
 public:
  // `once`: stop listening as soon as a client is there, and end with its connection. The listener
  // must live longer than the server.
  Server(Listener& listener, bool once);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Announces the listener and serves until the peer says quit (0), or SIGTERM, SIGINT, SIGHUP
  // or guardian_gone_signal() arrives (its number), or, with `once`, the connection is over (0).
  // Those signals and SIGCHLD are blocked from here on and read from a descriptor; SIGPIPE is
  // ignored.
  int run(Peer& peer);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace stub
