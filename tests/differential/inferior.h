// The traced child in which instructions run.
//
// A fork of the test that maps the layout, lets a seccomp filter refuse all but a few harmless
// system calls (a random instruction may well be a syscall with a random rax) and stops. From then
// on it executes only what the test puts into its registers. 32-bit code runs in the same process:
// its cs is set to the kernel's 32-bit user segment.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "arch/registers.h"
#include "arch/step_plan.h"
#include "tests/differential/layout.h"

namespace differential {

class Inferior : public x86::Memory {
 public:
  Inferior();
  ~Inferior() override;
  Inferior(const Inferior&) = delete;
  Inferior& operator=(const Inferior&) = delete;

  // The test's view of the shared file.
  std::span<std::uint8_t> file() { return {file_, file_size}; }

  x86::GeneralRegisters registers();
  void set_registers(const x86::GeneralRegisters& regs);
  std::span<const std::byte> xstate();  // valid until the next call
  void set_xstate(std::span<const std::byte> image);
  siginfo_t siginfo();

  // Runs to the next stop. False when it has computed for a twentieth of a second without one; a
  // new inferior has then taken its place.
  bool run();

  bool read(x86::Address from, std::span<std::uint8_t> to) override;
  bool write(x86::Address to, std::span<const std::uint8_t> from) override;

 private:
  void start();

  pid_t pid_ = -1;
  int fd_ = -1;
  std::uint8_t* file_ = nullptr;
  std::vector<std::byte> xstate_;
};

// The selector in gs for i386 cases: a segment with a base, made by modify_ldt(2). 0 when the
// kernel has none.
std::uint64_t segment_with_base();
inline constexpr std::uint64_t segment_base = 0x100;

}  // namespace differential
