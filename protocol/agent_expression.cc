#include "protocol/agent_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "protocol/agent_opcodes.h"

namespace rsp {
namespace {

using Opcode = AgentOpcode;

constexpr std::size_t function_and_channel =
    2;  // of printf: unused, it always prints to the output

std::uint64_t sign_extend(std::uint64_t value, unsigned bits) {
  const unsigned unused = 64 - bits;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused);
}

std::uint64_t zero_extend(std::uint64_t value, unsigned bits) {
  const unsigned unused = 64 - bits;
  return value << unused >> unused;
}

// Shifts by the width or more, undefined in C, are what repeated shifting gives.
std::uint64_t shift_left(std::uint64_t value, std::uint64_t by) {
  return by < 64 ? value << by : 0;
}
std::uint64_t shift_right(std::uint64_t value, std::uint64_t by) {
  return by < 64 ? value >> by : 0;
}
std::uint64_t shift_right_signed(std::uint64_t value, std::uint64_t by) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value) >>
                                    std::min<std::uint64_t>(by, 63));
}

// The one quotient that does not fit wraps instead of trapping.
std::uint64_t divide_signed(std::uint64_t a, std::uint64_t b) {
  if (b == ~std::uint64_t{0}) return -a;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(a) / static_cast<std::int64_t>(b));
}
std::uint64_t remainder_signed(std::uint64_t a, std::uint64_t b) {
  if (b == ~std::uint64_t{0}) return 0;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(a) % static_cast<std::int64_t>(b));
}

bool less_signed(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(a) < static_cast<std::int64_t>(b);
}

bool divides(Opcode opcode) {
  return opcode >= Opcode::div_signed && opcode <= Opcode::rem_unsigned;
}

// All that take two values and leave one.
std::uint64_t binary(Opcode opcode, std::uint64_t a, std::uint64_t b) {
  switch (opcode) {
    case Opcode::add:
      return a + b;
    case Opcode::sub:
      return a - b;
    case Opcode::mul:
      return a * b;
    case Opcode::div_signed:
      return divide_signed(a, b);
    case Opcode::div_unsigned:
      return a / b;
    case Opcode::rem_signed:
      return remainder_signed(a, b);
    case Opcode::rem_unsigned:
      return a % b;
    case Opcode::lsh:
      return shift_left(a, b);
    case Opcode::rsh_signed:
      return shift_right_signed(a, b);
    case Opcode::rsh_unsigned:
      return shift_right(a, b);
    case Opcode::bit_and:
      return a & b;
    case Opcode::bit_or:
      return a | b;
    case Opcode::bit_xor:
      return a ^ b;
    case Opcode::equal:
      return a == b;
    case Opcode::less_signed:
      return less_signed(a, b);
    default:
      return a < b;  // less_unsigned
  }
}

// The value of `size` bytes of the inferior. Its byte order is the server's own: both run on the
// same processor.
template <class T>
Result<std::uint64_t> fetch(AgentMemory& memory, std::uint64_t address) {
  T value;
  if (!memory.read(address, std::as_writable_bytes(std::span(&value, 1)))) {
    return fail(Errc::bad_address, fmt::format("Cannot access memory at address {:#x}", address));
  }
  return value;
}

Result<std::uint64_t> fetch(Opcode opcode, AgentMemory& memory, std::uint64_t address) {
  switch (opcode) {
    case Opcode::ref8:
      return fetch<std::uint8_t>(memory, address);
    case Opcode::ref16:
      return fetch<std::uint16_t>(memory, address);
    case Opcode::ref32:
      return fetch<std::uint32_t>(memory, address);
    default:
      return fetch<std::uint64_t>(memory, address);
  }
}

}  // namespace

std::size_t AgentExpression::memory_size() const {
  std::size_t size = sizeof *this + instructions_.capacity() * sizeof(Instruction) +
                     registers_.capacity() * sizeof registers_.front();
  for (const AgentFormat& format : formats_) size += format.memory_size();
  return size;
}

Result<std::uint64_t> AgentExpression::evaluate(const AgentEnvironment& environment) const {
  std::array<std::uint64_t, agent_stack_size> stack;
  std::size_t height = 0;  // within bounds by verification
  const Instruction* next = instructions_.data();
  for (std::size_t steps = 0; steps < agent_step_limit; ++steps) {
    const Instruction& instruction = *next++;
    const auto top = [&](std::size_t below) -> std::uint64_t& { return stack[height - 1 - below]; };
    switch (instruction.opcode) {
      case Opcode::end:
        return height == 0 ? 0 : top(0);
      case Opcode::const8:
      case Opcode::const16:
      case Opcode::const32:
      case Opcode::const64:
        stack[height++] = instruction.constant;
        break;
      case Opcode::reg: {
        const auto value = environment.registers.read(instruction.operand);
        if (!value) return value;
        stack[height++] = *value;
        break;
      }
      case Opcode::ref8:
      case Opcode::ref16:
      case Opcode::ref32:
      case Opcode::ref64: {
        const auto value = fetch(instruction.opcode, environment.memory, top(0));
        if (!value) return value;
        top(0) = *value;
        break;
      }
      case Opcode::ext:
        top(0) = sign_extend(top(0), instruction.operand);
        break;
      case Opcode::zero_ext:
        top(0) = zero_extend(top(0), instruction.operand);
        break;
      case Opcode::log_not:
        top(0) = top(0) == 0;
        break;
      case Opcode::bit_not:
        top(0) = ~top(0);
        break;
      case Opcode::if_goto:
        if (stack[--height] != 0) next = instructions_.data() + instruction.operand;
        break;
      case Opcode::goto_:
        next = instructions_.data() + instruction.operand;
        break;
      case Opcode::dup:
        stack[height] = top(0);
        ++height;
        break;
      case Opcode::pop:
        --height;
        break;
      case Opcode::swap:
        std::swap(top(0), top(1));
        break;
      case Opcode::pick:
        stack[height] = top(instruction.operand);
        ++height;
        break;
      case Opcode::rot:  // a b c -> c a b
        std::rotate(&top(2), &top(0), &top(0) + 1);
        break;
      case Opcode::getv:
        stack[height++] =
            static_cast<std::uint64_t>(environment.variables.get(instruction.operand));
        break;
      case Opcode::setv:
        environment.variables.set(instruction.operand, static_cast<std::int64_t>(top(0)));
        break;
      case Opcode::trace:
        environment.output.collect_memory(top(1), top(0));
        height -= 2;
        break;
      case Opcode::trace_quick:
      case Opcode::trace16:
        environment.output.collect_memory(top(0), instruction.operand);
        break;
      case Opcode::tracenz:
        environment.output.collect_string(top(1), top(0));
        height -= 2;
        break;
      case Opcode::tracev:
        environment.output.collect_variable(instruction.operand);
        break;
      case Opcode::printf: {
        height -= function_and_channel;
        const AgentFormat& format = formats_[instruction.operand];
        const std::span arguments(stack.data() + height - format.argument_count(),
                                  format.argument_count());
        // The first argument was pushed last.
        std::ranges::reverse(arguments);
        std::string text;
        const auto done = format.print(arguments, environment.memory, text);
        environment.output.print(text);
        steps += text.size() / printed_in_a_step;
        if (!done) return tl::unexpected(done.error());
        height -= format.argument_count();
        break;
      }
      default:
        if (divides(instruction.opcode) && top(0) == 0) {
          return fail(Errc::refused, "Division by zero");
        }
        top(1) = binary(instruction.opcode, top(1), top(0));
        --height;
        break;
    }
  }
  return fail(Errc::refused, "Agent expression does not come to an end");
}

}  // namespace rsp
