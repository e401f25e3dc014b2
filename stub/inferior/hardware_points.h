// Hardware breakpoints and watchpoints: who has which of the processor's four debug registers.
//
// The registers belong to a thread, the points to a process: every thread of an inferior, also one
// that is created later, is given the same values. So this part only decides what the values are;
// it touches no thread, and whoever resumes a thread compares what the thread has with registers()
// and makes up the difference (writes_between).
//
// A debug register watches 1, 2, 4 or 8 bytes at an address aligned to that size (SDM vol.
// 3, 18.2.5). A region that is longer or not aligned is cut into such slices; slices that several
// points have in common share one register. x86 can watch for execution, writes, or any access to
// data: a watchpoint for reads alone (Z3) does not exist. gdbserver's answer to it is
// "unsupported", and the client then decides itself.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/packets.h"
#include "stub/base/memory_map.h"
#include "stub/base/types.h"
#include "stub/inferior/site_program.h"

namespace stub {

inline constexpr std::size_t debug_register_count = 4;

// DR0-DR3 and DR7. Unused registers are zero, so that equal sets of points compare equal.
struct DebugRegisters {
  std::array<std::uint64_t, debug_register_count> address{};
  std::uint64_t control = 0;
  bool operator==(const DebugRegisters&) const = default;
};

// One write to `struct user`, for Tracee::poke_user.
struct DebugRegisterWrite {
  std::size_t offset = 0;
  std::uint64_t value = 0;
  bool operator==(const DebugRegisterWrite&) const = default;
};

// What to write, in this order, to a thread that has `from` so that it has `to`. The kernel checks
// an address against the length that DR7 gives it at that moment, so registers that change are
// switched off first, then set, then switched on (arch/x86/kernel/ptrace.c,
// ptrace_set_breakpoint_addr).
std::vector<DebugRegisterWrite> writes_between(const DebugRegisters& from,
                                               const DebugRegisters& to);

// Places of DR6 and DR7 in `struct user`.
std::size_t debug_status_offset();
std::size_t debug_control_offset();

struct HardwarePoint {
  rsp::PointType type{};
  Address address;
  std::uint64_t length = 0;  // bytes; 1 for breakpoints
  SiteProgram program;
};

struct TriggeredPoint {
  const HardwarePoint* point = nullptr;  // valid until the next insert or remove
  Address data;  // start of the slice that was touched; the PC of a breakpoint
};

class HardwarePoints {
 public:
  // Idempotent: a point of the same type, address and length gets the new program and no register
  // more. Errors: unsupported (Z3, and Z0), malformed (no length), refused (no free register).
  Result<void> insert(rsp::PointType type, Address address, std::uint64_t length,
                      SiteProgram program);
  // Error: refused, when there is no such point.
  Result<void> remove(rsp::PointType type, Address address, std::uint64_t length);
  // Frees the registers of breakpoints in memory that the program has unmapped. False: there were
  // none.
  bool remove_unmapped(std::span<const Mapping> mappings);
  void clear();

  bool empty() const { return points_.empty(); }
  // Some watchpoint is on one of these bytes, whatever kind of access it waits for.
  bool watches(Address from, std::uint64_t size) const;
  // A thread stops in front of the instruction at this address.
  bool stops_at(Address at) const;
  const DebugRegisters& registers() const { return registers_; }

  // The points that a value of DR6 names, of a thread that had registers(). Empty: the trap was not
  // one of ours. The caller clears DR6: the processor only ever sets its bits.
  std::vector<TriggeredPoint> triggered(std::uint64_t debug_status) const;

 private:
  // The condition on which a debug register fires; equal ones share a register.
  struct Slice {
    Address address;
    std::uint8_t size = 0;    // 1, 2, 4, 8
    std::uint8_t access = 0;  // R/W field of DR7
    bool operator==(const Slice&) const = default;
  };
  struct Register {
    Slice slice;
    unsigned references = 0;
  };

  static std::vector<Slice> slices(Address address, std::uint64_t length, std::uint8_t access);
  HardwarePoint* find(rsp::PointType type, Address address, std::uint64_t length);
  bool take(const Slice& slice);
  void give_back(const Slice& slice);
  void encode();

  std::vector<HardwarePoint> points_;
  std::array<Register, debug_register_count> in_use_{};
  DebugRegisters registers_;
};

}  // namespace stub
