// Time as the stub measures it.
#pragma once

#include <cstdint>
#include <ctime>

namespace stub {

// CLOCK_MONOTONIC; no system call (vdso(7)).
inline std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace stub
