// From a thread stopped inside a slot back to the program's own state.
//
// A thread can stop anywhere in a slot: at its ending (the usual case), before its instruction (a
// signal that arrived first, a system call about to be restarted, a fault, a rep string in its
// middle), or behind it (boosted and interrupted before the jump back). Whoever looks at the thread
// then, a client, a signal frame, a fork child, a core file, must see the state the program would
// have had without the slot. This function is the only map from the one to the other. It knows what
// relocate() wrote and nothing of stops and signals.
//
// A slot's code is the inferior's memory and not to be trusted, so nothing is read from it: the map
// is built from `code`, the stub's own copy.
#include <cpuid.h>

#include <array>
#include <cstring>

#include "arch/semantics.h"
#include "arch/step_plan.h"

namespace x86 {
namespace {

constexpr std::uint8_t int3 = 0xcc;
constexpr std::uint8_t syscall_opcode = 0x05;  // 0f 05
// In FXSAVE and XSAVE images, 64-bit form (SDM vol. 1, 10.5.1): FOP, 11 bits of opcode and ModRM,
// and FIP.
constexpr std::size_t x87_opcode_offset = 6;
constexpr std::size_t x87_pointer_offset = 8;

bool is_intel() {
  static const bool result = [] {
    unsigned highest = 0, vendor = 0, rest = 0, middle = 0;
    return __get_cpuid(0, &highest, &vendor, &rest, &middle) && vendor == signature_INTEL_ebx;
  }();
  return result;
}

class Mapping {
 public:
  Mapping(const Instruction& instruction, const SlotCode& code, Address site, Address slot,
          const GeneralRegisters& regs, std::optional<std::uint64_t> saved_scratch, Memory& memory)
      : instruction_(instruction),
        code_(code),
        site_(site),
        slot_(slot),
        regs_(regs),
        saved_scratch_(saved_scratch),
        memory_(memory) {}

  Canonical map() {
    const std::uint64_t offset = truncated(regs_.rip - slot_.value(), instruction_.mode);
    if (offset == 0) return not_started();
    if (is_at(offset, code_.executed)) return done();
    if (code_.taken != 0 && is_at(offset, code_.taken)) {
      return finish(Progress::done, instruction_.branch_target(site_));
    }
    if (code_.half_pushed != 0 && offset == code_.half_pushed) {
      undo_push();
      return not_started();
    }
    if (code_.jump != 0 && offset == code_.jump) return not_started();
    if (code_.push != 0 && offset == code_.push) return not_started();
    if (code_.pushed != 0 && is_at(offset, code_.pushed)) return pushed();
    return lost();
  }

 private:
  // At an ending, or, if that is an int3, one behind it.
  bool is_at(std::uint64_t offset, std::uint64_t ending) {
    at_ending_ = offset == ending + 1 && code_.bytes[ending] == int3;
    return offset == ending || at_ending_;
  }

  Canonical lost() const { return {Progress::lost, false, regs_}; }
  Canonical not_started() { return finish(Progress::not_started, site_); }

  Canonical done() {
    if (code_.jump != 0) return target_loaded();
    const bool direct_call = instruction_.kind == Kind::call;
    return finish(Progress::done,
                  direct_call ? instruction_.branch_target(site_) : instruction_.next(site_));
  }

  Address target() { return Address(general_register(regs_, *code_.scratch)); }

  // An indirect branch has its target in the scratch register.
  Canonical target_loaded() {
    const Address to = target();
    if (!is_canonical(to)) return unfinished(push_faults() ? code_.push : code_.jump);
    const std::uint64_t return_address = instruction_.next(site_).value();
    if (code_.push != 0 && !push(regs_, instruction_.mode, return_address, memory_)) {
      return unfinished(code_.push);
    }
    return finish(Progress::done, to);
  }

  // With a bad target and a bad stack it is the stack's fault that counts (measured on AMD Zen).
  // With a bad target alone, Intel's processors have stored the return address below the stack
  // pointer by then, AMD's have not (measured on a Xeon with AMX and on Zen).
  bool push_faults() {
    if (code_.push == 0) return false;
    std::array<std::uint8_t, 8> bytes{};
    const std::uint8_t size = word_size(instruction_.mode);
    const Address to(truncated(regs_.rsp - size, instruction_.mode));
    if (!memory_.read(to, std::span(bytes).first(size))) return true;
    std::uint64_t stored = instruction_.next(site_).value();
    if (!is_intel()) std::memcpy(&stored, bytes.data(), sizeof stored);
    GeneralRegisters probe = regs_;
    return !push(probe, instruction_.mode, stored, memory_);
  }

