// Reading and writing one register in a RegisterFile, and all of them for g and G.
//
// The XSAVE image is what makes this more than copying. A component that XSTATE_BV says is in its
// initial state may have any bytes; they are not looked at. Before the first register of such a
// component is written, the whole component gets its initial bytes and its bit: otherwise the
// registers beside the written one would wake up with whatever was lying there.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "arch/register_table.h"

namespace x86 {
namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

constexpr std::size_t legacy_size = 512;       // FXSAVE's part of the image
constexpr std::size_t xstate_bv_offset = 512;  // XSAVE header (SDM vol. 1, 13.4.2)
constexpr std::size_t header_end = 576;
constexpr std::size_t mxcsr_offset = 24;
constexpr std::uint32_t mxcsr_initial = 0x1f80;  // all exceptions masked (SDM vol. 1, 10.2.3)
constexpr std::uint16_t fcw_initial = 0x37f;     // as after FNINIT (SDM vol. 1, 8.1.5)
constexpr std::size_t widest = 32;               // bytes of the widest register

template <class T>
T load(ConstBytes from, std::size_t offset) {
  T value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

template <class T>
void store(Bytes to, std::size_t offset, T value) {
  std::memcpy(to.data() + offset, &value, sizeof value);
}

constexpr std::uint64_t bit(Component component) {
  return std::uint64_t{1} << static_cast<unsigned>(component);
}

// An image without a header is plain FXSAVE: x87 and SSE are always there.
std::uint64_t present_components(ConstBytes image) {
  if (image.size() >= header_end) return load<std::uint64_t>(image, xstate_bv_offset);
  return image.size() >= legacy_size ? bit(Component::x87) | bit(Component::sse) : 0;
}

bool present(const Register& reg, ConstBytes image) {
  std::uint64_t mask = bit(reg.component);
  if (reg.home == Home::mxcsr) mask = bit(Component::sse) | bit(Component::avx);
  return (present_components(image) & mask) != 0 && reg.home_offset + reg.stored <= image.size();
}

// Sizes of the components are architectural, unlike their offsets. The legacy ones interleave, and
// MXCSR is in the middle of x87's, so that their ranges are given without it.
std::size_t size_of(Component component) {
  switch (component) {
    case Component::x87:
      return 160;
    case Component::sse:
    case Component::avx:
      return 256;
    case Component::opmask:
      return 64;
    case Component::zmm_hi256:
      return 512;
    case Component::hi16_zmm:
      return 1024;
    case Component::pkru:
      return 8;
  }
  return 0;
}

void initialize_x87(Bytes image) {
  const auto mxcsr = load<std::uint64_t>(image, mxcsr_offset);  // with its mask
  std::memset(image.data(), 0, size_of(Component::x87));
  store(image, 0, fcw_initial);
  store(image, mxcsr_offset, mxcsr);
}

// Makes the component of `reg` live, in its initial state if it was not. False: no room for it.
bool establish(const Register& reg, Bytes image) {
  constexpr std::size_t xmm_offset = 160;
  const std::uint64_t before = present_components(image);
  const Component component = reg.component;
  if (before & bit(component)) return reg.home_offset + reg.stored <= image.size();
  const std::size_t start = component == Component::sse ? xmm_offset : reg.component_offset;
  if (image.size() < header_end || start + size_of(component) > image.size()) return false;

  const std::uint64_t mxcsr_owners = bit(Component::sse) | bit(Component::avx);
  if ((bit(component) & mxcsr_owners) && !(before & mxcsr_owners)) {
    store(image, mxcsr_offset, mxcsr_initial);
  }
  if (component == Component::x87) {
    initialize_x87(image);
  } else {
    std::memset(image.data() + start, 0, size_of(component));
  }
  store(image, xstate_bv_offset, before | bit(component));
  return true;
}

void initial_value(const Register& reg, Bytes to) {
  std::ranges::fill(to, std::byte{0});
  if (reg.home == Home::mxcsr) store(to, 0, mxcsr_initial);
  if (reg.home == Home::x87_tags) store(to, 0, std::uint16_t{0xffff});
  if (reg.component == Component::x87 && reg.home == Home::xstate && reg.home_offset == 0) {
    store(to, 0, fcw_initial);
  }
}

void read_xstate(const Register& reg, ConstBytes image, Bytes to) {
  if (!present(reg, image)) return initial_value(reg, to);
  std::ranges::fill(to, std::byte{0});
  switch (reg.home) {
    case Home::x87_tags:
      return store(to, 0, full_tag_word(image.first(legacy_size)));
    case Home::x87_opcode:
      return store(to, 0,
                   static_cast<std::uint16_t>(load<std::uint16_t>(image, reg.home_offset) & 0x7ff));
    default:
      std::memcpy(to.data(), image.data() + reg.home_offset, reg.stored);
  }
}

bool write_xstate(const Register& reg, ConstBytes value, Bytes image) {
  std::array<std::byte, widest> current;
  read_xstate(reg, image, std::span(current).first(value.size()));
  if (std::equal(value.begin(), value.end(), current.begin())) return true;
  if (!establish(reg, image)) return false;
  switch (reg.home) {
    case Home::x87_tags:
      store(image, reg.home_offset, abridged_tag_word(load<std::uint16_t>(value, 0)));
      break;
    case Home::x87_opcode:
      store(image, reg.home_offset,
            static_cast<std::uint16_t>(load<std::uint16_t>(value, 0) & 0x7ff));
      break;
    default:
      std::memcpy(image.data() + reg.home_offset, value.data(), reg.stored);
  }
  return true;
}

void write_general(const Register& reg, ConstBytes value, GeneralRegisters& general) {
  std::uint64_t word = 0;
  std::memcpy(&word, value.data(), reg.stored);
  if (reg.home == Home::general_signed) {
    word = static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(word)});
  }
  store(std::as_writable_bytes(std::span(&general, 1)), reg.home_offset, word);
}

}  // namespace

