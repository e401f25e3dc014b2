#include "stub/stepping/step_over.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "stub/base/memory_map.h"
#include "stub/stepping/ssol_mapping.h"

namespace stub {
namespace {

// The inferior's memory as an emulated instruction accesses it: with the program's own rights, so
// that what would fault in place is left to the real instruction in a slot, which does fault.
//
// Such an access waits for a page that the program itself has to fill (userfaultfd), and below a
// stack that has to grow it fails with a stack dump in the kernel's log (mm/gup.c, gup_vma_lookup).
// So where another page is accessed than the last time, it is looked at in the debugger's way
// first, which fails at once for the one and lets the other grow (mm/memory.c, access_remote_vm).
class InferiorMemory final : public x86::Memory {
 public:
  InferiorMemory(Tracee& tracee, Thread& thread)
      : tracee_(tracee),
        thread_(thread),
        pid_(thread.process->pid),
        sites_(thread.process->space->sites) {}

  bool read(Address from, std::span<std::uint8_t> to) override {
    const auto bytes = std::as_writable_bytes(to);
    if (!is_there(from, thread_.page_read)) return false;
    if (!tracee_.read_as_program(pid_, from, bytes)) return false;
    sites_.mask(from, bytes);
    return true;
  }
  bool write(Address to, std::span<const std::uint8_t> from) override {
    return is_there(to, thread_.page_written) &&
           tracee_.write_as_program(pid_, to, std::as_bytes(from));
  }

 private:
  bool is_there(Address at, Address& last_page) {
    const Address page(at.value() & ~(page_size - 1));
    if (page == last_page) return true;
    std::byte byte{};
    if (tracee_.read_memory(pid_, at, {&byte, 1}) != 1) return false;
    last_page = page;
    return true;
  }

