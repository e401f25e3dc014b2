// The table, and its expansion into the register set of a mode on a processor.
#include "arch/register_table.h"

#include <algorithm>
#include <cstddef>

#include "arch/target_description.h"

namespace x86 {
namespace {

// A run of registers that differ only in their index. Numbers and places in the g packet follow
// from the order of the rows.
struct Row {
  Feature feature;
  std::string_view name;  // '#' stands for the index
  struct Count {
    std::uint8_t amd64, i386;  // how many of them the mode has
  } count;
  std::uint16_t bits;
  RegisterType type;
  Home home;
  Component component;
  std::uint16_t offset;  // from GeneralRegisters or the component's start
  std::uint8_t stride;
  std::uint8_t stored;
  struct Dwarf {
    std::int16_t amd64, i386;  // number of the first one; -1: none
  } dwarf = {-1, -1};
  std::uint8_t first = 0;  // the first index
};

constexpr Row::Count amd64_only{1, 0}, i386_only{0, 1}, both{1, 1};
constexpr Component none = Component::x87;  // for rows at home in GeneralRegisters

#define GENERAL(reg) Home::general, none, offsetof(GeneralRegisters, reg)
#define GENERAL_SIGNED(reg) Home::general_signed, none, offsetof(GeneralRegisters, reg)

// eax and orig_eax are sign-extended: the kernel compares both as signed 64-bit words when it
// decides whether an interrupted system call restarts, and a 64-bit tracer writes 64 bits. x87
// control words: FXSAVE's places (SDM vol. 1, table 10-2), in its 32-bit reading, where the upper
// half of a 64-bit instruction or data pointer is the selector; gdb shows them so in both modes.
// clang-format off
constexpr Row rows[] = {
    {Feature::core, "rax", amd64_only, 64, RegisterType::int64, GENERAL(rax), 0, 8, {0, -1}},
    {Feature::core, "rbx", amd64_only, 64, RegisterType::int64, GENERAL(rbx), 0, 8, {3, -1}},
    {Feature::core, "rcx", amd64_only, 64, RegisterType::int64, GENERAL(rcx), 0, 8, {2, -1}},
    {Feature::core, "rdx", amd64_only, 64, RegisterType::int64, GENERAL(rdx), 0, 8, {1, -1}},
    {Feature::core, "rsi", amd64_only, 64, RegisterType::int64, GENERAL(rsi), 0, 8, {4, -1}},
    {Feature::core, "rdi", amd64_only, 64, RegisterType::int64, GENERAL(rdi), 0, 8, {5, -1}},
    {Feature::core, "rbp", amd64_only, 64, RegisterType::data_pointer, GENERAL(rbp), 0, 8, {6, -1}},
    {Feature::core, "rsp", amd64_only, 64, RegisterType::data_pointer, GENERAL(rsp), 0, 8, {7, -1}},
    {Feature::core, "r8", amd64_only, 64, RegisterType::int64, GENERAL(r8), 0, 8, {8, -1}},
    {Feature::core, "r9", amd64_only, 64, RegisterType::int64, GENERAL(r9), 0, 8, {9, -1}},
    {Feature::core, "r10", amd64_only, 64, RegisterType::int64, GENERAL(r10), 0, 8, {10, -1}},
    {Feature::core, "r11", amd64_only, 64, RegisterType::int64, GENERAL(r11), 0, 8, {11, -1}},
    {Feature::core, "r12", amd64_only, 64, RegisterType::int64, GENERAL(r12), 0, 8, {12, -1}},
    {Feature::core, "r13", amd64_only, 64, RegisterType::int64, GENERAL(r13), 0, 8, {13, -1}},
    {Feature::core, "r14", amd64_only, 64, RegisterType::int64, GENERAL(r14), 0, 8, {14, -1}},
    {Feature::core, "r15", amd64_only, 64, RegisterType::int64, GENERAL(r15), 0, 8, {15, -1}},
    {Feature::core, "rip", amd64_only, 64, RegisterType::code_pointer, GENERAL(rip), 0, 8, {16, -1}},

    {Feature::core, "eax", i386_only, 32, RegisterType::int32, GENERAL_SIGNED(rax), 0, 4, {-1, 0}},
    {Feature::core, "ecx", i386_only, 32, RegisterType::int32, GENERAL(rcx), 0, 4, {-1, 1}},
    {Feature::core, "edx", i386_only, 32, RegisterType::int32, GENERAL(rdx), 0, 4, {-1, 2}},
    {Feature::core, "ebx", i386_only, 32, RegisterType::int32, GENERAL(rbx), 0, 4, {-1, 3}},
    {Feature::core, "esp", i386_only, 32, RegisterType::data_pointer, GENERAL(rsp), 0, 4, {-1, 4}},
    {Feature::core, "ebp", i386_only, 32, RegisterType::data_pointer, GENERAL(rbp), 0, 4, {-1, 5}},
    {Feature::core, "esi", i386_only, 32, RegisterType::int32, GENERAL(rsi), 0, 4, {-1, 6}},
    {Feature::core, "edi", i386_only, 32, RegisterType::int32, GENERAL(rdi), 0, 4, {-1, 7}},
    {Feature::core, "eip", i386_only, 32, RegisterType::code_pointer, GENERAL(rip), 0, 4, {-1, 8}},

    {Feature::core, "eflags", both, 32, RegisterType::eflags, GENERAL(eflags), 0, 4, {49, 9}},
    {Feature::core, "cs", both, 32, RegisterType::int32, GENERAL(cs), 0, 4, {51, 41}},
    {Feature::core, "ss", both, 32, RegisterType::int32, GENERAL(ss), 0, 4, {52, 42}},
    {Feature::core, "ds", both, 32, RegisterType::int32, GENERAL(ds), 0, 4, {53, 43}},
    {Feature::core, "es", both, 32, RegisterType::int32, GENERAL(es), 0, 4, {50, 40}},
    {Feature::core, "fs", both, 32, RegisterType::int32, GENERAL(fs), 0, 4, {54, 44}},
    {Feature::core, "gs", both, 32, RegisterType::int32, GENERAL(gs), 0, 4, {55, 45}},

    {Feature::core, "st#", {8, 8}, 80, RegisterType::x87_extended, Home::xstate, Component::x87, 32, 16, 10, {33, 11}},
    {Feature::core, "fctrl", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 0, 0, 2, {65, 37}},
    {Feature::core, "fstat", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 2, 0, 2, {66, 38}},
    {Feature::core, "ftag", both, 32, RegisterType::float_control, Home::x87_tags, Component::x87, 4, 0, 1},
    {Feature::core, "fiseg", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 12, 0, 2},
    {Feature::core, "fioff", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 8, 0, 4},
    {Feature::core, "foseg", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 20, 0, 2},
    {Feature::core, "fooff", both, 32, RegisterType::float_control, Home::xstate, Component::x87, 16, 0, 4},
    {Feature::core, "fop", both, 32, RegisterType::float_control, Home::x87_opcode, Component::x87, 6, 0, 2},

    {Feature::sse, "xmm#", {16, 8}, 128, RegisterType::vec128, Home::xstate, Component::sse, 160, 16, 16, {17, 21}},
    {Feature::sse, "mxcsr", both, 32, RegisterType::mxcsr, Home::mxcsr, Component::sse, 24, 0, 4, {64, 39}},

    {Feature::linux_abi, "orig_rax", amd64_only, 64, RegisterType::plain_int, GENERAL(orig_rax), 0, 8},
    {Feature::linux_abi, "orig_eax", i386_only, 32, RegisterType::plain_int, GENERAL_SIGNED(orig_rax), 0, 4},
    {Feature::segments, "fs_base", amd64_only, 64, RegisterType::plain_int, GENERAL(fs_base), 0, 8, {58, -1}},
    {Feature::segments, "gs_base", amd64_only, 64, RegisterType::plain_int, GENERAL(gs_base), 0, 8, {59, -1}},

    {Feature::avx, "ymm#h", {16, 8}, 128, RegisterType::uint128, Home::xstate, Component::avx, 0, 16, 16},
    {Feature::avx512, "xmm#", {16, 0}, 128, RegisterType::vec128, Home::xstate, Component::hi16_zmm, 0, 64, 16, {67, -1}, 16},
    {Feature::avx512, "ymm#h", {16, 0}, 128, RegisterType::uint128, Home::xstate, Component::hi16_zmm, 16, 64, 16, {-1, -1}, 16},
    {Feature::avx512, "k#", {8, 8}, 64, RegisterType::uint64, Home::xstate, Component::opmask, 0, 8, 8, {118, 93}},
    {Feature::avx512, "zmm#h", {16, 8}, 256, RegisterType::two_uint128, Home::xstate, Component::zmm_hi256, 0, 32, 32},
    {Feature::avx512, "zmm#h", {16, 0}, 256, RegisterType::two_uint128, Home::xstate, Component::hi16_zmm, 32, 64, 32, {-1, -1}, 16},
    {Feature::pkeys, "pkru", both, 32, RegisterType::uint32, Home::xstate, Component::pkru, 0, 0, 4},
};
// clang-format on

#undef GENERAL
#undef GENERAL_SIGNED

// gdb takes the AVX-512 feature as a whole only, and only next to AVX.
bool exists(Feature feature, const XsaveLayout& layout) {
  const bool avx = layout.has(Component::avx);
  switch (feature) {
    case Feature::avx:
      return avx;
    case Feature::avx512:
      return avx && layout.has(Component::opmask) && layout.has(Component::zmm_hi256) &&
             layout.has(Component::hi16_zmm);
    case Feature::pkeys:
      return layout.has(Component::pkru);
    default:
      return true;
  }
}

bool is_general(Home home) { return home == Home::general || home == Home::general_signed; }

std::string name_of(const Row& row, unsigned index) {
  std::string name(row.name);
  if (const auto mark = name.find('#'); mark != std::string::npos) {
    name.replace(mark, 1, std::to_string(row.first + index));
  }
  return name;
}

Register make(const Row& row, unsigned index, Mode mode, const XsaveLayout& layout) {
  const int dwarf = mode == Mode::amd64 ? row.dwarf.amd64 : row.dwarf.i386;
  const std::uint32_t base =
      is_general(row.home) ? 0 : layout.offsets[static_cast<unsigned>(row.component)];
  Register reg;
  reg.name = name_of(row, index);
  reg.bits = row.bits;
  reg.feature = row.feature;
  reg.type = row.type;
  reg.home = row.home;
  reg.component = row.component;
  reg.component_offset = base;
  reg.home_offset = base + row.offset + index * row.stride;
  reg.stored = row.stored;
  reg.dwarf = static_cast<std::int16_t>(dwarf < 0 ? -1 : dwarf + static_cast<int>(index));
  return reg;
}

struct CpuId {
  std::uint32_t eax, ebx, ecx, edx;
};

CpuId cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuId r{};
  asm volatile("cpuid"
               : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
               : "a"(leaf), "c"(subleaf));
  return r;
}

XsaveLayout read_layout() {
  XsaveLayout layout;
  constexpr std::uint32_t osxsave = 1u << 27;  // CPUID.1:ECX
  if ((cpuid(1, 0).ecx & osxsave) == 0) return layout;
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  layout.xcr0 = std::uint64_t{high} << 32 | low;
  for (unsigned component = 2; component < layout.offsets.size(); ++component) {
    if (layout.xcr0 >> component & 1) layout.offsets[component] = cpuid(0xd, component).ebx;
  }
  return layout;
}

}  // namespace