bool needs_xstate(const Register& reg) {
  return reg.home != Home::general && reg.home != Home::general_signed;
}

std::size_t read_register(const Register& reg, const RegisterFile& file, Bytes to) {
  const std::size_t size = reg.size();
  if (to.size() < size) return 0;
  to = to.first(size);
  if (needs_xstate(reg)) {
    read_xstate(reg, file.xstate, to);
  } else {
    std::memcpy(to.data(), std::as_bytes(std::span(&file.general, 1)).data() + reg.home_offset,
                size);
  }
  return size;
}

bool write_register(const Register& reg, ConstBytes value, RegisterFile& file) {
  if (value.size() != reg.size()) return false;
  if (needs_xstate(reg)) return write_xstate(reg, value, file.xstate);
  write_general(reg, value, file.general);
  return true;
}

std::optional<std::uint64_t> read_unsigned(const Register& reg, const RegisterFile& file) {
  std::uint64_t value = 0;
  if (read_register(reg, file, std::as_writable_bytes(std::span(&value, 1))) == 0) return {};
  return value;
}

void pack(const RegisterSet& set, const RegisterFile& file, Bytes g) {
  assert(g.size() >= set.g_size());
  for (const Register& reg : set.registers()) read_register(reg, file, g.subspan(reg.offset));
}

bool unpack(const RegisterSet& set, ConstBytes g, RegisterFile& file) {
  if (g.size() != set.g_size()) return false;
  bool all = true;
  for (const Register& reg : set.registers()) {
    all &= write_register(reg, g.subspan(reg.offset, reg.size()), file);
  }
  return all;
}

std::uint16_t full_tag_word(ConstBytes legacy) {
  constexpr std::uint16_t valid = 0, zero = 1, special = 2, empty = 3;
  const auto abridged = load<std::uint8_t>(legacy, 4);
  const unsigned top = load<std::uint16_t>(legacy, 2) >> 11 & 7;
  std::uint16_t full = 0;
  for (unsigned physical = 0; physical < 8; ++physical) {
    // The tag bits are by physical register, the contents by position on the stack.
    const std::size_t contents = 32 + 16 * ((physical - top) & 7);
    const auto significand = load<std::uint64_t>(legacy, contents);
    const unsigned exponent = load<std::uint16_t>(legacy, contents + 8) & 0x7fff;
    std::uint16_t tag = special;
    if ((abridged >> physical & 1) == 0) {
      tag = empty;
    } else if (exponent == 0 && significand == 0) {
      tag = zero;
    } else if (exponent != 0 && exponent != 0x7fff && significand >> 63) {
      tag = valid;
    }
    full = static_cast<std::uint16_t>(full | tag << 2 * physical);
  }
  return full;
}

std::uint8_t abridged_tag_word(std::uint16_t full) {
  std::uint8_t abridged = 0;
  for (unsigned physical = 0; physical < 8; ++physical) {
    if ((full >> 2 * physical & 3) != 3) {
      abridged = static_cast<std::uint8_t>(abridged | 1u << physical);
    }
  }
  return abridged;
}

}  // namespace x86
