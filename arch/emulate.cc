// Branches and a few stack operations done on the registers, without a slot.
//
// These are the instructions that name or store their own address, so that a copy elsewhere would
// have to be corrected, and that are a memory access or two away from being a change of registers.
// They are also what breakpoints sit on: the first instruction of a function (push, endbr), its end
// (ret), loops (jcc), calls (`call *x(%rip)` into a library, `call *8(%rax)` of a virtual
// function).
//
// Emulation may not be wrong, so it refuses when the processor might do something that is not
// described here: an access that fails or spans two pages, a target that is no canonical address
// (the fault is raised at the branch itself, with nothing pushed), alignment checking, i386
// segments that are not flat. Nothing is written before all else is known. Then the real
// instruction runs, in a slot, and faults by itself.
//
// A thread with a user shadow stack (CET, Linux 6.6) is beyond this: calls and returns done here
// leave it behind. Such a thread has its calls and returns executed in place (step_over.cc).
#include <array>
#include <cstring>

#include "arch/semantics.h"
#include "arch/step_plan.h"

namespace x86 {
namespace {

constexpr std::uint64_t alignment_check = 1u << 18;  // EFLAGS.AC

constexpr std::uint64_t page_size = 4096;

// Selectors of the kernel's flat segments for users (arch/x86/include/asm/segment.h).
constexpr std::uint64_t user32_cs = 0x23, user64_cs = 0x33, user_ds = 0x2b;

std::uint64_t GeneralRegisters::*const register_fields[16] = {
    &GeneralRegisters::rax, &GeneralRegisters::rcx, &GeneralRegisters::rdx, &GeneralRegisters::rbx,
    &GeneralRegisters::rsp, &GeneralRegisters::rbp, &GeneralRegisters::rsi, &GeneralRegisters::rdi,
    &GeneralRegisters::r8,  &GeneralRegisters::r9,  &GeneralRegisters::r10, &GeneralRegisters::r11,
    &GeneralRegisters::r12, &GeneralRegisters::r13, &GeneralRegisters::r14, &GeneralRegisters::r15};

}  // namespace

std::uint64_t& general_register(GeneralRegisters& regs, std::uint8_t number) {
  return regs.*register_fields[number];
}

bool condition_holds(std::uint8_t condition, std::uint64_t eflags) {
  const bool carry = eflags & 1, parity = eflags & 4, zero = eflags & 0x40, sign = eflags & 0x80,
             overflow = eflags & 0x800;
  const std::array<bool, 8> conditions = {// SDM vol. 1, appendix B
                                          overflow,
                                          carry,
                                          zero,
                                          carry || zero,
                                          sign,
                                          parity,
                                          sign != overflow,
                                          zero || sign != overflow};
  return conditions[(condition >> 1) & 7] != ((condition & 1) != 0);
}

namespace {

bool may_access(const GeneralRegisters& regs, Mode mode, std::uint64_t address) {
  const std::uint64_t word = word_size(mode);
  if ((regs.eflags & alignment_check) != 0 && address % word != 0) return false;
  // Half of a word on a page that is not there: the processor writes nothing, a system call that
  // copies page by page would.
  if (address % page_size + word > page_size) return false;
  // 64-bit code ignores the stack segment's base and limit.
  return mode == Mode::amd64 || (regs.ss == user_ds && address <= low32 + 1 - word);
}

}  // namespace

bool push(GeneralRegisters& regs, Mode mode, std::uint64_t value, Memory& memory) {
  const std::uint64_t to = truncated(regs.rsp - word_size(mode), mode);
  std::array<std::uint8_t, 8> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  if (!may_access(regs, mode, to)) return false;
  if (!memory.write(Address(to), std::span(bytes).first(word_size(mode)))) return false;
  regs.rsp = to;
  return true;
}

namespace {

// The registers while one instruction is worked on; the caller's are changed at the end or not at
// all.
class Machine {
 public:
  Machine(const Instruction& instruction, Address site, const GeneralRegisters& regs,
          Memory& memory)
      : instruction_(instruction), site_(site), regs_(regs), memory_(memory) {
    regs_.rip = instruction.next(site).value();
  }

  const GeneralRegisters& registers() const { return regs_; }
  std::uint64_t& reg(std::uint8_t number) { return general_register(regs_, number); }
  // A register as an operand of a branch or push: 32 bits in i386 code.
  std::uint64_t operand(std::uint8_t number) { return truncated(reg(number)); }

  bool jump_if(bool taken) { return !taken || jump(instruction_.branch_target(site_)); }

  bool jump(Address target) {
    if (!is_canonical(target)) return false;
    regs_.rip = truncated(target.value());
    return true;
  }

  bool push(std::uint64_t value) { return x86::push(regs_, instruction_.mode, value, memory_); }