  Tracee& tracee_;
  Thread& thread_;
  Pid pid_;
  const BreakpointTable& sites_;
};

// null: none that is executed anywhere but in place.
const x86::Instruction* instruction_of(const x86::StepPlan& plan) {
  if (const auto* emulate = std::get_if<x86::Emulate>(&plan.how)) return &emulate->instruction;
  if (const auto* relocate = std::get_if<x86::Relocate>(&plan.how)) return &relocate->instruction;
  return nullptr;
}

// Whether the client may watch what we would access in place of the processor. (A slot that pushes
// a return address does it by two stores: a trap between them is no state of the program's.)
bool is_watched(const Thread& thread, x86::Word word) {
  return thread.process->space->hardware.watches(word.at, word.size);
}

// The program's own int3 under a breakpoint of the client is what gdb calls a permanent breakpoint:
// the trap is the breakpoint's, and the program does not get it whatever the condition says.
bool is_permanent(const Thread& thread, const Site& site) {
  return site.client && !thread.process->hidden && site.length == 1 &&
         site.original[0] == int3_opcode;
}

std::uint64_t* general_register(x86::GeneralRegisters& regs, unsigned hardware_number) {
  using Regs = x86::GeneralRegisters;
  static constexpr std::uint64_t Regs::*by_number[16] = {
      &Regs::rax, &Regs::rcx, &Regs::rdx, &Regs::rbx, &Regs::rsp, &Regs::rbp,
      &Regs::rsi, &Regs::rdi, &Regs::r8,  &Regs::r9,  &Regs::r10, &Regs::r11,
      &Regs::r12, &Regs::r13, &Regs::r14, &Regs::r15};
  return &(regs.*by_number[hardware_number & 15]);
}

}  // namespace

StepOutcome StepOver::prepare(Thread& thread, Site& site, bool must_stop) {
  x86::GeneralRegisters& regs = *thread.general;
  if (is_permanent(thread, site)) {
    regs.rip += site.length;
    thread.general_dirty = true;
    return StepOutcome::emulated;
  }
  // The plan is for code of the process's own size. (Wine runs 32-bit code in a 64-bit process.)
  if (regs.mode() != thread.process->space->mode) return in_place(site, "another code segment");
  const x86::Instruction* instruction = instruction_of(site.plan);
  if (instruction == nullptr) return in_place(site, site.plan.reason);
  if (is_watched(thread, x86::stack_word(*instruction, regs)))
    return in_place(site, "a watchpoint may be on what it accesses");
  if (x86::uses_shadow_stack(*instruction) && tracee_.has_shadow_stack(thread.tid))
    return in_place(site, "the thread has a shadow stack");
  // With the program's own trap flag set the processor has to execute the instruction, so that the
  // program gets its trap.
  const bool program_traps = (regs.eflags & x86::trap_flag) != 0;
  if (const auto* plan = std::get_if<x86::Emulate>(&site.plan.how)) {
    const Check text = check_text(thread, site);
    if (text != Check::good) return cannot_run(thread, site, text);
    InferiorMemory memory(tracee_, thread);
    // In a slot the processor reads the operand itself.
    const bool to_slot = program_traps || is_watched(thread, x86::emulated_operand(
                                                                 *instruction, site.address, regs));
    if (!to_slot && x86::emulate(*plan, site.address, regs, memory)) {
      thread.general_dirty = true;
      return StepOutcome::emulated;
    }
    return enter_slot(thread, site, *instruction, must_stop || program_traps);
  }
  const bool ends_in_trap = site.plan.lane() == x86::Lane::trap;
  return enter_slot(thread, site, *instruction, must_stop || program_traps || ends_in_trap);
}

StepOutcome StepOver::in_place(Site& site, std::string_view because) {
  site.statistics.in_place_because = because;
  return StepOutcome::in_place;
}

// Filters are never taken away, so each is looked at once.
bool StepOver::filters_by_address(Thread& thread) {
  while (const auto reads = tracee_.filter_reads_address(thread.tid, thread.filters_seen)) {
    ++thread.filters_seen;
    thread.filters_by_address = thread.filters_by_address || *reads;
  }
  return thread.filters_by_address;
}

// What becomes of a step whose plan is not for what is there now.
StepOutcome StepOver::cannot_run(Thread& thread, Site& site, Check why) {
  AddressSpace& space = *thread.process->space;
  if (why == Check::restartable) return in_place(site, "in a restartable sequence");
  if (why == Check::text_gone) return in_place(site, "the text cannot be read");
  space.areas.retire(site.address);
  space.sites.replan(thread.process->pid, site);
  return site.gone ? StepOutcome::site_gone : StepOutcome::site_changed;
}

StepOutcome StepOver::enter_slot(Thread& thread, Site& site, const x86::Instruction& instruction,
                                 bool must_stop) {
  if (x86::is_syscall(instruction) && tracee_.syscall_dispatch(thread.tid))
    return in_place(site, "the program's system calls go by their addresses");
  if (x86::is_syscall(instruction) && filters_by_address(thread))
    return in_place(site, "a seccomp filter looks at where system calls come from");
  const auto wanted = must_stop ? x86::Ending::trap : x86::Ending::jump_back;
  Slot* slot = nullptr;
  // Twice: the area may turn out to have been unmapped by the program.
  for (int attempt = 0; attempt < 2; ++attempt) {
    slot = slot_for(thread, site, instruction, wanted);
    if (inbox_.has_put_back(thread.tid)) return StepOutcome::gone;
    if (slot == nullptr) return in_place(site, "no slot can be had");
    const Check result = check(thread, site, *slot);
    if (result == Check::good) break;
    if (result != Check::slot_gone && result != Check::slot_changed)
      return cannot_run(thread, site, result);
    if (result == Check::slot_changed && write_slot(thread, slot->address, slot->code)) break;
    lose_area(*thread.process->space, slot->address);
    slot = nullptr;
  }
  if (slot == nullptr) return in_place(site, "the program takes its slots away");
  x86::GeneralRegisters& regs = *thread.general;
  SlotRun run{.site = site.address, .saved_scratch = std::nullopt};
  if (slot->code.scratch) {
    std::uint64_t* scratch = general_register(regs, *slot->code.scratch);
    run.entry = ScratchEntry({.program_value = *scratch, .site = site.address, .tid = thread.tid});
    if (run.entry.is_lost()) return in_place(site, "the journal is full");
    run.saved_scratch = std::exchange(*scratch, slot->code.scratch_value);
  }
  regs.rip = slot->address.value();
  // The PC is no system call's any more: the kernel must not apply a restart to it.
  regs.orig_rax = ~std::uint64_t{0};
  thread.general_dirty = true;
  if (slot->ending == x86::Ending::jump_back)
    return must_stop ? StepOutcome::single_step : StepOutcome::boosted;
  thread.slot_run = std::move(run);
  return StepOutcome::in_slot;
}

// For what is done without a slot. Of an instruction of one byte, all is under the int3 that the
// thread has just executed.
StepOver::Check StepOver::check_text(const Thread& thread, const Site& site) {
  if (site.length <= 1) return Check::good;
  std::array<std::uint8_t, x86::max_instruction_length> bytes{};
  const auto text = std::span(bytes).first(site.length);
  const std::array pieces{Tracee::Piece{site.address, text}};
  if (!tracee_.read_pieces(thread.process->pid, pieces)) return Check::text_gone;
  return is_as_planned(thread, site, text) ? Check::good : Check::site_changed;
}

// `text` is what memory holds there; changed to what the program has there.
bool StepOver::is_as_planned(const Thread& thread, const Site& site, std::span<std::uint8_t> text) {
  thread.process->space->sites.mask(site.address, std::as_writable_bytes(text));
  return std::ranges::equal(text, std::span(site.original).first(site.length));
}

// The text behind the int3, the slot, and whether the thread is in a restartable sequence, in one
// look. The site's first byte is covered by our int3.
StepOver::Check StepOver::check(Thread& thread, const Site& site, const Slot& slot) {
  std::array<std::uint8_t, x86::max_instruction_length> text{};
  std::array<std::uint8_t, x86::slot_size> code{};
  std::array<std::uint8_t, 8> sequence{};
  if (!thread.rseq_area) thread.rseq_area = tracee_.rseq_area(thread.tid);
  const std::array pieces{
      Tracee::Piece{site.address, std::span(text).first(site.length)},
      Tracee::Piece{slot.address, std::span(code).first(slot.code.size)},
      Tracee::Piece{thread.rseq_area.value_or(Address()) + rseq_cs_offset, sequence}};
  const bool all = thread.rseq_area && tracee_.read_pieces(thread.process->pid, pieces);
  if (!all && !tracee_.read_pieces(thread.process->pid, std::span(pieces).first(2)))
    return slot_is_readable(thread, slot) ? Check::text_gone : Check::slot_gone;
  const Address descriptor(std::bit_cast<std::uint64_t>(sequence));
  if (descriptor != Address() && in_restartable_sequence(thread, descriptor, site.address))
    return Check::restartable;
  if (!is_as_planned(thread, site, std::span(text).first(site.length))) return Check::site_changed;
  if (!std::equal(code.begin(), code.begin() + slot.code.size, slot.code.bytes.begin()))
    return Check::slot_changed;
  return Check::good;
}

bool StepOver::slot_is_readable(const Thread& thread, const Slot& slot) {
  std::array<std::byte, x86::slot_size> code;
  return tracee_.read_memory(thread.process->pid, slot.address,
                             std::span(code).first(slot.code.size)) == slot.code.size;
}

bool StepOver::holds_code(const Thread& thread, const Slot& slot) {
  std::array<std::uint8_t, x86::slot_size> code{};
  const auto used = std::span(code).first(slot.code.size);
  return tracee_.read_memory(thread.process->pid, slot.address, std::as_writable_bytes(used)) ==
             used.size() &&
         std::ranges::equal(used, std::span(slot.code.bytes).first(used.size()));
}

// Executable, and neither our code nor our mark is there: the thread is in what the program has put
// in the place of the area. Where nothing can be executed it comes from a slot that was there.
bool StepOver::is_taken_over(const Thread& thread, const Slot& slot) {
  const Pid pid = thread.process->pid;
  if (holds_code(thread, slot) || has_mark(tracee_, pid, slot.address)) return false;
  const auto mappings = tracee_.mappings(pid);
  const Mapping* there = mappings ? find_mapping(*mappings, slot.address) : nullptr;
  return there != nullptr && there->execute;
}

// A slot is outside the sequence's range, so the kernel would not see that it has to abort it
// (rseq(2)). In place the thread is either aborted or executes the instruction; both are right.
bool StepOver::in_restartable_sequence(const Thread& thread, Address descriptor, Address at) {
  struct {  // struct rseq_cs of linux/rseq.h
    std::uint32_t version, flags;
    std::uint64_t start, length, abort;
  } section{};
  const auto bytes = std::as_writable_bytes(std::span(&section, 1));
  return tracee_.read_memory(thread.process->pid, descriptor, bytes) == bytes.size() &&
         at.value() - section.start < section.length;
}

// Preference: within reach with the wanted ending; within reach but ending in a trap; anywhere,
// which may take a scratch register. An instruction that leaves for good has no trap form: it is
// stepped.
Slot* StepOver::slot_for(Thread& thread, Site& site, const x86::Instruction& instruction,
                         x86::Ending ending) {
  AddressSpace& space = *thread.process->space;
  const auto other = ending == x86::Ending::trap ? x86::Ending::jump_back : x86::Ending::trap;
  if (Slot* slot = space.areas.find(site.address, instruction, ending)) return slot;
  if (Slot* slot = space.areas.find(site.address, instruction, other); slot && slot->substitute)
    return slot;
  for (const bool near : {true, false})
    for (const auto form : {ending, other}) {
      if (Slot* slot = make_slot(thread, site, instruction, form, near)) {
        slot->substitute = form != ending;
        return slot;
      }
      if (space.area_refused || inbox_.has_put_back(thread.tid)) return nullptr;
    }
  return nullptr;
}

Slot* StepOver::make_slot(Thread& thread, Site& site, const x86::Instruction& instruction,
                          x86::Ending ending, bool near) {
  SsolAreas& areas = thread.process->space->areas;
  if (Slot* slot = areas.find(site.address, instruction, ending)) return slot;
  // Twice: the area may turn out to have been taken away by the program.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto place = free_slot(thread, site.address, near);
    if (!place) return nullptr;
    const auto code = x86::relocate(instruction, site.address, *place, ending);
    if (!code || code->size > slot_room) return nullptr;
    if (write_slot(thread, *place, *code))
      return areas.occupy({.address = *place,
                           .site = site.address,
                           .instruction = instruction,
                           .code = *code,
                           .ending = ending});
    lose_area(*thread.process->space, *place);
  }
  return nullptr;
}

