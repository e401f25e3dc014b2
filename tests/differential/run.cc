#include "tests/differential/run.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "arch/semantics.h"

namespace differential {
namespace {

constexpr std::uint8_t int3 = 0xcc;

void prepare(Inferior& inferior, const Case& which) {
  std::copy(which.data.begin(), which.data.begin() + data_size,
            inferior.file().begin() + data_offset);
  std::copy(which.data.begin() + data_size, which.data.end(),
            inferior.file().begin() + read_only_offset);
  inferior.set_xstate(which.xstate);
}

// Code bytes that are int3 again afterwards.
class Patch {
 public:
  Patch(Inferior& inferior, std::size_t offset, std::span<const std::uint8_t> bytes)
      : at_(inferior.file().subspan(offset, bytes.size())) {
    std::copy(bytes.begin(), bytes.end(), at_.begin());
  }
  ~Patch() { std::fill(at_.begin(), at_.end(), int3); }
  Patch(const Patch&) = delete;
  Patch& operator=(const Patch&) = delete;

 private:
  std::span<std::uint8_t> at_;
};

// The instruction at its site, its first byte the stub's breakpoint or its own.
Patch at_site(Inferior& inferior, const Case& which, bool breakpoint) {
  auto bytes = which.bytes;
  if (breakpoint) bytes[0] = int3;
  return Patch(inferior, which.site.value() - layout_of(which.mode).sites + site_offset, bytes);
}

Outcome observe(Inferior& inferior) {
  Outcome seen;
  seen.registers = inferior.registers();
  const auto image = inferior.xstate();
  seen.xstate.assign(image.begin(), image.end());
  seen.siginfo = inferior.siginfo();
  const auto data = inferior.file().subspan(data_offset, data_size + page);
  seen.data.assign(data.begin(), data.end());
  return seen;
}

Outcome complaint(std::string text) {
  Outcome none;
  none.complaint = std::move(text);
  return none;
}

// A thread in a slot, as the stub handles it.
class SlotRun {
 public:
  SlotRun(Inferior& inferior, const x86::Instruction& instruction, const x86::SlotCode& code,
          x86::Address site, x86::Address slot)
      : inferior_(inferior), instruction_(instruction), code_(code), site_(site), slot_(slot) {}

  Outcome run(x86::GeneralRegisters regs) {
    if (code_.scratch) {
      auto& scratch = x86::general_register(regs, *code_.scratch);
      saved_scratch_ = scratch;
      scratch = code_.scratch_value;
    }
    regs.rip = slot_.value();
    inferior_.set_registers(regs);
    for (int stops = 0; stops < 4; stops++) {
      if (!inferior_.run()) return complaint("does not stop in the slot");
      Outcome seen = observe(inferior_);
      if (seen.registers.rip - slot_.value() > code_.size) return seen;
      if (!resumes(seen)) return seen;
    }
    return complaint("does not leave the slot");
  }

 private:
  // Brings a stop in the slot into the program's terms. True when it was the slot's and not the
  // program's, and the program has been set up to go on.
  bool resumes(Outcome& seen) {
    const auto stop = seen.registers.rip;
    const auto mapped = x86::canonical(instruction_, code_, site_, slot_, seen.registers,
                                       saved_scratch_, inferior_);
    if (mapped.progress == x86::Progress::lost) {
      seen.complaint = "lost in the slot";
      return false;
    }
    seen.registers = mapped.registers;
    const bool pointer = x86::restore_x87_pointer(seen.xstate, instruction_, code_, site_, slot_);
    if (!mapped.at_ending && mapped.progress != x86::Progress::unfinished) {
      const bool names_instruction = seen.siginfo.si_signo == SIGILL ||
                                     seen.siginfo.si_signo == SIGFPE ||
                                     seen.siginfo.si_signo == SIGTRAP;
      if (names_instruction && seen.siginfo.si_addr == reinterpret_cast<void*>(stop)) {
        seen.siginfo.si_addr = reinterpret_cast<void*>(mapped.registers.rip);
      }
      return false;
    }
    inferior_.set_registers(mapped.registers);
    if (pointer) inferior_.set_xstate(seen.xstate);
    return true;
  }

