#include "stub/engine/condition_evaluator.h"

#include <algorithm>
#include <array>
#include <utility>

#include "arch/register_table.h"

namespace stub {
namespace {

class ConditionRegisters final : public rsp::AgentRegisters {
 public:
  ConditionRegisters(Tracee& tracee, const Thread& thread)
      : tracee_(tracee), tid_(thread.tid), set_(x86::RegisterSet::get(thread.general->mode())) {
    file_.general = *thread.general;
  }

  Result<std::uint64_t> read(unsigned number) override {
    const x86::Register* reg = set_.find(number);
    if (reg == nullptr) return fail(Errc::malformed, "No such register");
    if (x86::needs_xstate(*reg) && file_.xstate.empty()) {
      auto xstate = whole_xstate(tracee_, tid_);
      if (!xstate) return tl::unexpected(xstate.error());
      file_.xstate = std::move(*xstate);
    }
    const auto value = x86::read_unsigned(*reg, file_);
    if (!value) return fail(Errc::unsupported, "The register is wider than 64 bits");
    return *value;
  }

 private:
  Tracee& tracee_;
  Tid tid_;
  const x86::RegisterSet& set_;
  x86::RegisterFile file_;
};

// A read of a few bytes costs as much as a read of two cache lines, and the values of one condition
// lie close together: arguments and locals, members of a structure. So each read fetches the
// aligned block around it, once per evaluation.
class ConditionMemory final : public rsp::AgentMemory {
 public:
  ConditionMemory(Tracee& tracee, const Inferior& process) : tracee_(tracee), process_(process) {}

  bool read(std::uint64_t address, std::span<std::byte> to) override {
    const std::uint64_t offset = address % block_size;
    if (offset + to.size() > block_size) return read_exactly(Address(address), to);
    const Block* block = block_at(address - offset);
    if (block == nullptr) return read_exactly(Address(address), to);
    std::copy_n(block->bytes.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
    return true;
  }

 private:
  static constexpr std::uint64_t block_size = 128;
  static constexpr std::size_t most_blocks = 4;
  struct Block {
    std::uint64_t address;
    std::array<std::byte, block_size> bytes;
  };

  const Block* block_at(std::uint64_t address) {
    for (std::size_t i = 0; i < used_; ++i)
      if (blocks_[i].address == address) return &blocks_[i];
    if (used_ == most_blocks) return nullptr;
    Block& block = blocks_[used_];
    block.address = address;
    if (!read_exactly(Address(address), block.bytes)) return nullptr;
    ++used_;
    return &block;
  }

  bool read_exactly(Address address, std::span<std::byte> to) {
    if (tracee_.read_memory(process_.pid, address, to) != to.size()) return false;
    process_.space->sites.mask(address, to);
    return true;
  }

  Tracee& tracee_;
  const Inferior& process_;
  std::array<Block, most_blocks> blocks_;
  std::size_t used_ = 0;
};

}  // namespace

std::int64_t TraceVariables::get(unsigned number) {
  const auto found = values_.find(number);
  return found == values_.end() ? 0 : found->second;
}

void TraceVariables::set(unsigned number, std::int64_t value) { values_[number] = value; }

void ConsoleBuffer::print(std::string_view text) {
  if (lost_ == 0 && text_.size() + text.size() <= limit)
    text_ += text;
  else
    lost_ += text.size();
}

std::string ConsoleBuffer::take() {
  if (lost_ != 0)
    text_ += "[" + std::to_string(std::exchange(lost_, 0)) + " bytes of output lost]\n";
  return std::exchange(text_, {});
}

Verdict ConditionEvaluator::evaluate(const Thread& thread, const SiteProgram& program,
                                     SiteFilter* filter, std::uint64_t seen_ns) {
  if (program.conditions.empty() && program.commands.empty() && filter == nullptr)
    return Verdict::report;
  ConditionRegisters registers(tracee_, thread);
  ConditionMemory memory(tracee_, *thread.process);
  const rsp::AgentEnvironment environment{registers, memory, variables_, console_};
  bool holds = program.conditions.empty();
  for (const auto& condition : program.conditions) {
    const auto value = condition.evaluate(environment);
    if (!value) return Verdict::report;
    holds = holds || *value != 0;
    if (holds) break;
  }
  if (!holds) return Verdict::pass;
  if (filter != nullptr) {
    const auto through = filter->lets_through(thread.tid, registers, memory, seen_ns);
    if (!through) return Verdict::report;
    if (!*through) return Verdict::pass;
  }
  if (program.commands.empty()) return Verdict::report;
  for (const auto& command : program.commands)
    if (!command.evaluate(environment)) return Verdict::report;
  return Verdict::pass;
}

}  // namespace stub
