#include "stub/inferior/left_calls.h"

#include <algorithm>
#include <utility>

#include "stub/kernel/syscall_restart.h"

namespace stub {
namespace {

bool same_place(const x86::GeneralRegisters& a, const x86::GeneralRegisters& b) {
  return a.rip == b.rip && a.rsp == b.rsp;
}

}  // namespace

void LeftCalls::leave(const x86::GeneralRegisters& before, std::optional<std::uint64_t> result) {
  const bool moved_already =
      std::any_of(calls_.begin(), calls_.end(), [](const Call& call) { return call.at_this_stop; });
  if (moved_already || (!result && !awaits_restart(before))) return;
  std::erase_if(calls_, [&](const Call& call) { return same_place(call.before, before); });
  if (calls_.size() == most_calls) calls_.erase(calls_.begin());
  calls_.push_back({before, result});
}

bool LeftCalls::settle(x86::GeneralRegisters& registers, bool inside) {
  if (calls_.empty()) return false;
  const x86::GeneralRegisters given = registers;
  const auto back = std::find_if(calls_.begin(), calls_.end(), [&](const Call& call) {
    return same_place(call.before, given) && call.before.rax == given.rax;
  });
  if (back != calls_.end()) {
    if (!back->result)
      registers.orig_rax = back->before.orig_rax;
    else if (!inside)
      registers.rax = *back->result;
    calls_.erase(back, calls_.end());  // those that were left later are done with as well
    return registers != given;
  }
  // Not at a later stop, which may have interrupted a call of the function that was called.
  const bool left_over = std::any_of(calls_.begin(), calls_.end(), [&](Call& call) {
    return std::exchange(call.at_this_stop, false) && call.before.rax == given.rax &&
           call.before.orig_rax == given.orig_rax;
  });
  if (!left_over || !awaits_restart(given)) return false;
  registers.orig_rax = ~std::uint64_t{0};
  return true;
}

}  // namespace stub
