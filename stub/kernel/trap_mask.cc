#include "stub/kernel/trap_mask.h"

namespace stub {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

// The two that libc keeps for itself, and blocks only for moments of its own (pthread_create).
constexpr std::uint64_t libc_signals = bit(32) | bit(33);
constexpr std::uint64_t never_blocked = bit(SIGKILL) | bit(SIGSTOP);

}  // namespace

std::optional<std::uint64_t> mask_before_trap(std::uint64_t now,
                                              std::optional<std::uint64_t> known) {
  if ((now & sigtrap_bit) != 0) return std::nullopt;
  const std::uint64_t seen = now | sigtrap_bit | libc_signals;
  const bool as_known = known && (*known | libc_signals) == seen;
  const bool all = (seen | never_blocked) == ~std::uint64_t{0};
  return as_known || all ? std::optional(now | sigtrap_bit) : std::nullopt;
}

}  // namespace stub
