#include "arch/pkru.h"

#include <span>

#include "arch/register_table.h"

namespace x86 {

std::optional<std::uint32_t> own_pkru() {
  if (!XsaveLayout::of_this_processor().has(Component::pkru)) return std::nullopt;
  std::uint32_t value = 0, high = 0;
  asm volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
  return value;
}

bool complete_pkru_after_exec(RegisterFile& file, std::uint32_t initial) {
  const Register* pkru = RegisterSet::get(Mode::amd64).find("pkru");
  if (pkru == nullptr || initial == 0 || read_unsigned(*pkru, file) != 0) return false;
  return write_register(*pkru, std::as_bytes(std::span(&initial, 1)), file);
}

}  // namespace x86
