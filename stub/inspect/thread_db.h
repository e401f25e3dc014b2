// libthread_db: the C library's own knowledge of where its threads keep things, as a library for
// debuggers.
//
// glibc's libthread_db reads the program through callbacks (ps_*, <proc_service.h>) and follows its
// data structures by descriptors the program's libc carries with it. It must be of the same version
// as that libc, so it is loaded at run time, for one question at a time: no state to keep in step
// with a program that runs, forks and calls exec. The callbacks are found by the library in our own
// dynamic symbol table (link option --export-dynamic-symbol=ps_*).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "arch/registers.h"
#include "stub/base/types.h"
#include "stub/inspect/libraries_svr4.h"

namespace stub {

// A stopped thread, as far as its thread-local storage is concerned.
struct TlsThread {
  ProgramImage program;
  Pid pid{};
  Tid tid{};
  x86::GeneralRegisters registers;
};

class ThreadDb {
 public:
  // Loads libthread_db.so.1. `search_path` is a list of directories separated by colons, $sdir
  // being the system's. $pdir, the program's own, is passed over: what is in it need not run here.
  // Error: refused, when none of them has one that can be loaded.
  static Result<ThreadDb> load(std::string_view search_path);

  // Where `offset` of the TLS block of the object of `link_map` lies for that thread. Errors:
  // refused (the block is not allocated in this thread), unsupported (the library cannot tell:
  // another libc or version, a thread that libc does not know).
  Result<Address> tls_address(const TlsThread& thread, std::uint64_t offset,
                              Address link_map) const;

 private:
  struct Close {
    void operator()(void* library) const;
  };
  using Library = std::unique_ptr<void, Close>;
  explicit ThreadDb(Library library) : library_(std::move(library)) {}

  Library library_;
};

}  // namespace stub
