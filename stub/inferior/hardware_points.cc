#include "stub/inferior/hardware_points.h"

#include <sys/user.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace stub {
namespace {

// DR7 (SDM vol. 3, 18.2.4): two enable bits per register from bit 0, of which the local one is set;
// from bit 16 four bits per register, R/W and LEN.
constexpr unsigned enable_shift(std::size_t index) { return static_cast<unsigned>(2 * index); }
constexpr unsigned field_shift(std::size_t index) { return static_cast<unsigned>(16 + 4 * index); }
constexpr std::uint64_t access_execute = 0, access_write = 1, access_any = 3;

constexpr std::uint64_t length_field(std::uint8_t size) {
  constexpr std::uint64_t fields[] = {0, 1, 3, 2};  // 1, 2, 4, 8 bytes
  return fields[std::countr_zero(size)];
}

constexpr std::uint64_t control_bits(std::size_t index) {
  return std::uint64_t{3} << enable_shift(index) | std::uint64_t{15} << field_shift(index);
}

std::size_t offset_of(std::size_t index) {
  return offsetof(struct user, u_debugreg) + index * sizeof(std::uint64_t);
}

std::optional<std::uint8_t> access_of(rsp::PointType type) {
  switch (type) {
    case rsp::PointType::hardware_breakpoint:
      return access_execute;
    case rsp::PointType::write_watchpoint:
      return access_write;
    case rsp::PointType::access_watchpoint:
      return access_any;
    default:
      return std::nullopt;
  }
}

// Of a breakpoint, Z's "length" is the kind of instruction; the register must say 1 (SDM).
std::uint64_t watched_length(rsp::PointType type, std::uint64_t length) {
  return type == rsp::PointType::hardware_breakpoint ? 1 : length;
}

constexpr std::uint64_t largest_slice = 8;
constexpr std::uint64_t longest_region = debug_register_count * largest_slice;

}  // namespace

std::vector<DebugRegisterWrite> writes_between(const DebugRegisters& from,
                                               const DebugRegisters& to) {
  std::uint64_t unchanged = from.control;
  std::vector<DebugRegisterWrite> addresses;
  for (std::size_t i = 0; i < debug_register_count; ++i) {
    const bool same =
        from.address[i] == to.address[i] && ((from.control ^ to.control) & control_bits(i)) == 0;
    if (same) continue;
    unchanged &= ~control_bits(i);
    if (from.address[i] != to.address[i]) addresses.push_back({offset_of(i), to.address[i]});
  }
  std::vector<DebugRegisterWrite> writes;
  if (unchanged != from.control) writes.push_back({debug_control_offset(), unchanged});
  writes.insert(writes.end(), addresses.begin(), addresses.end());
  if (to.control != unchanged) writes.push_back({debug_control_offset(), to.control});
  return writes;
}

std::size_t debug_status_offset() { return offset_of(6); }
std::size_t debug_control_offset() { return offset_of(7); }

Result<void> HardwarePoints::insert(rsp::PointType type, Address address, std::uint64_t length,
                                    SiteProgram program) {
  length = watched_length(type, length);
  const auto access = access_of(type);
  if (!access) return fail(Errc::unsupported);
  if (length == 0) return fail(Errc::malformed, "A watchpoint needs a length");
  if (HardwarePoint* known = find(type, address, length)) {
    known->program = std::move(program);
    return {};
  }
  if (length > longest_region) {
    return fail(Errc::refused, "A region of " + std::to_string(length) +
                                   " bytes is longer than the debug registers can watch");
  }
  const std::vector<Slice> needed = slices(address, length, *access);
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (take(needed[i])) continue;
    for (std::size_t taken = 0; taken < i; ++taken) give_back(needed[taken]);
    return fail(Errc::refused, "All debug registers are in use");
  }
  points_.push_back({type, address, length, std::move(program)});
  encode();
  return {};
}

