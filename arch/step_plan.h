// How the instruction under a breakpoint is executed while the breakpoint stays in. Decided once,
// when the site is inserted, from a copy of the bytes; nothing is parsed per hit.
//
// A slot is code in the SSOL area of the inferior (read-execute, written by the stub). It holds a
// relocated copy of the instruction and an ending: a jump back to the next instruction (boost lane,
// the thread leaves by itself) or an int3 (trap lane, the stub finishes the step).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "arch/address.h"
#include "arch/instruction.h"
#include "arch/registers.h"

namespace x86 {

enum class Lane : std::uint8_t { emulate, boost, trap, in_place };
std::string_view name(Lane lane);  // "emulate", "boost", "trap", "in place"

// No slot: the effect is applied to the registers (and, for push/call/ret, to a word of memory).
struct Emulate {
  Instruction instruction;
};

// A copy runs in a slot. `lane` is boost or trap; a boost instruction may be run by trap as well
// (a client's stepi from a site), a trap one never by boost.
struct Relocate {
  Instruction instruction;
  Lane lane = Lane::trap;
};

// Every other thread is stopped, the byte is lifted, one trap-flag step, the byte goes back.
struct InPlace {};

struct StepPlan {
  std::variant<Emulate, Relocate, InPlace> how;
  std::string_view reason;  // static text for `monitor sites`: why this lane
  Lane lane() const;
};

// The classifier: one table row per kind of instruction. `bytes` start at the site (up to 15, the
// original bytes under any breakpoints). Undecodable or truncated bytes give InPlace.
StepPlan classify(std::span<const std::uint8_t> bytes, Mode mode);

// ---- emulate ---------------------------------------------------------------------------------

// Memory of the inferior as the emulated instruction sees it: all or nothing (an access never spans
// two pages), and page protections count (process_vm_readv/writev honour them; /proc/PID/mem and
// PTRACE_POKE override them, and a push to a read-only page would succeed that must fault).
class Memory {
 public:
  virtual ~Memory() = default;
  virtual bool read(Address from, std::span<std::uint8_t> to) = 0;
  virtual bool write(Address to, std::span<const std::uint8_t> from) = 0;
};

// Executes the instruction at `site` on `regs` (whose rip is ignored). False, with `regs`
// untouched, when the real instruction may fault (memory not accessible, target not canonical,
// alignment checked, segments not flat): the caller lets relocate() run the real one from a slot,
// which faults, or, a stack that grows, succeeds; if that gives no slot, in place.
bool emulate(const Emulate& plan, Address site, GeneralRegisters& regs, Memory& memory);

// ---- relocate --------------------------------------------------------------------------------

inline constexpr std::size_t slot_size = 64;  // instruction + far jump back, and room for rewrites

// What stands behind the instruction in a slot.
enum class Ending : std::uint8_t {
  jump_back,  // a jump to the next instruction: the thread leaves by itself (boost lane)
  trap,       // int3: the stub finishes the step (trap lane, and a client's stepi from a site)
};

struct SlotCode {
  std::array<std::uint8_t, slot_size> bytes{};
  std::uint8_t size = 0;      // bytes used
  std::uint8_t executed = 0;  // offset of the ending: a PC here means the instruction is done
  // Offsets of what only some slots have, for canonical(); 0 when absent.
  std::uint8_t taken = 0;  // where the copy of a branch goes when it is taken
  std::uint8_t push = 0;   // where the processor pushes the return address if the stub cannot,
  std::uint8_t half_pushed = 0;  // its second store,
  std::uint8_t pushed = 0;       // and the int3 behind it
  std::uint8_t jump = 0;         // a jump that raises the fault of a bad target
  // Scratch-register form (no area within reach of a RIP-relative operand, or an indirect branch
  // that has to stop at its target): the stub puts `scratch_value` into this general register
  // (hardware number 0-15) before the slot runs and keeps the program's value for canonical(),
  // which puts it back. Trap ending only.
  std::optional<std::uint8_t> scratch;
  std::uint64_t scratch_value = 0;
};

// The code for a slot at `slot`, for the instruction at `site`. nullopt: this form cannot be made
// here (with Ending::jump_back: no reach and scratch needed → ask for the trap ending; with
// Ending::trap: it leaves for good → single-step the other).
std::optional<SlotCode> relocate(const Instruction& instruction, Address site, Address slot,
                                 Ending ending);

// ---- canonical -------------------------------------------------------------------------------

// Where a thread stopped inside a slot stands in the program's own terms.
enum class Progress : std::uint8_t {
  not_started,  // at the first byte: the original instruction has yet to execute (or faulted, or is
                // a rep string in the middle); PC becomes the site's address
  done,         // executed; PC becomes what it is after the original instruction
  // The processor has to do the rest (a push that may fault, a jump to a bad address): resume
  // `registers`, whose rip is still in the slot, keep the saved scratch register, and map the next
  // stop, which comes at once.
  unfinished,
  lost,  // a PC that this slot's code never has (the program jumped in by itself)
};

struct Canonical {
  Progress progress = Progress::lost;
  // The PC is one behind an int3 of the slot's own: a SIGTRAP here is the stub's and no signal of
  // the program's. (An int3 of the program's, copied to the slot, is not such a one.)
  bool at_ending = false;
  GeneralRegisters registers{};  // as if the instruction had run (or not) in place
};

// Maps a stop at `regs.rip` inside [slot, slot + code.size] back to the program's own state.
// `saved_scratch` is the program's value of code.scratch. `memory` is where an indirect call pushes
// its return address. For Progress::done at the trap ending the PC may be `slot + executed` or one
// behind its int3.
// Call it once per stop and apply the registers it returns: it may have written memory.
Canonical canonical(const Instruction& instruction, const SlotCode& code, Address site,
                    Address slot, const GeneralRegisters& regs,
                    std::optional<std::uint64_t> saved_scratch, Memory& memory);

// x87 instructions leave their own address and opcode in the x87 state (FIP, FOP), where the
// program finds them with fnstenv, fnsave, fxsave, xsave or in a signal frame. After such an
// instruction ran from a slot, on every stop there, the stub passes the XSAVE image through
// restore_x87_pointer() and, if that returns true, writes it back: FIP pointed into the slot and
// points to the site now.
bool records_x87_pointer(const Instruction& instruction);
bool restore_x87_pointer(std::span<std::byte> xstate, const Instruction& instruction,
                         const SlotCode& code, Address site, Address slot);

// After an instruction was single-stepped in place: pushf has stored the trap flag that the tracer
// set, and syscall has left it in R11 (SDM vol. 2, PUSHF, SYSCALL). Takes it out again. Not to be
// called when the program had set its own.
void hide_trap_flag(const Instruction& instruction, GeneralRegisters& regs, Memory& memory);

// Whether the trap flag that is set after the instruction was executed can be its doing.
bool can_have_set_trap_flag(const Instruction& instruction, bool went_on_behind);

// The words that are accessed in place of the processor, whose debug registers do not see it. Size
// 0: none.
struct Word {
  Address at;
  std::uint8_t size = 0;  // bytes
};
// Of the stack, read or written by emulate() or canonical().
Word stack_word(const Instruction& instruction, const GeneralRegisters& regs);
// The operand of a `call *mem` at `site`, read by emulate() alone: in a slot the processor reads
// it.
Word emulated_operand(const Instruction& instruction, Address site, const GeneralRegisters& regs);

// What range stepping and the stub's own analysis need to know of an instruction.
bool is_syscall(const Instruction& instruction);
bool uses_shadow_stack(const Instruction& instruction);  // near calls and returns (SDM vol. 1, 17)
bool raises_trap(const Instruction& instruction);        // int3, int1, into of the program's own

}  // namespace x86
