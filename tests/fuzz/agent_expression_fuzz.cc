// Agent expressions. The first byte chooses condition or commands, the rest is the bytecode.
//
// Holds: whatever verify() lets through can be evaluated: it ends, reads only the registers it has
// announced, and fails in no other way than its interface says.
#include <algorithm>
#include <cstring>
#include <map>

#include "protocol/agent_expression.h"
#include "tests/fuzz/fuzz.h"

namespace {

class Registers : public rsp::AgentRegisters {
 public:
  explicit Registers(const rsp::AgentExpression& expression) : expression_(expression) {}
  rsp::Result<std::uint64_t> read(unsigned number) override {
    FUZZ_CHECK(std::ranges::binary_search(expression_.registers_used(), number));
    if (number > 1000) return rsp::fail(rsp::Errc::thread_gone);
    return number * 0x0123456789abcdefu;
  }

 private:
  const rsp::AgentExpression& expression_;
};

// Readable are the first 64 KiB, and they hold short strings.
class Memory : public rsp::AgentMemory {
 public:
  bool read(std::uint64_t address, std::span<std::byte> to) override {
    constexpr std::uint64_t size = 1u << 16;
    if (address >= size || to.size() > size - address) return false;
    for (std::byte& byte : to) {
      byte = static_cast<std::byte>(address % 31 == 0 ? 0 : 'a' + address % 26);
      ++address;
    }
    return true;
  }
};

class Variables : public rsp::AgentVariables {
 public:
  std::int64_t get(unsigned number) override { return values_[number]; }
  void set(unsigned number, std::int64_t value) override { values_[number] = value; }

 private:
  std::map<unsigned, std::int64_t> values_;
};

class Output : public rsp::AgentOutput {
 public:
  void print(std::string_view text) override { printed += text.size(); }
  void collect_memory(std::uint64_t, std::uint64_t size) override { collected += size; }
  std::size_t printed = 0;
  std::uint64_t collected = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto use = data[0] % 2 ? rsp::AgentUse::commands : rsp::AgentUse::condition;
  const auto expression = rsp::AgentExpression::verify(std::span(data + 1, size - 1), use);
  if (!expression) {
    const rsp::Errc code = expression.error().code;
    FUZZ_CHECK(code == rsp::Errc::malformed || code == rsp::Errc::unsupported ||
               code == rsp::Errc::refused);
    return 0;
  }
  FUZZ_CHECK(std::ranges::is_sorted(expression->registers_used()));
  Registers registers(*expression);
  Memory memory;
  Variables variables;
  Output output;
  const auto value = expression->evaluate({registers, memory, variables, output});
  if (!value) {
    const rsp::Errc code = value.error().code;
    FUZZ_CHECK(code == rsp::Errc::bad_address || code == rsp::Errc::refused ||
               code == rsp::Errc::thread_gone);
  }
  return 0;
}