Result<void> HardwarePoints::remove(rsp::PointType type, Address address, std::uint64_t length) {
  length = watched_length(type, length);
  const auto access = access_of(type);
  if (!access) return fail(Errc::unsupported);
  const HardwarePoint* point = find(type, address, length);
  if (point == nullptr) return fail(Errc::refused, "No such hardware point");
  for (const Slice& slice : slices(address, length, *access)) give_back(slice);
  points_.erase(points_.begin() + (point - points_.data()));
  encode();
  return {};
}

bool HardwarePoints::remove_unmapped(std::span<const Mapping> mappings) {
  const std::size_t before = points_.size();
  for (const HardwarePoint& point : std::vector(points_))
    if (point.type == rsp::PointType::hardware_breakpoint &&
        find_mapping(mappings, point.address) == nullptr)
      (void)remove(point.type, point.address, point.length);
  return points_.size() != before;
}

void HardwarePoints::clear() { *this = {}; }

std::vector<TriggeredPoint> HardwarePoints::triggered(std::uint64_t debug_status) const {
  std::vector<TriggeredPoint> result;
  for (std::size_t i = 0; i < debug_register_count; ++i) {
    // The processor may set the bit of a register that is not enabled (SDM vol. 3, 18.2.3).
    if ((debug_status >> i & 1) == 0 || in_use_[i].references == 0) continue;
    const Slice& slice = in_use_[i].slice;
    for (const HardwarePoint& point : points_) {
      const auto needed = slices(point.address, point.length, *access_of(point.type));
      if (std::ranges::find(needed, slice) != needed.end())
        result.push_back({&point, slice.address});
    }
  }
  return result;
}

bool HardwarePoints::stops_at(Address at) const {
  return std::ranges::any_of(in_use_, [&](const Register& reg) {
    return reg.references > 0 && reg.slice.access == access_execute && reg.slice.address == at;
  });
}

bool HardwarePoints::watches(Address from, std::uint64_t size) const {
  return std::ranges::any_of(in_use_, [&](const Register& reg) {
    const Slice& slice = reg.slice;
    return reg.references > 0 && slice.access != access_execute &&
           from < slice.address + slice.size && slice.address < from + size;
  });
}

// Cuts a region at the largest aligned sizes. At most longest_region, so few.
std::vector<HardwarePoints::Slice> HardwarePoints::slices(Address address, std::uint64_t length,
                                                          std::uint8_t access) {
  std::vector<Slice> result;
  while (length > 0) {
    std::uint64_t size = largest_slice;
    while (size > length || address.value() % size != 0) size /= 2;
    result.push_back({address, static_cast<std::uint8_t>(size), access});
    address += size;
    length -= size;
  }
  return result;
}

HardwarePoint* HardwarePoints::find(rsp::PointType type, Address address, std::uint64_t length) {
  const auto found = std::ranges::find_if(points_, [&](const HardwarePoint& point) {
    return point.type == type && point.address == address && point.length == length;
  });
  return found != points_.end() ? &*found : nullptr;
}

bool HardwarePoints::take(const Slice& slice) {
  auto place = std::ranges::find_if(
      in_use_, [&](const Register& reg) { return reg.references > 0 && reg.slice == slice; });
  if (place == in_use_.end()) place = std::ranges::find(in_use_, 0u, &Register::references);
  if (place == in_use_.end()) return false;
  place->slice = slice;
  ++place->references;
  return true;
}

void HardwarePoints::give_back(const Slice& slice) {
  for (Register& reg : in_use_) {
    if (reg.references > 0 && reg.slice == slice) {
      --reg.references;
      return;
    }
  }
}

void HardwarePoints::encode() {
  registers_ = {};
  for (std::size_t i = 0; i < debug_register_count; ++i) {
    if (in_use_[i].references == 0) continue;
    const Slice& slice = in_use_[i].slice;
    registers_.address[i] = slice.address.value();
    registers_.control |= std::uint64_t{1} << enable_shift(i);
    registers_.control |= (slice.access | length_field(slice.size) << 2) << field_shift(i);
  }
}

}  // namespace stub
