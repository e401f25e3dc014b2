// Thread ids as packets write them (GDB manual, "Packets", thread-id syntax).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rsp {

// A process and a thread, each a positive number or one of the two wildcards. Wire forms:
//   TID        one thread, process not named: {any, TID};  0 is {any, any};  -1 is {all, all}
//   pPID.TID   with the multiprocess extension; pPID alone is {PID, all}
// Numbers are hexadecimal; -1 is written as such.
struct ThreadId {
  static constexpr std::int64_t all = -1;
  static constexpr std::int64_t any = 0;

  std::int64_t pid = any;
  std::int64_t tid = any;

  auto operator<=>(const ThreadId&) const = default;
};

inline constexpr ThreadId all_threads{ThreadId::all, ThreadId::all};
inline constexpr ThreadId any_thread{ThreadId::any, ThreadId::any};

// Both forms are understood whatever was negotiated, as gdbserver does. Errc::malformed for
// anything else, for numbers that are no pid_t, and for one thread of all processes (p-1.TID).
Result<ThreadId> parse_thread_id(std::string_view text);

// `pPID.TID` with multiprocess, else the bare TID.
std::string to_wire(const ThreadId& id, bool multiprocess);

}  // namespace rsp
