// The code of a slot: an instruction copied so that it does in the slot what it does at its site,
// and an ending.
//
// What has to change in a copy:
//  - A RIP-relative operand. With the slot within 2 GiB of it, a new displacement: nothing else
//    changes and the slot holds no state of a thread, so one slot serves all threads at once. Where
//    no slot is near, the operand's address goes into a scratch register that the instruction does
//    not use, and the stub saves and restores that register around the trap. The scratch register
//    is one of the low six that need neither a REX bit nor a SIB byte as a base (not rsp, rbp, nor
//    r8-r15): cmpxchg16b uses four of them and nothing uses more, so one is always free, and an
//    operand like ah, which forbids REX, is never in the way. A displacement of 0 stays behind, so
//    that the copy has the original's length (some processors judge it before anything else) and
//    its ModRM is never 0, like that of an x87 opcode which has not been recorded. GDB's displaced
//    stepping takes rcx or rsi by other rules and gets `shl %cl, x(%rip)` and `cmpxchg16b x(%rip)`
//    wrong.
//  - Indirect calls and jumps that have to stop at their target: the target is loaded into a
//    scratch register, which reads memory and faults as the branch would, and the red zone below
//    the stack pointer stays untouched; canonical() pushes the return address and goes there. If it
//    cannot, the slot holds a `push` and a `jmp *%scratch` that raise the program's own fault.
//  - Direct calls, only where emulation refuses: a push of the return address, which faults or
//    extends the stack.
//  - Conditional branches (only where emulation refuses, and loops with odd prefixes) and the
//    fallback address of xbegin: taken, they go to a second int3.
// Everything else is copied byte for byte, prefixes of any number and order included.
#include <algorithm>
#include <cassert>

#include "arch/semantics.h"
#include "arch/step_plan.h"

namespace x86 {
namespace {

constexpr std::uint8_t int3 = 0xcc;

class Writer {
 public:
  explicit Writer(Address slot) : slot_(slot) { code_.bytes.fill(int3); }

  SlotCode code() const { return code_; }
  SlotCode& edit() { return code_; }
  Address here() const { return slot_ + code_.size; }

  void byte(std::uint8_t value) {
    assert(code_.size < code_.bytes.size());
    code_.bytes[code_.size++] = value;
  }
  void bytes(std::span<const std::uint8_t> values) {
    for (const auto value : values) byte(value);
  }
  void value(std::uint64_t value, int size) {
    for (int i = 0; i < size; i++) byte(static_cast<std::uint8_t>(value >> 8 * i));
  }

  // Touches no register, whatever the distance.
  void jump(Address target, Mode mode) {
    const Address near_end = here() + 5;
    if (mode == Mode::i386 || in_reach(near_end, target)) {
      byte(0xe9);  // jmp rel32
      value(static_cast<std::uint64_t>(target - near_end), 4);
      return;
    }
    // jmp *padding(%rip). The pointer is aligned: a program with alignment checking on (EFLAGS.AC)
    // would get a SIGBUS of ours.
    const std::uint64_t padding = -(here() + 6).value() % 8;
    byte(0xff);
    byte(0x25);
    value(padding, 4);
    for (std::uint64_t i = 0; i < padding; i++) byte(int3);
    value(target.value(), 8);
  }

  void ending(const Instruction& instruction, Address site, Ending ending) {
    code_.executed = code_.size;
    if (ending == Ending::trap) {
      byte(int3);
    } else {
      jump(instruction.next(site), instruction.mode);
    }
  }

 private:
  Address slot_;
  SlotCode code_;
};

std::span<const std::uint8_t> part(const Instruction& instruction, std::size_t from,
                                   std::size_t to) {
  return std::span(instruction.bytes).subspan(from, to - from);
}

// One that no operand, hidden or not, reads or writes.
std::uint8_t free_register(const Instruction& instruction) {
  constexpr std::uint8_t candidates[] = {0, 1, 2, 3, 6, 7};  // rax rcx rdx rbx rsi rdi
  const RegisterMask used = instruction.registers_read | instruction.registers_written;
  const auto* found = std::find_if(std::begin(candidates), std::end(candidates),
                                   [used](std::uint8_t n) { return (used >> n & 1) == 0; });
  assert(found != std::end(candidates));
  return *found;
}

// Everything before ModRM, to be followed by an operand().
class Head {
 public:
  void add(std::uint8_t value) { bytes_[size_++] = value; }
  std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(size_); }

  // The original's bytes up to ModRM, for an operand whose base has a low number.
  static Head copy(const Instruction& instruction, bool scratch_base) {
    Head head;
    for (const auto b : part(instruction, 0, instruction.modrm_offset)) head.add(b);
    if (scratch_base) head.clear_base_extension(instruction);
    return head;
  }