// Where the mark is not, the program has mapped something else or written over the area: that is
// the program's from now on.
bool StepOver::write_slot(const Thread& thread, Address slot, const x86::SlotCode& code) {
  const Pid pid = thread.process->pid;
  const auto bytes = std::as_bytes(std::span(code.bytes).first(code.size));
  return has_mark(tracee_, pid, slot) && tracee_.write_memory(pid, slot, bytes) == bytes.size();
}

std::optional<Address> StepOver::free_slot(Thread& thread, Address site, bool near) {
  AddressSpace& space = *thread.process->space;
  if (const auto place = space.areas.free_slot(site, near)) return place;
  recycle(space);
  if (const auto place = space.areas.free_slot(site, near)) return place;
  if (space.area_refused || thread.cannot_map) return std::nullopt;
  const auto reach = near ? Reach::near : Reach::anywhere;
  const auto mapped = map_area(tracee_, inbox_, space, thread, site, reach);
  space.area_refused = !mapped && mapped.error().code == Errc::refused;
  thread.cannot_map = !mapped && mapped.error().code == Errc::unsupported;
  return space.areas.free_slot(site, near);
}

// Slots of removed sites, as far as no thread can still be in them.
void StepOver::recycle(AddressSpace& space) {
  space.areas.retire_unless([&](Address at) { return space.sites.find(at) != nullptr; });
  std::uint64_t oldest = space.areas.epoch();
  for (const Inferior* process : space.users)
    for (const auto& [tid, thread] : process->threads)
      if (thread->running) oldest = std::min(oldest, thread->seen_epoch);
  space.areas.reclaim(oldest);
}

