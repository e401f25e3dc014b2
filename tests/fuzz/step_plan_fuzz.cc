// The path of an instruction under a breakpoint: decode, classify, emulate, relocate, canonical.
// The first byte holds the mode (bit 0) and where the slot is (bit 1: out of reach, bit 2: below
// the site); the rest is code.
//
// Holds, for every sequence of bytes and every state of the registers:
//   - a decoded instruction lies within the bytes given, and there is a plan for each;
//   - an emulation that fails has changed nothing;
//   - a slot's code fits, and ends as asked;
//   - every stop in a slot maps to the site, or to somewhere outside the slot, unless that is where
//     the program itself branches to.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "arch/step_plan.h"
#include "tests/fuzz/fuzz.h"

namespace {

using x86::Address;
using x86::GeneralRegisters;
using x86::Mode;

constexpr std::uint64_t site_address = 0x40'1234;

// Every access succeeds or every access fails; what is read depends on the address.
class Memory : public x86::Memory {
 public:
  explicit Memory(bool accessible) : accessible_(accessible) {}
  bool read(Address from, std::span<std::uint8_t> to) override {
    FUZZ_CHECK(to.size() <= 16);
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<std::uint8_t>(fuzz::Random(from.value() + i).next());
    }
    return accessible_;
  }
  bool write(Address, std::span<const std::uint8_t> from) override {
    FUZZ_CHECK(from.size() <= 16);
    return accessible_;
  }

 private:
  bool accessible_;
};

GeneralRegisters random_registers(fuzz::Random& random, Mode mode) {
  std::array<std::uint64_t, sizeof(GeneralRegisters) / 8> words;
  for (std::uint64_t& word : words) {
    word = random.next() >> random.below(64);
    if (mode == Mode::i386) word &= 0xffff'ffff;
  }
  GeneralRegisters regs;
  std::memcpy(&regs, words.data(), sizeof regs);
  regs.cs = mode == Mode::amd64 ? 0x33 : 0x23;
  regs.ss = regs.ds = regs.es = 0x2b;
  regs.eflags &= 0xcd5;
  return regs;
}

void check_emulate(const x86::Emulate& plan, fuzz::Random& random) {
  const GeneralRegisters before = random_registers(random, plan.instruction.mode);
  for (bool accessible : {true, false}) {
    GeneralRegisters regs = before;
    Memory memory(accessible);
    if (!x86::emulate(plan, Address(site_address), regs, memory)) FUZZ_CHECK(regs == before);
  }
}

bool branches_by_a_distance(const x86::Instruction& instruction) {
  switch (instruction.kind) {
    case x86::Kind::call:
    case x86::Kind::conditional_jump:
    case x86::Kind::count_jump:
    case x86::Kind::repeated_loop:
    case x86::Kind::begin_transaction:
      return true;
    default:
      return false;
  }
}

void check_canonical(const x86::Instruction& instruction, const x86::SlotCode& code, Address slot,
                     fuzz::Random& random) {
  for (std::size_t offset = 0; offset <= code.size; ++offset) {
    GeneralRegisters regs = random_registers(random, instruction.mode);
    regs.rip = (slot + offset).value();
    std::optional<std::uint64_t> saved;
    if (code.scratch) saved = random.next();
    Memory memory(random.below(4) != 0);
    const auto result =
        x86::canonical(instruction, code, Address(site_address), slot, regs, saved, memory);
    const bool inside = result.registers.rip - slot.value() < code.size;
    if (result.progress == x86::Progress::not_started) {
      FUZZ_CHECK(result.registers.rip == site_address);
    }
    // A branch goes where the program says, be it into a slot; an indirect one has its target in a
    // register.
    const Address pc(result.registers.rip);
    const bool goes_there =
        code.jump != 0 || (branches_by_a_distance(instruction) &&
                           pc == instruction.branch_target(Address(site_address)));
    if (result.progress == x86::Progress::done && !goes_there) FUZZ_CHECK(!inside);
    if (offset == 0) FUZZ_CHECK(result.progress != x86::Progress::lost);
    if (offset == code.executed) FUZZ_CHECK(result.progress != x86::Progress::lost);
  }
}

void check_x87(const x86::Instruction& instruction, const x86::SlotCode& code, Address slot,
               fuzz::Random& random) {
  x86::records_x87_pointer(instruction);
  x86::raises_trap(instruction);
  x86::is_syscall(instruction);
  std::vector<std::byte> xstate(random.below(700));
  for (std::byte& byte : xstate) byte = static_cast<std::byte>(random.next());
  x86::restore_x87_pointer(xstate, instruction, code, Address(site_address), slot);
}

void check_relocate(const x86::Instruction& instruction, x86::Ending ending, Address slot,
                    fuzz::Random& random) {
  const auto code = x86::relocate(instruction, Address(site_address), slot, ending);
  if (!code) return;
  FUZZ_CHECK(code->size <= x86::slot_size);
  FUZZ_CHECK(code->executed < code->size);
  if (ending == x86::Ending::trap) FUZZ_CHECK(code->bytes[code->executed] == 0xcc);
  if (ending == x86::Ending::jump_back) FUZZ_CHECK(!code->scratch);
  FUZZ_CHECK(x86::decode(std::span(code->bytes).first(code->size), instruction.mode));
  check_canonical(instruction, *code, slot, random);
  check_x87(instruction, *code, slot, random);
}

Address slot_for(std::uint8_t choice, Mode mode) {
  if (mode == Mode::i386) return Address(choice & 4 ? 0x1'0000 : 0xf000'0000);
  if (choice & 2) return Address(0x7000'0000'0000);
  return Address(choice & 4 ? 0x1'0000 : 0x3000'0000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Mode mode = data[0] & 1 ? Mode::i386 : Mode::amd64;
  const Address slot = slot_for(data[0], mode);
  const std::span code(data + 1, size - 1);
  fuzz::Random random(std::span(data, size));

  const auto instruction = x86::decode(code, mode);
  const x86::StepPlan plan = x86::classify(code, mode);
  FUZZ_CHECK(!plan.reason.empty());
  FUZZ_CHECK(!x86::name(plan.lane()).empty());
  if (!instruction) {
    FUZZ_CHECK(plan.lane() == x86::Lane::in_place);
    return 0;
  }
  FUZZ_CHECK(instruction->length >= 1);
  FUZZ_CHECK(instruction->length <= std::min(code.size(), x86::max_instruction_length));
  FUZZ_CHECK(std::ranges::equal(code.first(instruction->length),
                                std::span(instruction->bytes).first(instruction->length)));

  if (const auto* emulate = std::get_if<x86::Emulate>(&plan.how)) {
    check_emulate(*emulate, random);
    check_relocate(emulate->instruction, x86::Ending::trap, slot, random);
  }
  if (const auto* relocate = std::get_if<x86::Relocate>(&plan.how)) {
    if (relocate->lane == x86::Lane::boost) {
      check_relocate(relocate->instruction, x86::Ending::jump_back, slot, random);
    }
    check_relocate(relocate->instruction, x86::Ending::trap, slot, random);
  }
  return 0;
}