  // call: target first, so that nothing is pushed for one the processor would refuse.
  bool call(Address target) {
    const std::uint64_t return_address = regs_.rip;
    return jump(target) && push(return_address);
  }

  bool call_memory() {
    const auto operand = effective_address(instruction_, site_, regs_);
    if (!operand) return false;
    const auto target = load(operand->value());
    return target && call(*target);
  }

  bool ret() {
    const auto target = load(truncated(regs_.rsp));
    const std::uint64_t extra = static_cast<std::uint16_t>(instruction_.immediate);
    regs_.rsp = truncated(regs_.rsp + word() + extra);
    return target && jump(*target);
  }

  bool count_jump() {
    const std::uint64_t mask = instruction_.address_size == 8   ? ~std::uint64_t{0}
                               : instruction_.address_size == 4 ? low32
                                                                : 0xffff;
    if (instruction_.opcode == 0xe3) return jump_if((regs_.rcx & mask) == 0);
    const std::uint64_t count = (regs_.rcx - 1) & mask;
    // Writing ecx clears the upper half of rcx, writing cx keeps the rest (SDM vol. 1, 3.4.1.1).
    regs_.rcx = mask == 0xffff ? (regs_.rcx & ~mask) | count : count;
    const bool zero = (regs_.eflags & 0x40) != 0;
    const bool wanted = instruction_.opcode == 0xe2 || zero == (instruction_.opcode == 0xe1);
    return jump_if(count != 0 && wanted);
  }

  bool load_address() {
    const std::uint64_t address = instruction_.operand_address(site_).value();
    std::uint64_t& to = reg(instruction_.reg_register);
    switch (instruction_.operand_size) {
      case 2:
        to = (to & ~std::uint64_t{0xffff}) | (address & 0xffff);
        break;
      case 4:
        to = address & low32;
        break;
      default:
        to = address;
        break;
    }
    return true;
  }

 private:
  // A branch target in memory.
  std::optional<Address> load(std::uint64_t from) {
    std::array<std::uint8_t, 8> bytes{};
    if (!may_access(regs_, instruction_.mode, from) ||
        !memory_.read(Address(from), std::span(bytes).first(word()))) {
      return std::nullopt;
    }
    std::uint64_t target = 0;
    std::memcpy(&target, bytes.data(), sizeof target);
    return Address(target);
  }

  std::size_t word() const { return word_size(instruction_.mode); }
  std::uint64_t truncated(std::uint64_t value) const {
    return x86::truncated(value, instruction_.mode);
  }

  const Instruction& instruction_;
  Address site_;
  GeneralRegisters regs_;
  Memory& memory_;
};

bool execute(const Instruction& instruction, Machine& machine, Address site) {
  switch (instruction.kind) {
    case Kind::no_operation:
      return true;
    case Kind::jump:
      return machine.jump_if(true);
    case Kind::conditional_jump:
      return machine.jump_if(condition_holds(instruction.opcode & 15, machine.registers().eflags));
    case Kind::count_jump:
      return machine.count_jump();
    case Kind::call:
      return machine.call(instruction.branch_target(site));
    case Kind::call_register:
      return machine.call(Address(machine.operand(instruction.rm_register)));
    case Kind::call_memory:
      return machine.call_memory();
    case Kind::jump_register:
      return machine.jump(Address(machine.operand(instruction.rm_register)));
    case Kind::near_return:
      return machine.ret();
    case Kind::push_register:
      return machine.push(machine.operand(instruction.rm_register));
    case Kind::address_of:
      return machine.load_address();
    default:
      return false;
  }
}

}  // namespace

Word stack_word(const Instruction& instruction, const GeneralRegisters& regs) {
  const std::uint8_t word = word_size(instruction.mode);
  switch (instruction.kind) {
    case Kind::call:
    case Kind::call_register:
    case Kind::call_memory:
    case Kind::push_register:
      return {Address(truncated(regs.rsp - word, instruction.mode)), word};
    case Kind::near_return:
      return {Address(truncated(regs.rsp, instruction.mode)), word};
    default:
      return {};
  }
}

Word emulated_operand(const Instruction& instruction, Address site, const GeneralRegisters& regs) {
  if (instruction.kind != Kind::call_memory) return {};
  const auto operand = effective_address(instruction, site, regs);
  return operand ? Word{*operand, word_size(instruction.mode)} : Word{};
}

bool emulate(const Emulate& plan, Address site, GeneralRegisters& regs, Memory& memory) {
  const auto& instruction = plan.instruction;
  if (regs.cs != (instruction.mode == Mode::amd64 ? user64_cs : user32_cs)) return false;
  Machine machine(instruction, site, regs, memory);
  if (!execute(instruction, machine, site)) return false;
  regs = machine.registers();
  return true;
}

}  // namespace x86
