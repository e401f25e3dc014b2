// What the event loop drives.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace stub {

// The session, and the engine behind it. Bytes in, bytes out.
class Peer {
 public:
  enum class Next {
    go_on,
    hang_up,  // close the connection once the output is sent
    quit,     // the same, and end run()
  };

  virtual ~Peer() = default;
  virtual void connected() = 0;
  virtual void receive(std::span<const std::byte> bytes) = 0;
  // Whether there is more to be done of what it has received: it has used its time for now. Then
  // receive() is called again, without bytes, after others had their turn.
  virtual bool has_more() const { return false; }
  // Whether it wants to be given what its client has sent meanwhile. receive() is then called with
  // it, or without bytes where there are none.
  virtual bool has_room() const { return !has_more(); }
  // SIGCHLD was seen: some child has changed state. Many changes may come as one call.
  virtual void on_child_event() = 0;
  // The connection is over, by the client's doing or ours.
  virtual void disconnected() = 0;

  // Asked after each of the calls above.
  virtual void take_output(std::string& into) = 0;  // appends
  virtual Next next() const = 0;
  // When on_child_event() is to be called again although no signal says so; 0: at once, after the
  // client has had its turn.
  virtual std::optional<std::chrono::milliseconds> poll_after() const = 0;

  // Whether more clients may be there, to look on; each is served by a peer of its own, which must
  // not outlive this one.
  virtual bool observable() const { return false; }
  virtual std::unique_ptr<Peer> observer() { return nullptr; }
};

}  // namespace stub
