#include "stub/session/fault_text.h"

#include "tests/catch.h"

namespace stub {
namespace {

siginfo_t info_of(int signal, int code, std::uintptr_t address) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_addr = reinterpret_cast<void*>(address);
  return info;
}

TEST_CASE("fault text: what the kernel says of a fault") {
  struct Row {
    int signal, code;
    std::uintptr_t address;
    const char* text;
  };
  const Row rows[] = {
      {SIGSEGV, SEGV_MAPERR, 0x1234,
       "signal SIGSEGV: address not mapped to object (fault address: 0x1234)"},
      {SIGSEGV, SEGV_MAPERR, 0,
       "signal SIGSEGV: address not mapped to object (fault address: 0x0)"},
      {SIGSEGV, SEGV_ACCERR, 0x401000,
       "signal SIGSEGV: invalid permissions for mapped object (fault address: 0x401000)"},
      {SIGSEGV, 4, 0x7000,
       "signal SIGSEGV: access denied by memory protection key (fault address: 0x7000)"},
      {SIGSEGV, SI_KERNEL, 0,
       "signal SIGSEGV: general protection fault, such as an address that is not canonical"},
      {SIGBUS, BUS_ADRERR, 0x5000,
       "signal SIGBUS: nonexistent physical address (fault address: 0x5000)"},
      {SIGILL, ILL_ILLOPN, 0x401000, "signal SIGILL: illegal operand"},
      {SIGFPE, FPE_INTDIV, 0x401000, "signal SIGFPE: integer divide by zero"},
      // Sent by somebody: the bytes of si_addr are the sender's pid then.
      {SIGSEGV, SI_USER, 0x1234, ""},
      {SIGSEGV, SI_TKILL, 0x1234, ""},
      {SIGFPE, SI_QUEUE, 0x1234, ""},
      {SIGFPE, 99, 0, ""},
      {SIGUSR1, SI_USER, 0, ""},
      {SIGTRAP, 1, 0x401000, ""},
      {SIGCHLD, CLD_EXITED, 0, ""},
  };
  for (const Row& row : rows) {
    INFO(row.signal << " " << row.code);
    CHECK(fault_text(info_of(row.signal, row.code, row.address)) == row.text);
  }
}

}  // namespace
}  // namespace stub
