#include "stub/engine/condition_evaluator.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {
namespace {

const Pid pid = fake_pid(1);
constexpr Address text(0x401000), data(0x7ff000);

rsp::AgentExpression expression(rsp::Bytecode bytecode,
                                rsp::AgentUse use = rsp::AgentUse::condition) {
  bytecode.push_back(0x27);  // end
  return *rsp::AgentExpression::verify(bytecode, use);
}

rsp::AgentExpression constant(std::uint8_t value) { return expression({0x22, value}); }

// The byte at an address below 2^32 equals `value`.
rsp::AgentExpression byte_is(Address at, std::uint8_t value) {
  const std::uint64_t a = at.value();
  const auto part = [&](int shift) { return static_cast<std::uint8_t>(a >> shift); };
  return expression({0x24, part(24), part(16), part(8), part(0), 0x17, 0x22, value, 0x13});
}

// printf("x"), as gdb compiles it: function and channel 0, no argument.
rsp::AgentExpression print_x() {
  return expression({0x22, 0, 0x22, 0, 0x34, 0, 0, 2, 'x', 0}, rsp::AgentUse::commands);
}

struct World {
  FakeTracee tracee;
  Inferior process;
  Thread thread;
  ConditionEvaluator evaluator{tracee};

  World() {
    const Tid tid = leader_of(pid);
    tracee.add(pid, tid);
    tracee.memory(pid).map_file(text, {0x55, 0x90});
    tracee.memory(pid).map(data, 0x1000);
    tracee.memory(pid).put(data, {7});
    process.pid = pid;
    process.space = std::make_shared<AddressSpace>(tracee, x86::Mode::amd64);
    thread.tid = tid;
    thread.process = &process;
    x86::GeneralRegisters regs{};
    regs.cs = 0x33;
    regs.rip = text.value();
    regs.rdi = 5;
    thread.set_fetched(regs);
  }
  Verdict ask(std::vector<rsp::AgentExpression> conditions,
              std::vector<rsp::AgentExpression> commands = {}, SiteFilter* filter = nullptr) {
    return evaluator.evaluate(thread, {std::move(conditions), std::move(commands)}, filter, 0);
  }
};

}  // namespace

TEST_CASE("condition_evaluator: the hit is reported if any condition holds, or there is none") {
  World w;
  CHECK(w.ask({}) == Verdict::report);
  CHECK(w.ask({constant(0)}) == Verdict::pass);
  CHECK(w.ask({constant(1)}) == Verdict::report);
  CHECK(w.ask({constant(0), constant(1)}) == Verdict::report);
}

TEST_CASE("condition_evaluator: an error leaves the decision to the client") {
  World w;
  CHECK(w.ask({byte_is(Address(0x1000), 0)}) == Verdict::report);
  CHECK(w.ask({constant(0), byte_is(Address(0x1000), 0)}) == Verdict::report);
}

TEST_CASE("condition_evaluator: registers are those of the stop") {
  World w;
  // rdi is register 5 of the target description.
  CHECK(w.ask({expression({0x26, 0, 5, 0x22, 5, 0x13})}) == Verdict::report);
  CHECK(w.ask({expression({0x26, 0, 5, 0x22, 6, 0x13})}) == Verdict::pass);
}

TEST_CASE("condition_evaluator: memory is the program's own, without inserted bytes") {
  World w;
  CHECK(w.ask({byte_is(data, 7)}) == Verdict::report);
  REQUIRE(w.process.space->sites.insert_client(pid, text, {}).has_value());
  REQUIRE(w.tracee.memory(pid).byte(text) == 0xcc);
  CHECK(w.ask({byte_is(text, 0x55)}) == Verdict::report);
  CHECK(w.ask({byte_is(text, 0xcc)}) == Verdict::pass);
}

TEST_CASE("condition_evaluator: commands run when the condition holds, and the thread goes on") {
  World w;
  CHECK(w.ask({constant(0)}, {print_x()}) == Verdict::pass);
  CHECK(w.evaluator.console().take().empty());
  CHECK(w.ask({constant(1)}, {print_x(), print_x()}) == Verdict::pass);
  CHECK(w.evaluator.console().take() == "xx");
  CHECK(w.evaluator.console().take().empty());
}

TEST_CASE("condition_evaluator: a filter counts the hits whose condition holds") {
  World w;
  auto filter = *SiteFilter::parse("every=2", x86::Mode::amd64);
  CHECK(w.ask({constant(0)}, {}, &filter) == Verdict::pass);
  CHECK(filter.asked() == 0);
  CHECK(w.ask({constant(1)}, {}, &filter) == Verdict::pass);
  CHECK(w.ask({constant(1)}, {}, &filter) == Verdict::report);
  CHECK(w.ask({}, {}, &filter) == Verdict::pass);
  CHECK(w.ask({}, {print_x()}, &filter) == Verdict::pass);
  CHECK(w.evaluator.console().take() == "x");
}

TEST_CASE("condition_evaluator: the console keeps its limit and tells what was lost") {
  ConsoleBuffer console;
  console.print(std::string(ConsoleBuffer::limit - 1, 'a'));
  console.print("bc");
  console.print("d");  // after a loss nothing is kept, so that no line is shown in part
  const std::string text = console.take();
  CHECK(text.size() == ConsoleBuffer::limit - 1 + std::string("[3 bytes of output lost]\n").size());
  CHECK(text.find("a[3 bytes of output lost]\n") != std::string::npos);
  console.print("e");
  CHECK(console.take() == "e");
}

TEST_CASE("condition_evaluator: a trace state variable that was never set is 0") {
  World w;
  CHECK(w.evaluator.variables().get(3) == 0);
  CHECK(w.ask({expression({0x2c, 0, 3})}) == Verdict::pass);
  w.evaluator.variables().set(3, 1);
  CHECK(w.ask({expression({0x2c, 0, 3})}) == Verdict::report);
}

}  // namespace stub