  Canonical unfinished(std::uint8_t part) const {
    Canonical result{Progress::unfinished, at_ending_, regs_};
    result.registers.rip = slot_.value() + part;
    return result;
  }

  // The processor has pushed the return address of an indirect call.
  Canonical pushed() {
    const Address to = target();
    if (is_canonical(to)) return finish(Progress::done, to);
    undo_push();
    return unfinished(code_.jump);
  }

  void undo_push() {
    regs_.rsp = truncated(regs_.rsp + word_size(instruction_.mode), instruction_.mode);
  }

  Canonical finish(Progress progress, Address pc) {
    Canonical result{progress, at_ending_, regs_};
    result.registers.rip = pc.value();
    if (code_.scratch && saved_scratch_) {
      general_register(result.registers, *code_.scratch) = *saved_scratch_;
    }
    // What the kernel left for the program to return to (SDM vol. 2, SYSCALL). A call about to be
    // restarted has it too.
    if (instruction_.kind == Kind::system_call && instruction_.opcode == syscall_opcode &&
        regs_.rcx == slot_.value() + code_.executed) {
      result.registers.rcx = instruction_.next(site_).value();
    }
    return result;
  }

  const Instruction& instruction_;
  const SlotCode& code_;
  Address site_, slot_;
  GeneralRegisters regs_;
  std::optional<std::uint64_t> saved_scratch_;
  Memory& memory_;
  bool at_ending_ = false;
};

}  // namespace

Canonical canonical(const Instruction& instruction, const SlotCode& code, Address site,
                    Address slot, const GeneralRegisters& regs,
                    std::optional<std::uint64_t> saved_scratch, Memory& memory) {
  return Mapping(instruction, code, site, slot, regs, saved_scratch, memory).map();
}

bool records_x87_pointer(const Instruction& instruction) { return instruction.kind == Kind::x87; }

bool restore_x87_pointer(std::span<std::byte> xstate, const Instruction& instruction,
                         const SlotCode& code, Address site, Address slot) {
  std::uint64_t pointer = 0;
  if (xstate.size() < x87_pointer_offset + sizeof pointer) return false;
  std::memcpy(&pointer, &xstate[x87_pointer_offset], sizeof pointer);
  if (pointer < slot.value() || pointer >= slot.value() + code.size) return false;
  pointer = pointer - slot.value() + site.value();
  std::memcpy(&xstate[x87_pointer_offset], &pointer, sizeof pointer);
  // The scratch-register form has another ModRM. Processors that do not keep FOP leave 0 there.
  const bool has_opcode =
      xstate[x87_opcode_offset] != std::byte{0} || xstate[x87_opcode_offset + 1] != std::byte{0};
  if (code.scratch && has_opcode) xstate[x87_opcode_offset] = std::byte{instruction.modrm()};
  return true;
}

bool is_syscall(const Instruction& instruction) {
  return instruction.kind == Kind::system_call || instruction.kind == Kind::vdso_system_call;
}
bool uses_shadow_stack(const Instruction& instruction) {
  return instruction.kind == Kind::call || instruction.kind == Kind::call_register ||
         instruction.kind == Kind::call_memory || instruction.kind == Kind::near_return;
}
bool raises_trap(const Instruction& instruction) { return instruction.kind == Kind::software_trap; }

bool can_have_set_trap_flag(const Instruction& instruction, bool went_on_behind) {
  constexpr std::uint8_t iret_opcode = 0xcf;
  switch (instruction.kind) {
    case Kind::load_flags:
      return true;
    case Kind::far_transfer:
      return instruction.bytes[instruction.opcode_offset] == iret_opcode;
    case Kind::system_call:
    case Kind::vdso_system_call:
      return !went_on_behind;  // sigreturn(2)
    default:
      return false;
  }
}

void hide_trap_flag(const Instruction& instruction, GeneralRegisters& regs, Memory& memory) {
  constexpr std::uint8_t pushf_opcode = 0x9c;
  if (instruction.kind == Kind::system_call) {
    if (instruction.bytes[instruction.opcode_offset + 1] == 0x05) regs.r11 &= ~trap_flag;
    return;
  }
  if (instruction.kind != Kind::plain ||
      instruction.bytes[instruction.opcode_offset] != pushf_opcode)
    return;
  // The flag is bit 0 of the image's second byte.
  const Address at = Address(regs.rsp) + 1;
  std::array<std::uint8_t, 1> byte{};
  if (!memory.read(at, byte)) return;
  byte[0] &= static_cast<std::uint8_t>(~(trap_flag >> 8));
  (void)memory.write(at, byte);
}

}  // namespace x86
