#include "stub/inferior/passed_contexts.h"

#include <algorithm>
#include <array>
#include <span>

namespace stub {
namespace {

bool same_context(const PassedContext& context, const x86::GeneralRegisters& state) {
  return context.state.rip == state.rip && context.state.rsp == state.rsp;
}

// By then the return address is taken off, and by i386's sigreturn the signal's number as well
// (arch/x86/kernel/signal_64.c and signal_32.c, where the system calls look for their frames).
bool is_frame_of(const PassedContext& context, Address stack_pointer) {
  constexpr std::uint64_t most_taken_off = 8;
  return stack_pointer.value() - context.frame.value() <= most_taken_off;
}

// Where a frame holds the interrupted PC: struct rt_sigframe of amd64; struct sigframe_ia32 and
// rt_sigframe_ia32 (arch/x86/include/asm/sigframe.h). Which of the two is not known.
template <class Word>
bool holds_pc(const PassedContext& context, std::span<const std::uint64_t> offsets,
              MemoryReader& memory) {
  return std::any_of(offsets.begin(), offsets.end(), [&](std::uint64_t offset) {
    const auto word = read_value<Word>(memory, context.frame + offset);
    return word && *word == static_cast<Word>(context.state.rip);
  });
}

bool is_intact(const PassedContext& context, MemoryReader& memory) {
  static constexpr std::array<std::uint64_t, 1> amd64{176};
  static constexpr std::array<std::uint64_t, 2> i386{64, 220};
  if (context.state.mode() == x86::Mode::amd64)
    return holds_pc<std::uint64_t>(context, amd64, memory);
  return holds_pc<std::uint32_t>(context, i386, memory);
}

// The stack that a handler may use below its frame, as far as a guess is needed.
constexpr std::uint64_t handler_stack = 256 * 1024;

bool is_over(PassedContext& context, Address stack_pointer, MemoryReader& memory) {
  const bool inside = context.frame.value() - stack_pointer.value() <= handler_stack;
  if (inside && !context.called) return !is_intact(context, memory);
  return ++context.calls_elsewhere > PassedContexts::patience;
}

// The context goes on in a function that returns to the site.
bool was_made_to_call(const PassedContext& context, const x86::GeneralRegisters& restored,
                      MemoryReader& memory) {
  if (context.fault) return false;  // such a function does not return
  const bool amd64 = context.state.mode() == x86::Mode::amd64;
  if (restored.rsp != context.state.rsp - (amd64 ? 8 : 4)) return false;
  const Address top(restored.rsp);
  return amd64 ? read_value<std::uint64_t>(memory, top) == context.state.rip
               : read_value<std::uint32_t>(memory, top) == context.state.rip;
}

}  // namespace

bool is_sigreturn(const x86::GeneralRegisters& entry) {
  constexpr std::uint64_t amd64_rt_sigreturn = 15, i386_sigreturn = 119, i386_rt_sigreturn = 173;
  if (entry.mode() == x86::Mode::amd64) return entry.orig_rax == amd64_rt_sigreturn;
  return entry.orig_rax == i386_sigreturn || entry.orig_rax == i386_rt_sigreturn;
}

bool same_state(x86::GeneralRegisters a, x86::GeneralRegisters b) {
  a.orig_rax = b.orig_rax = 0;
  a.eflags &= ~x86::resume_flag;
  b.eflags &= ~x86::resume_flag;
  return a == b;
}

void PassedContexts::begin(const PassedContext& context) {
  std::erase_if(contexts_, [&](const PassedContext& older) {
    return older.frame == context.frame || same_context(older, context.state);
  });
  if (contexts_.size() == most_contexts) contexts_.erase(contexts_.begin());
  contexts_.push_back(context);
}

void PassedContexts::interrupted(const x86::GeneralRegisters& state) {
  std::erase_if(contexts_,
                [&](const PassedContext& context) { return same_context(context, state); });
}

void PassedContexts::system_call(Address stack_pointer, MemoryReader& memory) {
  std::erase_if(contexts_,
                [&](PassedContext& context) { return is_over(context, stack_pointer, memory); });
}

bool PassedContexts::returned(Address stack_pointer, const x86::GeneralRegisters& restored,
                              MemoryReader& memory) {
  bool back = false;
  std::erase_if(contexts_, [&](PassedContext& context) {
    const bool its_frame = is_frame_of(context, stack_pointer);
    const bool here =
        restored.rip == context.state.rip && (its_frame || restored.rsp == context.state.rsp);
    back = back || here;
    if (here || !its_frame) return here;
    context.called = was_made_to_call(context, restored, memory);
    return !context.called;
  });
  return back;
}

bool PassedContexts::hit(const x86::GeneralRegisters& state) {
  bool same = false;
  std::erase_if(contexts_, [&](const PassedContext& context) {
    if (!same_context(context, state)) return false;
    same = same || (context.called && same_state(context.state, state));
    return true;
  });
  return same;
}

void PassedContexts::forget(Address site) {
  std::erase_if(contexts_,
                [&](const PassedContext& context) { return context.state.pc() == site; });
}

}  // namespace stub