  // The prefixes that matter to a memory operand (segment, 67h), the last of each byte; the operand
  // size and bnd are of the branch alone. Without repetitions there are at most seven, so that the
  // rewritten instruction, which may gain a REX prefix, stays within 15 bytes.
  static Head operand_prefixes(const Instruction& instruction) {
    Head head;
    const auto prefixes = part(instruction, 0, instruction.extension_offset);
    for (std::size_t i = 0; i < prefixes.size(); i++) {
      const std::uint8_t b = prefixes[i];
      const bool rex = instruction.mode == Mode::amd64 && (b & 0xf0) == 0x40;
      const auto later = prefixes.subspan(i + 1);
      const bool repeated = std::ranges::find(later, b) != later.end();
      if (b != 0x66 && b != 0xf2 && b != 0xf3 && !rex && !repeated) head.add(b);
    }
    return head;
  }

 private:
  // REX.B, inverted in VEX, XOP and EVEX, does not count for a RIP-relative operand but would for a
  // base register. The two-byte VEX prefix has none.
  void clear_base_extension(const Instruction& instruction) {
    const std::uint8_t at = instruction.extension_offset;
    if (at == instruction.opcode_offset) return;
    if (instruction.encoding == Encoding::legacy || instruction.encoding == Encoding::amd_3dnow) {
      bytes_[at] &= static_cast<std::uint8_t>(~1u);
    } else if (bytes_[at] != 0xc5) {
      bytes_[at + 1] |= 0x20;
    }
  }

