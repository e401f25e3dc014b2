// Verification of agent expressions: from bytes to instructions that cannot go wrong on the stack.
//
// Two passes. The first decodes everything from front to back, so that instruction boundaries are
// known. The second walks the control flow from the start with the height of the stack at each
// instruction; an instruction reached with two different heights, too few values or too many is
// refused. Every instruction is visited once, whatever the jumps: the effort is linear.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "protocol/agent_expression.h"
#include "protocol/agent_opcodes.h"

namespace rsp {
namespace {

constexpr std::size_t longest_bytecode = 0xffff;  // jumps have 16 bits

const AgentOpcodeRow* find_row(std::uint8_t byte) {
  const auto row = std::ranges::find(agent_opcodes, AgentOpcode{byte}, &AgentOpcodeRow::opcode);
  return row != std::end(agent_opcodes) ? row : nullptr;
}

bool is_jump(AgentOpcode opcode) {
  return opcode == AgentOpcode::if_goto || opcode == AgentOpcode::goto_;
}

tl::unexpected<Error> malformed(std::size_t offset, std::string_view what) {
  return fail(Errc::malformed, fmt::format("Agent expression, byte {}: {}", offset, what));
}

}  // namespace

class AgentExpression::Verifier {
 public:
  Verifier(std::span<const std::uint8_t> bytecode, AgentUse use) : bytes_(bytecode), use_(use) {}

  Result<AgentExpression> run() {
    if (bytes_.size() > longest_bytecode) return fail(Errc::refused, "Agent expression too long");
    return decode_all()
        .and_then([this] { return resolve_jumps(); })
        .and_then([this] { return check_heights(); })
        .map([this] {
          result_.instructions_.shrink_to_fit();  // it is kept as long as the breakpoint
          return std::move(result_);
        });
  }

 private:
  Result<void> decode_all();
  Result<void> decode_one();
  Result<void> decode_format(Instruction& instruction);
  Result<void> resolve_jumps();
  Result<void> check_heights();
  Result<void> follow(std::size_t index);
  Result<std::size_t> height_after(std::size_t index) const;
  Result<void> reach(std::size_t index, std::size_t height, std::size_t from);
  void note_register(std::uint16_t number);

  std::span<const std::uint8_t> bytes_;
  AgentUse use_;
  std::size_t at_ = 0;  // the byte to decode next
  AgentExpression result_;
  std::vector<std::size_t> offsets_;                 // of each instruction, ascending
  std::vector<std::optional<std::size_t>> heights_;  // of the stack before each instruction
  std::vector<std::size_t> to_visit_;
};

Result<void> AgentExpression::Verifier::decode_all() {
  while (at_ < bytes_.size()) {
    offsets_.push_back(at_);
    if (auto done = decode_one(); !done) return done;
  }
  return {};
}

Result<void> AgentExpression::Verifier::decode_one() {
  const std::size_t start = at_;
  const std::uint8_t byte = bytes_[at_++];
  const AgentOpcodeRow* row = find_row(byte);
  if (row == nullptr || !row->supported) {
    return fail(Errc::unsupported,
                fmt::format("Agent expression, byte {}: unsupported opcode {:#04x} {}", start, byte,
                            row != nullptr ? row->name : ""));
  }
  if (bytes_.size() - at_ < row->operand_bytes) return malformed(start, "operand cut off");
  Instruction instruction{.opcode = row->opcode};
  for (unsigned i = 0; i < row->operand_bytes; ++i) {
    instruction.constant = instruction.constant << 8 | bytes_[at_++];
  }
  instruction.operand = static_cast<std::uint16_t>(instruction.constant);
  switch (row->opcode) {
    case AgentOpcode::ext:
    case AgentOpcode::zero_ext:
      if (instruction.operand == 0) return malformed(start, "extension of nothing");
      instruction.operand = std::min<std::uint16_t>(instruction.operand, 64);
      break;
    case AgentOpcode::reg:
      note_register(instruction.operand);
      break;
    case AgentOpcode::printf:
      if (auto done = decode_format(instruction); !done) return done;
      break;
    default:
      break;
  }
  result_.instructions_.push_back(instruction);
  return {};
}

Result<void> AgentExpression::Verifier::decode_format(Instruction& instruction) {
  const std::size_t start = at_;
  if (bytes_.size() - at_ < 2) return malformed(start, "format cut off");
  const std::size_t size = bytes_[at_] << 8 | bytes_[at_ + 1];
  at_ += 2;
  if (bytes_.size() - at_ < size) return malformed(start, "format cut off");
  std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, size);
  at_ += size;
  if (text.empty() || text.find('\0') != text.size() - 1) {
    return malformed(start, "format without its NUL at the end");
  }
  text.remove_suffix(1);
  auto format = AgentFormat::verify(text);
  if (!format) return tl::unexpected(format.error());
  if (format->argument_count() != instruction.operand) {
    return malformed(start, "format and argument count disagree");
  }
  instruction.operand = static_cast<std::uint16_t>(result_.formats_.size());
  result_.formats_.push_back(std::move(*format));
  return {};
}

