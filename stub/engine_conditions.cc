// What the stub decides at a breakpoint by itself: conditions and commands.
//
// The evaluation reads the thread's registers as they were fetched at the stop and the program's
// memory with our bytes masked. Any error in it means that the client has to decide: the stop is
// reported.
#include <ctime>

#include "arch/register_table.h"
#include "stub/engine.h"

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
      file_.xstate.resize(x86::largest_xstate);
      const auto size = tracee_.xstate(tid_, file_.xstate);
      if (!size) return tl::unexpected(size.error());
      file_.xstate.resize(*size);
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

class ConditionMemory final : public rsp::AgentMemory {
 public:
  ConditionMemory(Tracee& tracee, const Inferior& process) : tracee_(tracee), process_(process) {}

  bool read(std::uint64_t address, std::span<std::byte> to) override {
    if (tracee_.read_memory(process_.pid, Address(address), to) != to.size()) return false;
    process_.space->sites.mask(Address(address), to);
    return true;
  }

 private:
  Tracee& tracee_;
  const Inferior& process_;
};

class ConsoleOutput final : public rsp::AgentOutput {
 public:
  explicit ConsoleOutput(std::string& console) : console_(console) {}
  void print(std::string_view text) override { console_ += text; }

 private:
  std::string& console_;
};

}  // namespace

std::int64_t TraceVariables::get(unsigned number) {
  const auto found = values_.find(number);
  return found == values_.end() ? 0 : found->second;
}

void TraceVariables::set(unsigned number, std::int64_t value) { values_[number] = value; }

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Verdict Engine::evaluate(const Thread& thread, const SiteProgram& program) {
  if (program.conditions.empty() && program.commands.empty()) return Verdict::report;
  ConditionRegisters registers(tracee_, thread);
  ConditionMemory memory(tracee_, *thread.process);
  ConsoleOutput output(console_);
  const rsp::AgentEnvironment environment{registers, memory, trace_variables_, output};
  bool holds = program.conditions.empty();
  for (const auto& condition : program.conditions) {
    const auto value = condition.evaluate(environment);
    if (!value) return Verdict::report;
    holds = holds || *value != 0;
    if (holds) break;
  }
  if (!holds) return Verdict::pass;
  if (program.commands.empty()) return Verdict::report;
  for (const auto& command : program.commands)
    if (!command.evaluate(environment)) return Verdict::report;
  return Verdict::pass;
}

}  // namespace stub