  std::array<std::uint8_t, max_instruction_length + 1> bytes_{};
  std::size_t size_ = 0;
};

// REX bits that address components use (X and B), 0 without REX.
std::uint8_t operand_rex(const Instruction& instruction) {
  const bool rex = instruction.extension_offset < instruction.opcode_offset;
  return rex ? instruction.bytes[instruction.extension_offset] & 3 : 0;
}

bool reaches_operand(const Instruction& instruction, Address site, Address copy_end) {
  return !instruction.rip_relative || instruction.address_size == 4 ||
         in_reach(copy_end, instruction.operand_address(site));
}

// ModRM with `reg` in its middle, the memory operand and what follows it, so that it addresses
// what the original addresses; through `scratch` if that is given.
void write_operand(Writer& writer, const Instruction& instruction, Address site, std::uint8_t reg,
                   std::optional<std::uint8_t> scratch) {
  const std::uint8_t middle = static_cast<std::uint8_t>((reg & 7) << 3);
  const std::size_t after_modrm = instruction.modrm_offset + 1u;
  if (!instruction.rip_relative) {
    writer.byte((instruction.modrm() & 0xc7) | middle);
    writer.bytes(part(instruction, after_modrm, instruction.length));
    return;
  }
  const auto rest = part(instruction, after_modrm + 4, instruction.length);
  if (scratch) {
    writer.byte(0x80 | middle | *scratch);
    writer.value(0, 4);
    writer.edit().scratch = scratch;
    writer.edit().scratch_value = instruction.operand_address(site).value();
  } else {
    writer.byte(middle | 5);
    // The displacement counts from the end of the instruction, immediates included. For 67h the
    // processor drops all but 32 bits of the sum, and so may we.
    const Address end = writer.here() + 4 + rest.size();
    writer.value(static_cast<std::uint64_t>(instruction.operand_address(site) - end), 4);
  }
  writer.bytes(rest);
}

using Result = std::optional<SlotCode>;

Result copy(const Instruction& instruction, Address site, Address slot, Ending ending) {
  Writer writer(slot);
  if (!instruction.rip_relative) {
    writer.bytes(part(instruction, 0, instruction.length));
  } else {
    std::optional<std::uint8_t> scratch;
    if (!reaches_operand(instruction, site, slot + instruction.length)) {
      if (ending == Ending::jump_back) return std::nullopt;
      scratch = free_register(instruction);
    }
    writer.bytes(Head::copy(instruction, scratch.has_value()).bytes());
    write_operand(writer, instruction, site, instruction.modrm() >> 3, scratch);
  }
  writer.ending(instruction, site, ending);
  return writer.code();
}

// The return address has 64 bits, an immediate 32, sign-extended.
void push_return_address(Writer& writer, const Instruction& instruction, Address site) {
  const std::uint64_t address = instruction.next(site).value();
  writer.byte(0x68);  // push $low
  writer.value(address, 4);
  const auto low = static_cast<std::int32_t>(address);
  const bool whole = static_cast<std::int64_t>(address) == low;
  if (instruction.mode == Mode::i386 || whole) return;
  writer.edit().half_pushed = writer.code().size;
  const std::uint8_t store_high[] = {0xc7, 0x44, 0x24, 4};  // movl $high, 4(%rsp)
  writer.bytes(store_high);
  writer.value(address >> 32, 4);
}

Result call_direct(const Instruction& instruction, Address site, Address slot) {
  Writer writer(slot);
  push_return_address(writer, instruction, site);
  writer.ending(instruction, site, Ending::trap);
  return writer.code();
}

// A trap is seen one byte behind its int3, so the next part begins two bytes on.
void write_target_parts(Writer& writer, const Instruction& instruction, Address site) {
  writer.byte(int3);
  if (instruction.kind != Kind::jump_memory) {
    writer.edit().push = writer.code().size;
    push_return_address(writer, instruction, site);
    writer.edit().pushed = writer.code().size;
    writer.byte(int3);
    writer.byte(int3);
  }
  writer.edit().jump = writer.code().size;
  writer.byte(0xff);  // jmp *%scratch
  writer.byte(0xe0 | *writer.code().scratch);
}

// mov operand, %scratch for `call *operand` and `jmp *operand`.
Result load_target(const Instruction& instruction, Address site, Address slot) {
  Writer writer(slot);
  const std::uint8_t scratch = free_register(instruction);
  Head head = Head::operand_prefixes(instruction);
  const bool wide = instruction.mode == Mode::amd64;
  const std::size_t operand_length = instruction.length - instruction.modrm_offset;
  const Address copy_end = slot + head.bytes().size() + wide + 1 + operand_length;
  const bool reaches = reaches_operand(instruction, site, copy_end);
  if (wide) head.add(0x48 | (reaches ? operand_rex(instruction) : 0));
  head.add(0x8b);
  writer.bytes(head.bytes());
  write_operand(writer, instruction, site, scratch,
                reaches ? std::nullopt : std::optional(scratch));
  writer.edit().scratch = scratch;
  writer.ending(instruction, site, Ending::trap);
  write_target_parts(writer, instruction, site);
  return writer.code();
}

void patch_distance(Writer& writer, const Instruction& instruction, std::uint64_t distance) {
  for (int i = 0; i < instruction.immediate_size; i++) {
    writer.edit().bytes[instruction.immediate_offset + i] =
        static_cast<std::uint8_t>(distance >> 8 * i);
  }
}

// A branch that the processor decides: not taken it ends at the first int3, taken at a second one
// two bytes on. Of a transaction the latter is the fallback address (the first int3 would abort
// it anyway).
Result two_way(const Instruction& instruction, Address site, Address slot) {
  Writer writer(slot);
  writer.bytes(part(instruction, 0, instruction.length));
  writer.ending(instruction, site, Ending::trap);
  writer.byte(int3);
  writer.edit().taken = writer.code().size;
  writer.byte(int3);
  patch_distance(writer, instruction, 2);
  return writer.code();
}

// The fallback code of a transaction that does not commit is at the original address: directly, or
// by a detour through the slot's end if that is out of reach.
Result begin_transaction(const Instruction& instruction, Address site, Address slot) {
  Writer writer(slot);
  writer.bytes(part(instruction, 0, instruction.length));
  const Address copy_end = writer.here();
  writer.ending(instruction, site, Ending::jump_back);
  Address fallback = instruction.branch_target(site);
  if (instruction.mode == Mode::amd64 && !in_reach(copy_end, fallback)) {
    const Address detour = writer.here();
    writer.edit().taken = writer.code().size;
    writer.jump(fallback, instruction.mode);
    fallback = detour;
  }
  patch_distance(writer, instruction, static_cast<std::uint64_t>(fallback - copy_end));
  return writer.code();
}

}  // namespace

std::optional<SlotCode> relocate(const Instruction& instruction, Address site, Address slot,
                                 Ending ending) {
  const bool trap = ending == Ending::trap;
  switch (instruction.kind) {
    case Kind::call:
      return trap ? call_direct(instruction, site, slot) : std::nullopt;
    case Kind::call_register:
    case Kind::call_memory:
      return trap ? load_target(instruction, site, slot) : std::nullopt;
    case Kind::jump_memory:
      return trap ? load_target(instruction, site, slot) : copy(instruction, site, slot, ending);
    case Kind::begin_transaction:
      return trap ? two_way(instruction, site, slot) : begin_transaction(instruction, site, slot);
    case Kind::conditional_jump:
    case Kind::count_jump:
    case Kind::repeated_loop:
      return trap ? two_way(instruction, site, slot) : std::nullopt;
    // These leave for good: behind them no int3 stops anybody.
    case Kind::jump_register:
    case Kind::near_return:
    case Kind::vdso_system_call:
      return trap ? std::nullopt : copy(instruction, site, slot, ending);
    case Kind::jump:
    case Kind::far_transfer:
    case Kind::narrow_branch:
      return std::nullopt;
    default:
      return copy(instruction, site, slot, ending);
  }
}

}  // namespace x86