void AgentExpression::Verifier::note_register(std::uint16_t number) {
  auto& registers = result_.registers_;
  const auto place = std::ranges::lower_bound(registers, number);
  if (place == registers.end() || *place != number) registers.insert(place, number);
}

// Jump operands become indexes of instructions.
Result<void> AgentExpression::Verifier::resolve_jumps() {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    Instruction& instruction = result_.instructions_[i];
    if (!is_jump(instruction.opcode)) continue;
    const auto target = std::ranges::lower_bound(offsets_, instruction.operand);
    if (target == offsets_.end() || *target != instruction.operand) {
      return malformed(offsets_[i], "jump to no instruction");
    }
    instruction.operand = static_cast<std::uint16_t>(target - offsets_.begin());
  }
  return {};
}

Result<void> AgentExpression::Verifier::check_heights() {
  heights_.resize(offsets_.size());
  if (auto done = reach(0, 0, 0); !done) return done;
  while (!to_visit_.empty()) {
    const std::size_t index = to_visit_.back();
    to_visit_.pop_back();
    if (auto done = follow(index); !done) return done;
  }
  return {};
}

// Hands the height after an instruction on to its successors.
Result<void> AgentExpression::Verifier::follow(std::size_t index) {
  const Instruction& instruction = result_.instructions_[index];
  const auto height = height_after(index);
  if (!height) return tl::unexpected(height.error());
  if (instruction.opcode == AgentOpcode::end) {
    if (use_ == AgentUse::condition && *height == 0) {
      return malformed(offsets_[index], "condition without a value");
    }
    return {};
  }
  if (is_jump(instruction.opcode)) {
    if (auto done = reach(instruction.operand, *height, index); !done) return done;
    if (instruction.opcode == AgentOpcode::goto_) return {};
  }
  return reach(index + 1, *height, index);
}

Result<std::size_t> AgentExpression::Verifier::height_after(std::size_t index) const {
  const Instruction& instruction = result_.instructions_[index];
  const AgentOpcodeRow& row = *find_row(static_cast<std::uint8_t>(instruction.opcode));
  std::size_t needed = row.pops;
  std::size_t popped = row.pops;
  if (instruction.opcode == AgentOpcode::pick) needed = instruction.operand + std::size_t{1};
  if (instruction.opcode == AgentOpcode::printf) {
    needed += result_.formats_[instruction.operand].argument_count();
    popped = needed;
  }
  if (*heights_[index] < needed) return malformed(offsets_[index], "stack underflow");
  const std::size_t height = *heights_[index] - popped + row.pushes;
  if (height > agent_stack_size) {
    return fail(Errc::refused, fmt::format("Agent expression, byte {}: more than {} values on the "
                                           "stack",
                                           offsets_[index], agent_stack_size));
  }
  return height;
}

Result<void> AgentExpression::Verifier::reach(std::size_t index, std::size_t height,
                                              std::size_t from) {
  if (index == offsets_.size()) {
    return malformed(from < offsets_.size() ? offsets_[from] : 0, "no end opcode behind");
  }
  if (!heights_[index]) {
    heights_[index] = height;
    to_visit_.push_back(index);
  } else if (*heights_[index] != height) {
    return malformed(offsets_[index], "reached with different stack heights");
  }
  return {};
}

Result<AgentExpression> AgentExpression::verify(std::span<const std::uint8_t> bytecode,
                                                AgentUse use) {
  return Verifier(bytecode, use).run();
}

}  // namespace rsp
