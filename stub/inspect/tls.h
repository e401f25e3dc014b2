// Thread-local variables: from an object and an offset (DWARF's DW_OP_form_tls_address) to the
// address that a given thread uses. qGetTLSAddr.
//
// Three sources, each where it is the surest:
//  - The main program's block lies at a distance from the thread pointer that the linker has put
//    into the program's own instructions (x86 psABI, TLS variant II, local exec): its size rounded
//    up to its alignment. That needs no library, no symbols, and holds for every C library, static
//    or not.
//  - Other objects of a 64-bit glibc program: libthread_db (thread_db.h).
//  - Where that does not work (musl, i386 programs, a libc of another version, no libthread_db):
//    the link map of both libcs holds the object's TLS segment (image, sizes, alignment), which its
//    program headers tell as well. Found there, it is followed in both libcs by the static offset
//    and the module number; that order of fields has not changed since either libc has had TLS.
#pragma once

#include <cstdint>
#include <string>

#include "stub/base/types.h"
#include "stub/inspect/thread_db.h"

namespace stub {

struct TlsOptions {
  // `monitor set libthread-db-search-path`. Where the user names directories of their own, a
  // library that is not there is an error: nothing else is tried in its place.
  std::string library_path = "$sdir:$pdir";
};

// `link_map` as the client has it from qXfer:libraries-svr4; 0 is the main program (clients know no
// link map of a static one). Errors: refused (no thread pointer yet, no TLS in that object, not
// allocated in this thread, no libthread_db where the user said), bad_address (not a link map).
Result<Address> tls_address(const TlsThread& thread, std::uint64_t offset, Address link_map,
                            const TlsOptions& options = {});

}  // namespace stub
