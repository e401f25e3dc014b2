#include "stub/session/fault_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace stub {
namespace {

// Newer than some C libraries' headers (asm-generic/siginfo.h).
constexpr int protection_key = 4;       // SEGV_PKUERR
constexpr int control_protection = 10;  // SEGV_CPERR

enum class Address : std::uint8_t { known, unknown };

struct Row {
  int signal, code;
  std::string_view words;
  Address address = Address::unknown;
};

// In the words of POSIX (<signal.h>, "Signal Codes"). An address is told where it is that of data,
// or of code that could not be fetched; the others' is the PC.
constexpr Row rows[] = {
    {SIGSEGV, SEGV_MAPERR, "address not mapped to object", Address::known},
    {SIGSEGV, SEGV_ACCERR, "invalid permissions for mapped object", Address::known},
    {SIGSEGV, SEGV_BNDERR, "failed address bounds checks", Address::known},
    {SIGSEGV, protection_key, "access denied by memory protection key", Address::known},
    {SIGSEGV, control_protection, "control protection fault"},
    // #GP and the like: the processor does not say which address it was (arch/x86/kernel/traps.c).
    {SIGSEGV, SI_KERNEL, "general protection fault, such as an address that is not canonical"},
    {SIGBUS, BUS_ADRALN, "invalid address alignment", Address::known},
    {SIGBUS, BUS_ADRERR, "nonexistent physical address", Address::known},
    {SIGBUS, BUS_OBJERR, "object-specific hardware error", Address::known},
    {SIGBUS, BUS_MCEERR_AR, "hardware memory error", Address::known},
    {SIGBUS, BUS_MCEERR_AO, "hardware memory error, not used yet", Address::known},
    {SIGILL, ILL_ILLOPC, "illegal opcode"},
    {SIGILL, ILL_ILLOPN, "illegal operand"},
    {SIGILL, ILL_ILLADR, "illegal addressing mode"},
    {SIGILL, ILL_ILLTRP, "illegal trap"},
    {SIGILL, ILL_PRVOPC, "privileged opcode"},
    {SIGILL, ILL_PRVREG, "privileged register"},
    {SIGILL, ILL_COPROC, "coprocessor error"},
    {SIGILL, ILL_BADSTK, "internal stack error"},
    {SIGFPE, FPE_INTDIV, "integer divide by zero"},
    {SIGFPE, FPE_INTOVF, "integer overflow"},
    {SIGFPE, FPE_FLTDIV, "floating-point divide by zero"},
    {SIGFPE, FPE_FLTOVF, "floating-point overflow"},
    {SIGFPE, FPE_FLTUND, "floating-point underflow"},
    {SIGFPE, FPE_FLTRES, "floating-point inexact result"},
    {SIGFPE, FPE_FLTINV, "invalid floating-point operation"},
    {SIGFPE, FPE_FLTSUB, "subscript out of range"},
};

}  // namespace

std::string fault_text(const siginfo_t& info) {
  const auto* row = std::ranges::find_if(rows, [&](const Row& each) {
    return each.signal == info.si_signo && each.code == info.si_code;
  });
  if (row == std::end(rows)) return {};
  std::string text = fmt::format("signal SIG{}: {}", sigabbrev_np(row->signal), row->words);
  if (row->address == Address::known)
    text += fmt::format(" (fault address: {:#x})", reinterpret_cast<std::uintptr_t>(info.si_addr));
  return text;
}

}  // namespace stub
