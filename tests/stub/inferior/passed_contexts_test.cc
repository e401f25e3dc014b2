// A hit that a handler has put off, and every way in which the thread may come by again.
#include "stub/inferior/passed_contexts.h"

#include "tests/catch.h"
#include "tests/stub/base/sparse_memory.h"

namespace stub {
namespace {

constexpr std::uint64_t site = 0x401000, sp = 0x7fff0000, frame = 0x7ffef000;
constexpr std::uint64_t alternate = 0x600000;  // a frame on another stack

x86::GeneralRegisters at(std::uint64_t pc, std::uint64_t stack_pointer, std::uint64_t rax = 0) {
  x86::GeneralRegisters regs{};
  regs.rip = pc;
  regs.rsp = stack_pointer;
  regs.rax = rax;
  regs.cs = 0x33;
  return regs;
}

// A thread whose hit at `site` a handler has put off, with its frame in memory.
struct Interrupted {
  SparseMemory memory;
  PassedContexts contexts;

  explicit Interrupted(std::uint64_t its_frame = frame, bool fault = false) {
    contexts.begin({.state = at(site, sp), .frame = Address(its_frame), .fault = fault});
    hold(its_frame, site);
  }
  void hold(std::uint64_t its_frame, std::uint64_t pc) {
    memory.put_words(its_frame + 176, 8, {pc});
  }
  bool returned(std::uint64_t pc, std::uint64_t to, std::uint64_t from = frame) {
    return contexts.returned(Address(from + 8), at(pc, to), memory);
  }
  void call(std::uint64_t stack_pointer, unsigned times = 1) {
    for (unsigned i = 0; i < times; ++i) contexts.system_call(Address(stack_pointer), memory);
  }
};

TEST_CASE("passed_contexts: the handler returns") {
  Interrupted t;
  CHECK(t.returned(site, sp));
  CHECK(t.contexts.empty());
  CHECK_FALSE(t.contexts.hit(at(site, sp)));  // the next time round
}

TEST_CASE("passed_contexts: the handler jumps away, and the program comes by in the same state") {
  Interrupted t;
  CHECK_FALSE(t.contexts.hit(at(site, sp)));
  CHECK(t.contexts.empty());
}

TEST_CASE("passed_contexts: the handler has changed what it returns to") {
  Interrupted t;
  SECTION("registers: it goes on at the site") {
    CHECK(t.contexts.returned(Address(frame + 8), at(site, sp, 77), t.memory));
  }
  SECTION("the stack pointer") { CHECK(t.returned(site, sp - 64)); }
  SECTION("the PC: the context is over") {
    CHECK_FALSE(t.returned(site + 0x100, sp));
    CHECK(t.contexts.empty());
  }
  SECTION("to a context that was saved before: another frame, the same place") {
    CHECK(t.returned(site, sp, alternate));
  }
}

TEST_CASE("passed_contexts: nested handlers") {
  Interrupted t;
  t.contexts.begin({.state = at(site, frame - 0x100), .frame = Address(frame - 0x2000)});
  SECTION("return one after the other") {
    CHECK(t.returned(site, frame - 0x100, frame - 0x2000));
    CHECK_FALSE(t.contexts.empty());
    CHECK(t.returned(site, sp));
    CHECK(t.contexts.empty());
  }
  SECTION("the inner one comes from somewhere else and returns there") {
    CHECK_FALSE(t.returned(site + 9, frame - 0x300, frame - 0x4000));
    CHECK(t.returned(site, frame - 0x100, frame - 0x2000));
  }
  SECTION("the inner one jumps behind the outer one, which returns") {
    CHECK(t.returned(site, sp));
    CHECK_FALSE(t.contexts.hit(at(site, frame - 0x100)));
  }
  SECTION("the handler hits the site as well: its hit, not the other's") {
    CHECK_FALSE(t.contexts.hit(at(site, frame - 0x500)));
    CHECK(t.returned(site, frame - 0x100, frame - 0x2000));
    CHECK(t.returned(site, sp));
  }
}

TEST_CASE("passed_contexts: another signal in the same place") {
  Interrupted t;
  SECTION("before the site was hit again: the return is to the new hit") {
    t.contexts.interrupted(at(site, sp));
    CHECK_FALSE(t.returned(site, sp));
  }
  SECTION("after it was hit and passed again") {
    t.contexts.begin({.state = at(site, sp), .frame = Address(frame)});
    CHECK(t.returned(site, sp));
    CHECK(t.contexts.empty());
  }
  SECTION("with another stack pointer") {
    t.contexts.interrupted(at(site, sp - 8));
    CHECK(t.returned(site, sp));
  }
}

TEST_CASE("passed_contexts: the frame of a handler that has jumped away") {
  SECTION("the thread works deeper in the stack, over the frame") {
    Interrupted t;
    t.call(frame - 0x800);
    CHECK_FALSE(t.contexts.empty());
    t.hold(frame, 0);
    t.call(frame - 0x800);
    CHECK(t.contexts.empty());
  }
  SECTION("the thread works in front of it: not for ever") {
    Interrupted t;
    t.call(sp + 0x100, PassedContexts::patience);
    CHECK_FALSE(t.contexts.empty());
    t.call(sp + 0x100);
    CHECK(t.contexts.empty());
  }
  SECTION("the handler had a stack of its own") {
    Interrupted t(alternate);
    t.call(sp, PassedContexts::patience + 1);
    CHECK(t.contexts.empty());
  }
  SECTION("many of them") {
    Interrupted t;
    for (std::uint64_t i = 1; i <= 2 * PassedContexts::most_contexts; ++i)
      t.contexts.begin({.state = at(site, sp - 0x1000 * i), .frame = Address(frame - 0x1000 * i)});
    CHECK_FALSE(t.returned(site, sp));  // the oldest was dropped
    CHECK(t.returned(site, sp - 0x2000 * PassedContexts::most_contexts, 0));
  }
}

TEST_CASE("passed_contexts: a handler that works for long") {
  Interrupted t;
  t.call(frame - 0x4000, 10 * PassedContexts::patience);
  CHECK(t.returned(site, sp));
}

TEST_CASE("passed_contexts: swapcontext in the handler, and back") {
  Interrupted t;
  t.call(0x610000, PassedContexts::patience / 2);  // another stack
  CHECK_FALSE(t.contexts.hit(at(site, 0x610000)));
  CHECK(t.returned(site, sp));
}

TEST_CASE("passed_contexts: the handler has the context call a function") {
  const auto injected = [](Interrupted& t) {
    t.memory.put_words(sp - 8, 8, {site});
    return t.returned(0x402000, sp - 8);
  };
  SECTION("which returns: the same state is the same hit") {
    Interrupted t;
    CHECK_FALSE(injected(t));
    CHECK(t.contexts.hit(at(site, sp)));
    CHECK_FALSE(t.contexts.hit(at(site, sp)));
  }
  SECTION("which changes something") {
    Interrupted t;
    CHECK_FALSE(injected(t));
    CHECK_FALSE(t.contexts.hit(at(site, sp, 1)));
  }
  SECTION("after a fault: it does not return") {
    Interrupted t(frame, true);
    CHECK_FALSE(injected(t));
    CHECK(t.contexts.empty());
  }
  SECTION("which does not return") {
    Interrupted t;
    CHECK_FALSE(injected(t));
    t.call(sp - 0x400, PassedContexts::patience + 1);
    CHECK(t.contexts.empty());
  }
}

TEST_CASE("passed_contexts: the site is removed") {
  Interrupted t;
  t.contexts.forget(Address(site));
  CHECK_FALSE(t.returned(site, sp));
}

TEST_CASE("passed_contexts: i386") {
  SparseMemory memory;
  PassedContexts contexts;
  auto state = at(site, 0xffff0000);
  state.cs = 0x23;
  const std::uint64_t its_frame = 0xfffef000;
  const bool real_time = GENERATE(false, true);
  contexts.begin({.state = state, .frame = Address(its_frame)});
  memory.put_words(its_frame + 64, 4, {real_time ? 0 : site});
  memory.put_words(its_frame + 220, 4, {real_time ? site : 0});
  contexts.system_call(Address(its_frame - 64), memory);
  CHECK_FALSE(contexts.empty());
  CHECK(contexts.returned(Address(its_frame + (real_time ? 4 : 8)), state, memory));
}

TEST_CASE("passed_contexts: which system call is a return") {
  auto regs = at(0, 0);
  regs.orig_rax = 15;
  CHECK(is_sigreturn(regs));
  regs.orig_rax = 119;
  CHECK_FALSE(is_sigreturn(regs));
  regs.cs = 0x23;
  CHECK(is_sigreturn(regs));
  regs.orig_rax = 173;
  CHECK(is_sigreturn(regs));
  regs.orig_rax = 15;
  CHECK_FALSE(is_sigreturn(regs));
}

}  // namespace
}  // namespace stub
