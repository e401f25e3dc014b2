// Errors as the whole daemon passes them on, and the one place that knows how they look on the
// wire.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace rsp {

enum class Errc {
  malformed,    // the packet's bytes do not have the packet's form
  unsupported,  // a packet, object or feature this server does not have (empty reply)
  no_process,   // nothing is being debugged, or no inferior has that pid
  thread_gone,  // the thread does not exist (any more): ESRCH
  bad_address,  // inferior memory that cannot be read or written: EFAULT
  refused,      // understood, and not done: limits, policy, wrong moment
  system,       // a system call failed; sys_errno says how
};

struct Error {
  Errc code = Errc::malformed;
  int sys_errno = 0;  // errno of the host, 0 when no system call was involved
  std::string text;   // a sentence for the user, without a final newline; may be empty
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string text = {}, int sys_errno = 0) {
  return tl::unexpected<Error>(Error{code, sys_errno, std::move(text)});
}

// The wire form of an error (GDB manual, "Standard Replies"): unsupported is the empty reply;
// otherwise `E.text` when the client accepts text there, else `E NN` with NN the GDB File-I/O-style
// errno (01 where there is none).
std::string to_wire(const Error& error, bool accepts_text);

}  // namespace rsp
