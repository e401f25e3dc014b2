#include "tests/differential/state.h"

#include <cpuid.h>

#include <cstring>
#include <optional>

#include "arch/instruction.h"
#include "arch/semantics.h"
#include "tests/differential/inferior.h"

namespace differential {
namespace {

constexpr std::uint64_t status_flags = 0x8d5, interrupt_flag = 0x202, direction_flag = 0x400,
                        alignment_check = 1u << 18;

class State {
 public:
  State(Case& made, const Decoded& decoded, Random& random)
      : case_(made),
        zydis_(decoded),
        random_(random),
        layout_(layout_of(made.mode)),
        kind_(x86::decode(made.bytes, made.mode)) {}

  void fill(std::span<const std::byte> xstate) {
    place();
    fill_registers();
    fill_data();
    fill_xstate(xstate);
    for (int i = 0; i < zydis_.instruction.operand_count; i++) {
      const auto& operand = zydis_.operands[i];
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) aim(operand);
    }
    aim_branch();
    prepare_special();
  }

 private:
  bool wide() const { return case_.mode == x86::Mode::amd64; }
  bool is(x86::Kind kind) const { return kind_ && kind_->kind == kind; }
  std::uint64_t& reg(unsigned number) {
    return x86::general_register(case_.registers, static_cast<std::uint8_t>(number));
  }
  std::uint64_t narrowed(std::uint64_t value) const { return x86::truncated(value, case_.mode); }
  std::uint64_t next_pc() const { return case_.site.value() + case_.bytes.size(); }
  std::uint64_t some_site() { return layout_.sites + random_.below(code_size); }
  // Code to read, far from the instruction itself: by plan there is a breakpoint on it, which a
  // program that reads its own text does see.
  std::uint64_t other_code() {
    const std::uint64_t own = case_.site.value() - layout_.sites;
    return layout_.sites + (own + code_size / 4 + random_.below(code_size / 2)) % code_size;
  }

  // A fifth across the end of a page.
  void place() {
    const std::uint64_t offset =
        random_.percent(20) ? page * (1 + random_.below(14)) - random_.below(case_.bytes.size())
                            : 64 + random_.below(code_size - 256);
    case_.site = x86::Address(layout_.sites + offset);
  }

  std::uint64_t random_value() {
    const auto dice = random_.below(100);
    if (dice < 35) return layout_.data + random_.below(data_size);
    if (dice < 65) return random_.below(256);
    if (dice < 70) return 0x2b;
    if (dice < 75) return other_code();
    if (dice < 80) return random_.next() | 0x8000'0000'0000;
    return random_.next();
  }

  void fill_registers() {
    auto& regs = case_.registers;
    for (unsigned n = 0; n < 16; n++) reg(n) = narrowed(random_value());
    if (!wide())
      regs.r8 = regs.r9 = regs.r10 = regs.r11 = regs.r12 = regs.r13 = regs.r14 = regs.r15 = 0;
    regs.rsp = stack_pointer();
    regs.rip = case_.site.value();
    regs.orig_rax = ~std::uint64_t{0};
    regs.eflags = (random_.next() & status_flags) | interrupt_flag;
    if (random_.percent(10)) regs.eflags |= direction_flag;
    if (random_.percent(5)) regs.eflags |= alignment_check;
    regs.cs = wide() ? 0x33 : 0x23;
    regs.ss = 0x2b;
    regs.ds = regs.es = wide() ? 0 : 0x2b;
    regs.fs = 0;
    regs.gs = wide() ? 0 : segment_with_base();
    regs.fs_base = regs.gs_base = segment_base;
    if (random_.percent(60)) regs.rcx = random_.below(40);  // counts of rep, loop and shifts
  }

  std::uint64_t stack_pointer() {
    const auto dice = random_.below(100);
    const std::uint64_t inside = layout_.data + page + random_.below(2 * page) / 16 * 16;
    if (dice < 85) return inside + 8 * random_.below(2);
    if (dice < 91) return inside + random_.below(16);
    if (dice < 94) return layout_.data + random_.below(16);  // no room for a push
    if (dice < 97) return layout_.data + data_size - random_.below(16);
    if (dice < 99) return layout_.read_only() + 64 + random_.below(256);
    return narrowed(0x8000'0000'0000 + random_.below(16) * 4);
  }

  void fill_data() {
    case_.data.resize(data_size + page);
    for (std::size_t i = 0; i < case_.data.size(); i += 8) {
      const std::uint64_t value = random_.next();
      std::memcpy(&case_.data[i], &value, sizeof value);
    }
  }

