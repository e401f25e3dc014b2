#include "stub/inferior/site_memory.h"

namespace stub {

bool is_page_replaced(Tracee& tracee, Pid pid, Address at, bool own_page) {
  return own_page && tracee.is_own_page(pid, at) == false;
}

Int3 int3_at(Tracee& tracee, Pid pid, Address at, bool own_page) {
  std::byte now{};
  if (tracee.read_memory(pid, at, {&now, 1}) != 1) return Int3::unmapped;
  if (now != std::byte{int3_opcode}) return Int3::not_ours;
  return is_page_replaced(tracee, pid, at, own_page) ? Int3::not_ours : Int3::ours;
}

Int3 restore_byte(Tracee& tracee, Pid pid, Address at, std::uint8_t shadow, bool own_page) {
  const Int3 there = int3_at(tracee, pid, at, own_page);
  const auto original = static_cast<std::byte>(shadow);
  if (there == Int3::ours) (void)tracee.write_memory(pid, at, {&original, 1});
  return there;
}

}  // namespace stub