const XsaveLayout& XsaveLayout::of_this_processor() {
  static const XsaveLayout layout = read_layout();
  return layout;
}

const RegisterSet& RegisterSet::get(Mode mode) {
  static const RegisterSet amd64(Mode::amd64, XsaveLayout::of_this_processor());
  static const RegisterSet i386(Mode::i386, XsaveLayout::of_this_processor());
  return mode == Mode::amd64 ? amd64 : i386;
}

const RegisterSet& RegisterSet::undescribed(Mode mode) {
  const auto make_set = [](Mode of) {
    RegisterSet set(of, XsaveLayout{});  // x87 and SSE state have the same place in every image
    set.target_xml_ = bare_target_description(of);
    return set;
  };
  static const RegisterSet amd64 = make_set(Mode::amd64), i386 = make_set(Mode::i386);
  return mode == Mode::amd64 ? amd64 : i386;
}

RegisterSet::RegisterSet(Mode mode, const XsaveLayout& layout) : mode_(mode) {
  for (const Row& row : rows) {
    if (!exists(row.feature, layout)) continue;
    const unsigned count = mode == Mode::amd64 ? row.count.amd64 : row.count.i386;
    for (unsigned index = 0; index < count; ++index) {
      Register reg = make(row, index, mode, layout);
      reg.number = static_cast<std::uint16_t>(registers_.size());
      reg.offset = static_cast<std::uint32_t>(g_size_);
      g_size_ += reg.size();
      registers_.push_back(std::move(reg));
    }
  }
  target_xml_ = gdb_target_description(mode, registers_);
  lldb_target_xml_ = lldb_target_description(mode, registers_);
}

const Register* RegisterSet::find(unsigned number) const {
  return number < registers_.size() ? &registers_[number] : nullptr;
}

const Register* RegisterSet::find(std::string_view name) const {
  const auto found = std::ranges::find(registers_, name, &Register::name);
  return found != registers_.end() ? &*found : nullptr;
}

std::array<unsigned, 3> RegisterSet::expedited() const {
  if (mode_ == Mode::amd64) return {6, 7, 16};
  return {5, 4, 8};
}

}  // namespace x86