  // Writes to the inferior's initial data, if the address is in it (or in its 32-bit alias).
  void poke(std::uint64_t at, std::uint64_t value, std::size_t size) {
    for (const auto& layout : {amd64_layout, i386_layout}) {
      if (at >= layout.data && at + size <= layout.data + data_size) {
        std::memcpy(&case_.data[at - layout.data], &value, size);
      }
    }
  }

  // An address for a memory operand.
  std::uint64_t target(bool low) {
    const Layout& layout = low ? i386_layout : layout_;
    const auto dice = random_.below(100);
    if (dice < 45) return layout.data + random_.below(data_size / 64) * 64;
    if (dice < 85) return layout.data + random_.below(data_size - 64);
    if (dice < 92) return layout.data + data_size - random_.below(64);  // across the end
    if (dice < 97) return layout.read_only() + random_.below(page - 64);
    return low ? random_.next() & x86::low32 : other_code();
  }

  void aim(const ZydisDecodedOperand& operand) {
    if (random_.percent(4)) return;  // wherever it goes
    const auto& mem = operand.mem;
    const bool hidden = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    const bool low = !wide() || zydis_.instruction.address_width == 32;
    std::uint64_t address = target(low);
    if (kind_ && kind_->rip_relative && !hidden) {
      patch_displacement(address - next_pc());
      return note_pointer(address);
    }
    if (mem.segment == ZYDIS_REGISTER_FS || mem.segment == ZYDIS_REGISTER_GS) {
      address -= segment_base;
    }
    if (mem.type == ZYDIS_MEMOP_TYPE_VSIB) shrink_index_vector(mem.index);
    aim_registers(operand, address);
  }

  void aim_registers(const ZydisDecodedOperand& operand, std::uint64_t address) {
    const auto& mem = operand.mem;
    const int base = general(mem.base);
    const int index = mem.type == ZYDIS_MEMOP_TYPE_VSIB ? -1 : general(mem.index);
    const auto displacement = static_cast<std::uint64_t>(mem.disp.value);
    if (base == 4) {
      return note_pointer(reg(4) + (index >= 0 ? reg(index) * mem.scale : 0) + displacement);
    }
    if (base >= 0 && base == index) {
      reg(base) = narrowed((address - displacement) / (1u + mem.scale));
    } else if (base >= 0) {
      const std::uint64_t scaled = index >= 0 ? reg(index) * mem.scale : 0;
      reg(base) = narrowed(address - displacement - scaled);
    } else if (index >= 0) {
      reg(index) = narrowed((address - displacement) / (mem.scale ? mem.scale : 1));
    } else if (kind_ && kind_->displacement_size >= 4) {
      // An absolute address: 32 bits reach the alias of the data only.
      if (kind_->displacement_size == 4) address = target(true);
      patch_displacement(address);
    }
    note_pointer(address);
  }

  static int general(ZydisRegister reg) {
    if (reg == ZYDIS_REGISTER_NONE) return -1;
    const auto whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return -1;
    return ZydisRegisterGetId(whole);
  }

  void patch_displacement(std::uint64_t value) {
    std::memcpy(&case_.bytes[kind_->displacement_offset], &value, kind_->displacement_size);
  }

  // The operand of an indirect branch should lead somewhere.
  void note_pointer(std::uint64_t operand_address) {
    if ((is(x86::Kind::call_memory) || is(x86::Kind::jump_memory)) && random_.percent(80)) {
      poke(narrowed(operand_address), some_site(), wide() ? 8 : 4);
    }
  }

  void aim_branch() {
    const bool relative = is(x86::Kind::jump) || is(x86::Kind::conditional_jump) ||
                          is(x86::Kind::count_jump) || is(x86::Kind::repeated_loop) ||
                          is(x86::Kind::call) || is(x86::Kind::begin_transaction);
    if (!relative) return;
    const auto* instruction = &*kind_;
    std::uint64_t distance = static_cast<std::uint64_t>(instruction->immediate);
    if (instruction->immediate_size == 4 && random_.percent(90)) distance = some_site() - next_pc();
    // A jump into itself may never end, and by plan meets the breakpoint.
    const auto length = static_cast<std::int64_t>(case_.bytes.size());
    const auto signed_distance = static_cast<std::int64_t>(distance);
    if (signed_distance < 0 && signed_distance >= -length) distance = 0;
    std::memcpy(&case_.bytes[instruction->immediate_offset], &distance,
                instruction->immediate_size);
  }

