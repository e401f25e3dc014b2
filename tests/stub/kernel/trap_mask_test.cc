#include "stub/kernel/trap_mask.h"

#include "tests/catch.h"
#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t everything = ~(bit(SIGKILL) | bit(SIGSTOP));
constexpr std::uint64_t by_libc = everything & ~(bit(32) | bit(33));  // pthread_sigmask(sigfillset)
constexpr std::uint64_t usr1 = bit(SIGUSR1), trap = sigtrap_bit;

TEST_CASE("trap mask: what it was before a trap") {
  const struct {
    std::optional<std::uint64_t> known;
    std::uint64_t now;
    std::optional<std::uint64_t> before;
  } rows[] = {
      {std::nullopt, 0, std::nullopt},
      {0, 0, std::nullopt},
      {usr1 | trap, usr1, usr1 | trap},       // as seen before
      {usr1 | trap, 0, std::nullopt},         // the program has changed it since
      {usr1 | trap, usr1 | 1, std::nullopt},  //
      {usr1, usr1, std::nullopt},             // was not blocked
      {std::nullopt, everything & ~trap, everything},
      {std::nullopt, by_libc & ~trap, by_libc},
      {0, by_libc & ~trap, by_libc},
      {std::nullopt, by_libc & ~trap & ~usr1, std::nullopt},  // another is left out as well
      {everything, by_libc & ~trap, by_libc},                 // seen in pthread_create
      {std::nullopt, everything, std::nullopt},               // blocked: no trap has come since
  };
  for (const auto& row : rows) {
    INFO(std::hex << row.known.value_or(0) << " " << row.now);
    CHECK(mask_before_trap(row.now, row.known) == row.before);
  }
}

// What the kernel shows of an int3 while a SIGTRAP of the program's own is pending, blocked.
void execute_int3_unseen(World& w, Address site) {
  w.at(1).regs.rip = site.value() + 1;
  w.at(1).mask &= ~trap;
  w.tracee.signal(w.leader, SIGTRAP, SI_TKILL);
}

TEST_CASE("trap mask: a hit that hides behind a pending SIGTRAP") {
  World w;
  w.insert(boost_site);
  w.run();
  w.at(1).mask = usr1;
  execute_int3_unseen(w, boost_site);
  CHECK(w.report() == "1 breakpoint");
  CHECK(w.pc(1) == boost_site.value());
  CHECK(w.at(1).mask == (usr1 | trap));
  w.run();
  CHECK(in_area(w.kernel_pc(1)));
  CHECK(w.tracee.last("resume", w.leader)->signal == SIGTRAP);  // blocked: pending again
  SECTION("and again, known now") {
    execute_int3_unseen(w, boost_site);
    CHECK(w.report() == "1 breakpoint");
  }
  SECTION("until the program takes it") {
    w.at(1).mask = 0;
    w.place(w.leader, plain_code);
    w.tracee.signal(w.leader, SIGTRAP, SI_TKILL);
    CHECK(w.report() == "1 signal 5");
  }
}

TEST_CASE("trap mask: a SIGTRAP sent to a thread right behind a site of one byte") {
  World w;
  w.insert(push_site);
  w.run();
  w.tracee.execute_int3(w.leader, push_site);
  CHECK(w.report() == "1 breakpoint");
  w.run();
  REQUIRE(w.kernel_pc(1) == push_site.value() + 1);
  w.tracee.signal(w.leader, SIGTRAP, SI_TKILL);
  CHECK(w.report() == "1 signal 5");
  CHECK(w.pc(1) == push_site.value() + 1);
}

TEST_CASE("trap mask: a thread seen with SIGTRAP blocked keeps it so") {
  World w;
  w.insert(boost_site);
  w.run();
  w.at(1).mask = usr1 | trap;
  w.tracee.signal(w.leader, SIGALRM);
  CHECK(w.report() == "1 signal 14");
  w.run();
  for (int i = 0; i < 3; ++i) {
    w.at(1).mask = usr1;
    w.tracee.execute_int3(w.leader, boost_site);
    CHECK(w.report() == "1 breakpoint");
    CHECK(w.at(1).mask == (usr1 | trap));
    w.run();
  }
}

}  // namespace
}  // namespace stub
