// Why the kernel sent a signal for a fault, in words: what LLDB shows as a thread's stop reason.
#pragma once

#include <csignal>
#include <string>

namespace stub {

// "signal SIGSEGV: address not mapped to object (fault address: 0x1234)", for SIGSEGV, SIGBUS,
// SIGILL and SIGFPE that the kernel sent (siginfo's si_code is positive; sigaction(2)). Empty for
// others: the client's own words for the signal are enough.
std::string fault_text(const siginfo_t& info);

}  // namespace stub
