// differential [--cases N] [--seed S] [--first K] [--seconds T]
//
// Runs N random cases, numbered from K, of seed S, natively and by plan, for at most T seconds, and
// prints what differed and how much of the instruction set was covered. A case is repeated with its
// seed and `--first K --cases 1`. Exit status 1 when anything differed.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "tests/differential/run.h"

namespace differential {
namespace {

struct Options {
  unsigned long cases = 100000, seed = 1, first = 0, seconds = 3600;
};

Options parse(int argc, char** argv) {
  Options options;
  const struct {
    const char* name;
    unsigned long* value;
  } known[] = {{"--cases", &options.cases},
               {"--seed", &options.seed},
               {"--first", &options.first},
               {"--seconds", &options.seconds}};
  for (int i = 1; i + 1 < argc; i += 2) {
    for (const auto& option : known) {
      if (std::strcmp(argv[i], option.name) == 0)
        *option.value = std::strtoul(argv[i + 1], nullptr, 0);
    }
  }
  return options;
}

struct Coverage {
  std::set<ZydisMnemonic> encodable, exercised, executed, in_place;
  unsigned long cases = 0, lanes[4] = {}, different = 0, endless = 0;
  unsigned long completed = 0;  // without a signal of their own

  void add(const Case& which, const Outcome& native, bool planned) {
    const auto lane = x86::classify(which.bytes, which.mode).lane();
    cases++;
    lanes[static_cast<int>(lane)]++;
    if (native.siginfo.si_signo == SIGTRAP) completed++;
    exercised.insert(which.mnemonic);
    if (native.siginfo.si_signo != SIGILL) executed.insert(which.mnemonic);
    if (!planned) in_place.insert(which.mnemonic);
  }

  void print() const {
    std::printf(
        "cases: %lu (emulate %lu, boost %lu, trap %lu, in place %lu), %lu without a fault\n", cases,
        lanes[0], lanes[1], lanes[2], lanes[3], completed);
    std::printf(
        "mnemonics: %zu encodable, %zu exercised, %zu known to this processor, "
        "%zu at times in place:",
        encodable.size(), exercised.size(), executed.size(), in_place.size());
    for (const auto mnemonic : in_place) std::printf(" %s", ZydisMnemonicGetString(mnemonic));
    std::printf("\ndifferences: %lu, endless natively: %lu\n", different, endless);
  }
};

void print_case(const Case& which, const Choice& choice, unsigned long number,
                const std::vector<std::string>& lines) {
  const auto plan = x86::classify(which.bytes, which.mode);
  std::printf("case %lu: %s, %s%s%s%s at %#lx:", number, ZydisMnemonicGetString(which.mnemonic),
              std::string(x86::name(plan.lane())).c_str(),
              which.mode == x86::Mode::i386 ? ", i386" : "", choice.far_slot ? ", far" : "",
              choice.prefer_slot || choice.prefer_trap ? ", by the other way" : "",
              static_cast<unsigned long>(which.site.value()));
  for (const auto b : which.bytes) std::printf(" %02x", b);
  std::printf("\n");
  for (const auto& line : lines) std::printf("    %s\n", line.c_str());
}

constexpr unsigned i386_share = 20, far_share = 35, other_way_share = 30;  // percent
constexpr unsigned long printed_differences = 40;

int run(const Options& options) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const Generator wide(x86::Mode::amd64), narrow(x86::Mode::i386);
  Inferior inferior;
  std::fill(inferior.file().begin(), inferior.file().begin() + data_offset, 0xcc);
  const auto image = inferior.xstate();
  const std::vector<std::byte> xstate(image.begin(), image.end());
  Coverage coverage;
  for (const auto* generator : {&wide, &narrow}) {
    for (const auto mnemonic : generator->mnemonics()) coverage.encodable.insert(mnemonic);
  }
  for (unsigned long number = options.first; number < options.first + options.cases; number++) {
    if (Clock::now() - begin > std::chrono::seconds(options.seconds)) break;
    Random random(options.seed * 0x1'0000'0001 + number);
    const Case which = (random.percent(i386_share) ? narrow : wide).make(random, xstate);
    const Choice choice = {.far_slot = random.percent(far_share),
                           .prefer_slot = random.percent(other_way_share),
                           .prefer_trap = random.percent(other_way_share),
                           .slot_number = random.byte()};
    const Outcome native = run_in_place(inferior, which);
    if (!native.complaint.empty()) {
      coverage.endless++;
      continue;
    }
    const auto by_plan = run_by_plan(inferior, which, choice);
    coverage.add(which, native, by_plan.has_value());
    if (!by_plan) continue;
    const auto found = differences(which, native, *by_plan);
    if (found.empty()) continue;
    if (++coverage.different <= printed_differences) print_case(which, choice, number, found);
  }
  coverage.print();
  const auto elapsed = std::chrono::duration<double>(Clock::now() - begin);
  std::printf("%.1f s, seed %lu\n", elapsed.count(), options.seed);
  return coverage.different == 0 && coverage.cases > 0 ? 0 : 1;
}

}  // namespace
}  // namespace differential

int main(int argc, char** argv) { return differential::run(differential::parse(argc, argv)); }
