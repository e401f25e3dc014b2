// The test program itself as a program to look at: its memory, auxiliary vector and link map.
#pragma once

#include <asm/prctl.h>
#include <link.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <vector>

#include "stub/inspect/thread_db.h"
#include "stub/kernel/proc_fs.h"

struct SelfProgram : stub::MemoryReader {
  std::vector<std::byte> auxv = stub::proc_fs::auxv(stub::Pid{getpid()}).value();

  std::size_t read(stub::Address from, std::span<std::byte> to) override {
    const iovec local{to.data(), to.size()};
    const iovec remote{reinterpret_cast<void*>(from.value()), to.size()};
    const ssize_t size = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    return size < 0 ? 0 : static_cast<std::size_t>(size);
  }
  stub::ProgramImage image() { return {*this, auxv, sizeof(void*)}; }

  // The calling thread, as far as its thread-local storage is concerned.
  stub::TlsThread this_thread() {
    stub::TlsThread thread{image(), stub::Pid{getpid()}, stub::Tid{gettid()}, {}};
    syscall(SYS_arch_prctl, ARCH_GET_FS, &thread.registers.fs_base);
    return thread;
  }
};
