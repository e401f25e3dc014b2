// The siginfo of an i386 program. A 64-bit tracer gets the kernel's 64-bit structure whatever the
// traced program is; the client reads it with the program's own layout.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <span>

namespace stub {

inline constexpr std::size_t i386_siginfo_size = 128;  // struct compat_siginfo, linux/compat.h

std::array<std::byte, i386_siginfo_size> to_i386(const siginfo_t& info);
siginfo_t from_i386(std::span<const std::byte, i386_siginfo_size> bytes);

}  // namespace stub