  void prepare_special() {
    auto& regs = case_.registers;
    const std::size_t word = wide() ? 8 : 4;
    const bool through_register = is(x86::Kind::call_register) || is(x86::Kind::jump_register);
    if (through_register && kind_->rm_register != 4 && random_.percent(80)) {
      reg(kind_->rm_register) = some_site();
    }
    if (is(x86::Kind::near_return) && random_.percent(80)) poke(regs.rsp, some_site(), word);
    if (is(x86::Kind::load_flags)) poke(regs.rsp, random_.next() & 0x24'4fd5, word);
    if (is(x86::Kind::load_stack_segment) && random_.percent(70)) {
      reg(kind_->rm_register) = 0x2b;
      poke(regs.rsp, 0x2b, word);
    }
    if (is(x86::Kind::system_call) || is(x86::Kind::vdso_system_call))
      regs.rax = kind_->opcode == 0x05 ? 39 : 20;  // getpid
  }

  // ---- vector and x87 state ----

  void fill_xstate(std::span<const std::byte> image) {
    case_.xstate.assign(image.begin(), image.end());
    std::uint64_t enabled = 0;
    std::memcpy(&enabled, &image[464], sizeof enabled);
    std::uint64_t present = 3;
    fill_legacy();
    for (const unsigned component : {2u, 5u, 6u, 7u}) {  // AVX, opmask, ZMM_Hi256, Hi16_ZMM
      if ((enabled >> component & 1) == 0) continue;
      present |= std::uint64_t{1} << component;
      unsigned size = 0, offset = 0, ecx = 0, edx = 0;
      __cpuid_count(0xd, component, size, offset, ecx, edx);
      component_offset_[component] = offset;
      fill_vectors(offset, size);
    }
    std::memcpy(&case_.xstate[512], &present, sizeof present);
  }

  void fill_vectors(std::size_t offset, std::size_t size) {
    for (std::size_t i = 0; i < size; i += 8) {
      std::uint64_t value = random_.next();
      if (random_.percent(30)) value &= 0xff'0000'00ff;
      if (random_.percent(30)) value = 0x3ff0'0000'3f80'0000 + (value & 0xf'0000'000f);
      std::memcpy(&case_.xstate[offset + i], &value, sizeof value);
    }
  }

  void fill_legacy() {
    std::uint16_t control = 0x37f, status = static_cast<std::uint16_t>(random_.next() & 0x7f00);
    std::uint32_t mxcsr = 0x1f80;
    if (random_.percent(20)) control = 0x340 | (random_.byte() & 0x3f) | (random_.next() & 0xc00);
    if (random_.percent(20)) mxcsr = static_cast<std::uint32_t>(random_.next() & 0xffff);
    const std::uint8_t tags = random_.percent(60) ? 0xff : random_.byte();
    std::memcpy(&case_.xstate[0], &control, 2);
    std::memcpy(&case_.xstate[2], &status, 2);
    std::memcpy(&case_.xstate[4], &tags, 1);
    std::memset(&case_.xstate[6], 0, 18);  // FOP, FIP, FDP
    std::memcpy(&case_.xstate[24], &mxcsr, 4);
    for (int n = 0; n < 8; n++) {
      std::uint64_t fraction = random_.next() | std::uint64_t{1} << 63;
      std::uint16_t exponent = static_cast<std::uint16_t>(0x3fff + random_.below(8));
      if (random_.percent(20)) exponent = static_cast<std::uint16_t>(random_.next());
      std::memcpy(&case_.xstate[32 + 16 * n], &fraction, 8);
      std::memcpy(&case_.xstate[40 + 16 * n], &exponent, 2);
    }
    fill_vectors(160, 256);
  }

  // Elements below 256, for gathers and scatters.
  void shrink_index_vector(ZydisRegister reg) {
    const unsigned n = static_cast<unsigned>(ZydisRegisterGetId(reg));
    const auto shrink = [&](std::size_t offset, std::size_t size) {
      for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t value = random_.below(256);
        std::memcpy(&case_.xstate[offset + i], &value, sizeof value);
      }
    };
    if (n >= 16) {
      if (component_offset_[7]) shrink(component_offset_[7] + 64 * (n - 16), 64);
      return;
    }
    shrink(160 + 16 * n, 16);
    if (component_offset_[2]) shrink(component_offset_[2] + 16 * n, 16);
    if (component_offset_[6]) shrink(component_offset_[6] + 32 * n, 32);
  }

  Case& case_;
  const Decoded& zydis_;
  Random& random_;
  const Layout& layout_;
  std::optional<x86::Instruction> kind_;
  std::size_t component_offset_[8] = {};
};

}  // namespace

void fill_state(Case& made, const Decoded& decoded, Random& random,
                std::span<const std::byte> xstate) {
  State(made, decoded, random).fill(xstate);
}

}  // namespace differential
