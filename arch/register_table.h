// The registers a client sees: their names, numbers, sizes, places in the `g` packet, and where
// each of them lives in what the kernel hands out.
//
// One table (register_table.cc) is the source of all of it: the packing of g/G/p/P, target.xml, the
// rows of LLDB's qRegisterInfo, the register numbers of agent expressions. The order and the
// numbers are those of gdbserver, because clients with files of their own (LLDB without a target
// description, old scripts) assume them; the set is limited to what this processor has switched on
// (XCR0), so that no client is shown a register that does not exist.
//
// XSAVE state arrives in the standard format. Three of its rules (SDM vol. 1, chapter 13) shape the
// code: offsets of components from 2 up come from CPUID leaf 0DH and differ between vendors; a
// component whose bit in XSTATE_BV is clear is in its initial state, whatever its bytes say; and
// MXCSR belongs to SSE and AVX together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/address.h"
#include "arch/registers.h"

namespace x86 {

// State components of XSAVE that hold registers of ours; the value is the bit in XCR0 and
// XSTATE_BV.
enum class Component : std::uint8_t {
  x87 = 0,
  sse = 1,
  avx = 2,
  opmask = 5,
  zmm_hi256 = 6,  // upper halves of zmm0-zmm15
  hi16_zmm = 7,   // zmm16-zmm31
  pkru = 9,
};

// What the processor saves and where: XCR0 and CPUID.(EAX=0DH).
struct XsaveLayout {
  std::uint64_t xcr0 = 3;                   // enabled components
  std::array<std::uint32_t, 10> offsets{};  // of each component, in bytes from the image's start
  static const XsaveLayout& of_this_processor();
  bool has(Component component) const {
    return (xcr0 >> static_cast<unsigned>(component) & 1) != 0;
  }
};

// The features of gdb's target descriptions, in the order they are sent (GDB manual, "i386
// Features").
enum class Feature : std::uint8_t { core, sse, linux_abi, segments, avx, avx512, pkeys };

// What a register holds; target_description.cc has the names each client knows it by.
enum class RegisterType : std::uint8_t {
  int64,
  int32,
  data_pointer,
  code_pointer,
  eflags,
  x87_extended,
  float_control,
  vec128,
  mxcsr,
  plain_int,
  uint128,
  uint64,
  two_uint128,
  uint32,
};

// How to get from the stored bytes to the register.
enum class Home : std::uint8_t {
  general,         // in GeneralRegisters; `stored` bytes of it, the rest of its word zero
  general_signed,  // the same, sign-extended to the word
  xstate,          // in a component of the XSAVE image
  x87_opcode,      // FOP: 11 bits
  x87_tags,        // FTW: 8 bits stored, 16 shown
  mxcsr,           // valid when SSE or AVX state is present
};

struct Register {
  std::string name;
  std::uint16_t number = 0;  // in g order, p, P, stop replies, agent expressions
  std::uint16_t bits = 0;
  std::uint32_t offset = 0;  // in the g packet, in bytes
  Feature feature{};
  RegisterType type{};
  Home home{};
  Component component{};               // for the homes in the XSAVE image
  std::uint32_t component_offset = 0;  // where that component starts in the image
  std::uint32_t home_offset = 0;       // in GeneralRegisters or in the image
  std::uint8_t stored = 0;             // bytes at home, from the low end; the others read as zero
  std::int16_t dwarf = -1;             // number in DWARF (psABI), -1 where it has none
  std::size_t size() const { return bits / 8; }
};

class RegisterSet {
 public:
  // The set of this processor.
  static const RegisterSet& get(Mode mode);
  // The part of it that gdb takes for granted of a target that does not describe itself: general,
  // x87 and SSE registers, orig_rax and the bases, with the same numbers and places in the g packet
  // (gdbserver does the same for a client that does not offer xmlRegisters=i386 in qSupported).
  static const RegisterSet& undescribed(Mode mode);
  RegisterSet(Mode mode, const XsaveLayout& layout);

  Mode mode() const { return mode_; }
  std::span<const Register> registers() const { return registers_; }  // by number, without gaps
  const Register* find(unsigned number) const;                        // null: no such register
  const Register* find(std::string_view name) const;
  std::size_t g_size() const { return g_size_; }  // bytes of the g packet, before hex
  const std::string& target_xml() const { return target_xml_; }            // gdb's dialect
  const std::string& lldb_target_xml() const { return lldb_target_xml_; }  // LLDB's
  // Registers that gdbserver sends with every stop: frame pointer, stack pointer, PC.
  std::array<unsigned, 3> expedited() const;

 private:
  Mode mode_;
  std::vector<Register> registers_;
  std::size_t g_size_ = 0;
  std::string target_xml_;
  std::string lldb_target_xml_;
};

// False: the general registers are enough to read or write it, no XSAVE image needs to be fetched.
bool needs_xstate(const Register& reg);

// All values are raw little-endian bytes, as the packets have them.

// Fills `g` (at least g_size() bytes) with all registers.
void pack(const RegisterSet& set, const RegisterFile& file, std::span<std::byte> g);
// Stores all registers. False, with some of them stored, when the size is not g_size() or the XSAVE
// image has no room for a value.
bool unpack(const RegisterSet& set, std::span<const std::byte> g, RegisterFile& file);

// Copies a register's value to the front of `to` and returns its size; 0 when `to` is too small.
// A register whose state the image does not hold reads as its initial value.
std::size_t read_register(const Register& reg, const RegisterFile& file, std::span<std::byte> to);
// Stores `value`, whose size must be the register's. False otherwise, or when the image has no room
// for it. Nothing is judged here: the kernel refuses what it does not like. Writing the value a
// register already has leaves the image as it is (a component in its initial state stays there).
bool write_register(const Register& reg, std::span<const std::byte> value, RegisterFile& file);

// The value of a register of at most 64 bits, zero-extended; nothing for a wider one.
std::optional<std::uint64_t> read_unsigned(const Register& reg, const RegisterFile& file);

// Abridged tag word (FXSAVE: one bit per physical register, set: in use) to the full one (FNSTENV:
// two bits each; 0 valid, 1 zero, 2 special, 3 empty) and back. SDM vol. 1, 8.1.7 and 10.5.1.
// `legacy` is the first 512 bytes of the image.
std::uint16_t full_tag_word(std::span<const std::byte> legacy);
std::uint8_t abridged_tag_word(std::uint16_t full);

}  // namespace x86
