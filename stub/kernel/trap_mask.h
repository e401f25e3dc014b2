// What a breakpoint does to a program's own settings for SIGTRAP, and undoing it.
//
// An executed int3 is a forced signal (kernel/signal.c, force_sig_info_to_task): if the thread has
// SIGTRAP blocked, the kernel unblocks it; if it is blocked or ignored, the process's action for it
// becomes the default. Both happen before the stop, and what was before is nowhere to be read. A
// SIGTRAP of the program's own that was pending, blocked, is lost besides: of a signal below 32
// only one can be pending, so that the breakpoint's own is dropped and that one is taken for it.
//
// Watching every rt_sigprocmask would cost each system call of the program a stop. So the mask is
// put back where it is known or as good as known: it was seen with SIGTRAP in it at an earlier stop
// and is the same now but for that bit, or everything but SIGTRAP is blocked, which is what becomes
// of a thread that has blocked everything. A mask that is neither of the two stays as the kernel
// leaves it. The action does until the program is let go (trap_action.h).
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

namespace stub {

inline constexpr std::uint64_t sigtrap_bit = std::uint64_t{1} << (SIGTRAP - 1);

struct TrapMask {
  // The thread's mask at the last stop, as far as can be told.
  std::optional<std::uint64_t> known;
  unsigned looks = 0;
  std::uint64_t look_after_ns = 0;  // when so many looks at the mask have found nothing
  bool waits = false;    // a SIGTRAP of the program's own is pending, as far as can be told
  bool requeue = false;  // and is to be so again when the thread is resumed

  bool blocks() const { return known && (*known & sigtrap_bit) != 0; }
};

// `now`: the mask after a trap. What it was before, if it was another.
std::optional<std::uint64_t> mask_before_trap(std::uint64_t now,
                                              std::optional<std::uint64_t> known);

}  // namespace stub
