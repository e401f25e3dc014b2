// Which way an instruction is executed while the breakpoint under it stays in.
//
// The ways, cheapest first, with stops per hit: *emulate* (1; no slot, the effect is applied to the
// registers), *boost* (1; a copy in a slot, then a jump back), *trap* (2; a copy, then int3,
// because something has to be put right afterwards), *in place* (stops every other thread, and is
// therefore kept for what nothing else can do). Stepping slots with the trap flag instead was
// measured three times as slow as int3 and leaks: pushf stores TF, syscall leaves it in r11, rep
// strings stop once per iteration, mov ss runs two instructions.
//
// Uprobes and kprobes keep bitmaps of opcodes for this; bitmaps cannot say why. Here it is one row
// per kind of instruction (decode.cc tells kinds apart), with its reason and its test. Instructions
// are executed by the processor wherever possible; what is emulated are branches and stack
// operations of a few lines, all of them frequent under breakpoints.
#include <algorithm>
#include <iterator>

#include "arch/step_plan.h"

namespace x86 {
namespace {

struct Row {
  Kind kind;
  Lane lane;
  std::string_view reason;
};

// The tests named are in tests/arch/ and, by kind, in tests/differential/.
constexpr Row rows[] = {
    // Most instructions: the copy does what the original does. RIP-relative operands get a new
    // displacement, or a scratch register and with it the trap lane where none reaches. LOCK,
    // segment overrides and redundant prefixes are copied; a rep string runs through at once and a
    // page fault in its middle restarts it.  // "relocate: plain", "relocate: RIP-relative"
    {Kind::plain, Lane::boost, "runs the same anywhere"},

    // No effect but the next PC.  // "emulate: nop"
    {Kind::no_operation, Lane::emulate, "only moves the PC"},

    // Relative to their own address, so a copy would go astray; reads rflags or rcx at most.
    // Without a memory access emulation cannot fail.  // "emulate: jcc", "emulate: loop"
    {Kind::jump, Lane::emulate, "relative jump"},
    {Kind::conditional_jump, Lane::emulate, "relative jump, reads the flags"},
    {Kind::count_jump, Lane::emulate, "relative jump, reads or counts down rcx"},

    // A prefix that no manual gives a meaning here changes the condition on some processors: let
    // the processor decide, between two int3s.  // "relocate: two-way"
    {Kind::repeated_loop, Lane::trap, "relative jump, condition depends on the processor"},

    // A copy would push the slot's address. If emulation refuses, a push in the slot takes the
    // fault or extends the stack; a target in memory is loaded there by the processor, with all the
    // faults of a read.  // "emulate: call", "emulate: call *mem", "relocate: call *mem"
    {Kind::call, Lane::emulate, "pushes its own address"},
    {Kind::call_register, Lane::emulate, "pushes its own address, target read before the push"},
    {Kind::call_memory, Lane::emulate, "pushes its own address, target in memory"},

    // Need no slot when done here, and a copy works as fallback.  // "emulate: ret"
    {Kind::jump_register, Lane::emulate, "indirect jump"},
    {Kind::near_return, Lane::emulate, "reads the target from the stack"},
    {Kind::push_register, Lane::emulate, "a store below the stack pointer"},

    // The copy leaves the slot for good, with nothing to correct.  // "relocate: jmp *mem"
    {Kind::jump_memory, Lane::boost, "indirect jump, leaves the slot by itself"},

    // The result is an address near the original; no memory is read.  // "emulate: lea"
    {Kind::address_of, Lane::emulate, "address computed from the PC"},

    // The kernel returns to the slot, with rcx = slot address (syscall); interrupted calls restart
    // at their instruction; children of fork start there.  // "canonical: syscall"
    {Kind::system_call, Lane::trap, "return address seen in rcx and by restarts"},

    // The kernel returns to the vDSO and restarts from there, wherever the instruction is
    // (arch/x86/entry/common.c, do_fast_syscall_32): nothing names the slot.  // "relocate: leaves"
    {Kind::vdso_system_call, Lane::boost, "system call that returns to the vDSO"},

    // May set TF: then the next instruction would trap in the middle of the ending. An int3 comes
    // first and takes no single-step trap with it (SDM vol. 3, 18.3.1.4).  // "canonical: popf"
    {Kind::load_flags, Lane::trap, "may set the trap flag"},

    // Debug exceptions are held off until after the next instruction, which has to be one whose
    // stop is certain: int3 is not held off.  // differential "mov ss"
    {Kind::load_stack_segment, Lane::trap, "inhibits traps after itself"},

    // The transaction would abort at an int3; the fallback address is made the original
    // one.  // "relocate: xbegin"
    {Kind::begin_transaction, Lane::boost, "a trap would abort the transaction"},

    // FIP, the x87 instruction pointer, would show the slot (fnstenv is an old idiom to get the
    // PC).  // "canonical: x87 pointer"
    {Kind::x87, Lane::trap, "leaves its address in the x87 state"},

    // Both raise a signal in the slot that is reported for the original address; the ending only
    // matters if the kernel or an I/O permission lets them pass.  // "canonical: own int3"
    {Kind::software_trap, Lane::trap, "the program's own trap"},
    {Kind::expected_fault, Lane::trap, "the fault is the program's own"},

    // Leave for another code segment, perhaps of other size: what is left to single-step.
    // // "classify: in place"
    {Kind::far_transfer, Lane::in_place, "loads CS"},

    // AMD truncates the PC to 16 bits, Intel ignores the prefix (SDM vol. 2, Jcc; APM vol. 3,
    // 1.2.7).  // "classify: in place"
    {Kind::narrow_branch, Lane::in_place, "branch with prefix 66h differs between vendors"},
};

constexpr std::string_view undecodable = "no instruction known to the decoder";

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i + 1 < std::size(rows); i++) {
    for (std::size_t j = i + 1; j < std::size(rows); j++) {
      if (rows[i].kind == rows[j].kind) return false;
    }
  }
  return std::size(rows) == static_cast<std::size_t>(Kind::narrow_branch) + 1;
}
static_assert(rows_are_in_order(), "one row for every Kind");

}  // namespace

std::string_view name(Lane lane) {
  constexpr std::string_view names[] = {"emulate", "boost", "trap", "in place"};
  return names[static_cast<std::size_t>(lane)];
}

Lane StepPlan::lane() const {
  if (std::holds_alternative<Emulate>(how)) return Lane::emulate;
  const auto* relocate = std::get_if<Relocate>(&how);
  return relocate ? relocate->lane : Lane::in_place;
}

StepPlan classify(std::span<const std::uint8_t> bytes, Mode mode) {
  const auto instruction = decode(bytes, mode);
  if (!instruction) return {InPlace{}, undecodable};
  const auto& row = *std::find_if(std::begin(rows), std::end(rows),
                                  [&](const Row& r) { return r.kind == instruction->kind; });
  switch (row.lane) {
    case Lane::emulate:
      return {Emulate{*instruction}, row.reason};
    case Lane::boost:
    case Lane::trap:
      return {Relocate{*instruction, row.lane}, row.reason};
    case Lane::in_place:
      break;
  }
  return {InPlace{}, row.reason};
}

}  // namespace x86