std::optional<StepOver::Left> StepOver::leave_slot(Thread& thread, const AddressSpace& space) {
  x86::GeneralRegisters& regs = *thread.general;
  const Slot* slot = space.areas.at(regs.pc());
  if (slot == nullptr) return std::nullopt;
  if (!thread.slot_run && is_taken_over(thread, *slot)) return std::nullopt;
  Left left;
  left.site = slot->site;
  left.is_syscall = x86::is_syscall(slot->instruction);
  const auto scratch = thread.slot_run ? thread.slot_run->saved_scratch : std::nullopt;
  InferiorMemory memory(tracee_, thread);
  const auto result = x86::canonical(slot->instruction, slot->code, slot->site, slot->address, regs,
                                     scratch, memory);
  left.progress = result.progress;
  left.at_end = result.at_ending;
  repair_x87_pointer(thread, *slot);
  if (result.progress == x86::Progress::lost) return left;
  regs = result.registers;
  thread.general_dirty = true;
  return left;
}

// An instruction that saves the flags has saved ours with them. And Linux shows it as the program's
// own from the step of a popf or iret on, for which it cannot know, and in front of one that was
// not executed after all (arch/x86/kernel/step.c, enable_single_step). The program's own it is only
// right behind an instruction that can have set it.
void StepOver::hide_trap_flag(Thread& thread, Address from) {
  constexpr std::uint64_t longest = 3;  // of those that save it, as they are usually written
  x86::GeneralRegisters& regs = *thread.general;
  const std::uint64_t length = regs.pc().value() - from.value();
  const bool shows = (regs.eflags & x86::trap_flag) != 0;
  if (!shows && (length == 0 || length > longest)) return;
  std::array<std::byte, x86::max_instruction_length> bytes{};
  const std::span<std::byte> code =
      std::span(bytes).first(tracee_.read_memory(thread.process->pid, from, bytes));
  thread.process->space->sites.mask(from, code);
  const auto instruction =
      x86::decode({reinterpret_cast<const std::uint8_t*>(code.data()), code.size()},
                  thread.process->space->mode);
  const bool behind = instruction && length == instruction->length;
  if (shows) {
    if (instruction && length != 0 && x86::can_have_set_trap_flag(*instruction, behind)) return;
    regs.eflags &= ~x86::trap_flag;
    thread.general_dirty = true;
  }
  if (!behind) return;
  InferiorMemory memory(tracee_, thread);
  x86::hide_trap_flag(*instruction, regs, memory);
  thread.general_dirty = true;
}

void StepOver::repair_x87_pointer(const Thread& thread, const Slot& slot) {
  if (!x86::records_x87_pointer(slot.instruction)) return;
  std::array<std::byte, x86::largest_xstate> image;
  const auto size = tracee_.xstate(thread.tid, image);
  if (!size) return;
  const auto used = std::span(image).first(*size);
  if (x86::restore_x87_pointer(used, slot.instruction, slot.code, slot.site, slot.address))
    (void)tracee_.set_xstate(thread.tid, used);
}

}  // namespace stub