  Inferior& inferior_;
  const x86::Instruction& instruction_;
  const x86::SlotCode& code_;
  x86::Address site_, slot_;
  std::optional<std::uint64_t> saved_scratch_;
};

std::optional<Outcome> run_in_slot(Inferior& inferior, const Case& which,
                                   const x86::Instruction& instruction, x86::Lane lane,
                                   const Choice& choice) {
  const Layout& layout = layout_of(which.mode);
  const std::size_t within = std::size_t{choice.slot_number} * x86::slot_size;
  const x86::Address slot((choice.far_slot ? layout.far_slots : layout.near_slots) + within);
  std::optional<x86::SlotCode> code;
  if (lane == x86::Lane::boost && !choice.prefer_trap) {
    code = x86::relocate(instruction, which.site, slot, x86::Ending::jump_back);
  }
  for (const auto ending : {x86::Ending::trap, x86::Ending::jump_back})
    if (!code) code = x86::relocate(instruction, which.site, slot, ending);
  if (!code) return std::nullopt;
  const Patch slot_code(inferior, (choice.far_slot ? far_offset : near_offset) + within,
                        std::span(code->bytes).first(code->size));
  return SlotRun(inferior, instruction, *code, which.site, slot).run(which.registers);
}

void compare_bytes(std::string_view what, std::span<const std::uint8_t> a,
                   std::span<const std::uint8_t> b, std::vector<std::string>& found) {
  if (a.size() != b.size()) {
    found.push_back(std::string(what) + ": sizes differ");
    return;
  }
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin());
  if (at == a.end()) return;
  char line[96];
  std::snprintf(line, sizeof line, "%.*s+%td: native %02x, by plan %02x", int(what.size()),
                what.data(), at - a.begin(), *at, *other);
  found.push_back(line);
}

std::span<const std::uint8_t> as_bytes(std::span<const std::byte> image) {
  return {reinterpret_cast<const std::uint8_t*>(image.data()), image.size()};
}

// Which components are in their initial state, and so have no bit, is the processor's business; the
// kernel fills in what they contain.
std::vector<std::uint8_t> without_component_bits(std::span<const std::byte> image) {
  std::vector<std::uint8_t> bytes(as_bytes(image).begin(), as_bytes(image).end());
  std::fill_n(bytes.begin() + 512, 8, 0);
  return bytes;
}

constexpr const char* register_names[] = {
    "r15",    "r14", "r13", "r12",     "rbp",     "rbx", "r11",      "r10", "r9",
    "r8",     "rax", "rcx", "rdx",     "rsi",     "rdi", "orig_rax", "rip", "cs",
    "eflags", "rsp", "ss",  "fs_base", "gs_base", "ds",  "es",       "fs",  "gs"};

// Clocks, random numbers, and the status of an aborted transaction (SDM vol. 1, "RTM Abort Status
// Definition": an interrupt may be the cause): the results may differ, all else may not.
bool has_random_result(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_XBEGIN || mnemonic == ZYDIS_MNEMONIC_RDTSC ||
         mnemonic == ZYDIS_MNEMONIC_RDTSCP || mnemonic == ZYDIS_MNEMONIC_RDRAND ||
         mnemonic == ZYDIS_MNEMONIC_RDSEED || mnemonic == ZYDIS_MNEMONIC_RDPRU;
}

void forget_results(const Case& which, x86::GeneralRegisters& regs) {
  const auto instruction = x86::decode(which.bytes, which.mode);
  for (std::uint8_t n = 0; instruction && n < 16; n++) {
    if (instruction->registers_written >> n & 1) x86::general_register(regs, n) = 0;
  }
  if (which.mnemonic != ZYDIS_MNEMONIC_XBEGIN) regs.eflags = 0;  // it changes none
}

// A null selector may have any of four values; an interrupt, which may come at any time, makes it 0
// (SDM vol. 2, IRET, return to an outer privilege level).
void forget_null_selectors(x86::GeneralRegisters& regs) {
  for (auto* selector : {&regs.ds, &regs.es, &regs.fs, &regs.gs})
    if (*selector <= 3) *selector = 0;
}

}  // namespace

Outcome run_in_place(Inferior& inferior, const Case& which) {
  prepare(inferior, which);
  const Patch code = at_site(inferior, which, false);
  inferior.set_registers(which.registers);
  if (!inferior.run()) return complaint("does not stop in place");
  return observe(inferior);
}

std::optional<Outcome> run_by_plan(Inferior& inferior, const Case& which, const Choice& choice) {
  const auto plan = x86::classify(which.bytes, which.mode);
  prepare(inferior, which);
  const Patch breakpoint = at_site(inferior, which, true);
  if (const auto* emulate = std::get_if<x86::Emulate>(&plan.how)) {
    if (choice.prefer_slot) {
      auto outcome = run_in_slot(inferior, which, emulate->instruction, x86::Lane::trap, choice);
      if (outcome) return outcome;
    }
    auto regs = which.registers;
    if (!x86::emulate(*emulate, which.site, regs, inferior)) {
      return run_in_slot(inferior, which, emulate->instruction, x86::Lane::trap, choice);
    }
    inferior.set_registers(regs);
    if (!inferior.run()) return complaint("does not stop after emulation");
    return observe(inferior);
  }
  const auto* relocate = std::get_if<x86::Relocate>(&plan.how);
  if (!relocate) return std::nullopt;
  return run_in_slot(inferior, which, relocate->instruction, relocate->lane, choice);
}

std::vector<std::string> differences(const Case& which, const Outcome& native,
                                     const Outcome& by_plan) {
  std::vector<std::string> found;
  for (const auto* outcome : {&native, &by_plan}) {
    if (!outcome->complaint.empty()) found.push_back(outcome->complaint);
  }
  if (!found.empty()) return found;
  auto a = native.registers, b = by_plan.registers;
  forget_null_selectors(a);
  forget_null_selectors(b);
  if (has_random_result(which.mnemonic)) {
    forget_results(which, a);
    forget_results(which, b);
  }
  std::uint64_t words_a[27], words_b[27];
  static_assert(sizeof a == sizeof words_a);
  std::memcpy(words_a, &a, sizeof a);
  std::memcpy(words_b, &b, sizeof b);
  for (int i = 0; i < 27; i++) {
    if (words_a[i] == words_b[i]) continue;
    char line[96];
    std::snprintf(line, sizeof line, "%s: native %#lx, by plan %#lx", register_names[i],
                  static_cast<unsigned long>(words_a[i]), static_cast<unsigned long>(words_b[i]));
    found.push_back(line);
  }
  compare_bytes("xstate", without_component_bits(native.xstate),
                without_component_bits(by_plan.xstate), found);
  compare_bytes("memory", native.data, by_plan.data, found);
  const auto &x = native.siginfo, &y = by_plan.siginfo;
  if (x.si_signo != y.si_signo || x.si_code != y.si_code || x.si_addr != y.si_addr) {
    char line[160];
    std::snprintf(line, sizeof line,
                  "signal: native %d code %d addr %p, by plan %d code %d addr %p", x.si_signo,
                  x.si_code, x.si_addr, y.si_signo, y.si_code, y.si_addr);
    found.push_back(line);
  }
  return found;
}

}  // namespace differential
