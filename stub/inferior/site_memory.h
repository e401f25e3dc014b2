// Whether a breakpoint byte that was put into a program is still there.
//
// Text comes and goes: a library is unloaded and another one loaded in its place, a program maps
// other pages over its text. The int3 goes with the page that it was written to, and nobody is
// told. Afterwards the byte may be anything, also an int3 that belongs to the new text, by its
// value the same as ours. The page tells them apart. A write into a private mapping of a file makes
// a copy of the page for this process alone (mm/memory.c, do_wp_page), and a page of a new mapping
// is no such copy until it is written to. So for a page that was a copy once our int3 was in it, it
// is enough to see that it is not one now. For others (shared memory, a kernel that does not tell)
// the byte has to do.
//
// Alternatives: the byte and its neighbours prove little for an instruction of one byte; a look at
// /proc/PID/maps does not tell a library from the same library loaded again, and costs fifty times
// as much; watching every munmap of the program costs it a stop for each system call.
#pragma once

#include <cstdint>

#include "stub/base/types.h"
#include "stub/kernel/tracee.h"

namespace stub {

inline constexpr std::uint8_t int3_opcode = 0xcc;

enum class Int3 : std::uint8_t { ours, not_ours, unmapped };

// `own_page`: the page was a copy of the process's own when our int3 was in it; an answer that it
// is one still can be given as false, and saves the look.
bool is_page_replaced(Tracee& tracee, Pid pid, Address at, bool own_page);
Int3 int3_at(Tracee& tracee, Pid pid, Address at, bool own_page);
// Writes the program's byte back if our int3 is there. Returns what was there.
Int3 restore_byte(Tracee& tracee, Pid pid, Address at, std::uint8_t shadow, bool own_page);

}  // namespace stub
