#include "stub/inspect/siginfo_i386.h"

#include <cstring>

#include "tests/catch.h"

namespace {

std::uint32_t word(std::span<const std::byte> image, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

}  // namespace

TEST_CASE("a fault's address is at 12 in the i386 layout") {
  siginfo_t info{};
  info.si_signo = SIGSEGV;
  info.si_code = SEGV_MAPERR;
  info.si_addr = reinterpret_cast<void*>(0x10);
  const auto image = stub::to_i386(info);
  CHECK(word(image, 0) == SIGSEGV);
  CHECK(word(image, 8) == SEGV_MAPERR);
  CHECK(word(image, 12) == 0x10);
  CHECK(stub::from_i386(image).si_addr == info.si_addr);
}

TEST_CASE("sender, value and child survive the way there and back") {
  siginfo_t queued{};
  queued.si_signo = SIGUSR1;
  queued.si_code = SI_QUEUE;
  queued.si_pid = 4711;
  queued.si_uid = 1000;
  queued.si_value.sival_int = 77;
  const auto image = stub::to_i386(queued);
  CHECK(word(image, 12) == 4711);
  CHECK(word(image, 16) == 1000);
  CHECK(word(image, 20) == 77);
  const auto back = stub::from_i386(image);
  CHECK(back.si_pid == 4711);
  CHECK(back.si_value.sival_int == 77);

  siginfo_t child{};
  child.si_signo = SIGCHLD;
  child.si_code = CLD_EXITED;
  child.si_pid = 12;
  child.si_status = 3;
  child.si_stime = 9;
  const auto of_child = stub::to_i386(child);
  CHECK(word(of_child, 20) == 3);
  CHECK(word(of_child, 28) == 9);
  CHECK(stub::from_i386(of_child).si_status == 3);
}

TEST_CASE("negative codes keep their sign") {
  siginfo_t info{};
  info.si_signo = SIGTERM;
  info.si_code = SI_TKILL;
  info.si_pid = 5;
  const auto back = stub::from_i386(stub::to_i386(info));
  CHECK(back.si_code == SI_TKILL);
  CHECK(back.si_pid == 5);
}
