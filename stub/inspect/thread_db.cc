#include "stub/inspect/thread_db.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <proc_service.h>
#include <sys/reg.h>
#include <thread_db.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "stub/inspect/elf_symbols.h"
#include "stub/inspect/page_reader.h"

// What libthread_db hands back to our callbacks.
struct ps_prochandle {
  const stub::TlsThread& thread;
};

// The callbacks, in <proc_service.h>'s words. None of them may write: nothing asked here needs it.
// Marked as used and visible, because only libthread_db refers to them.
#define CALLBACK extern "C" __attribute__((visibility("default"), used))

CALLBACK ps_err_e ps_pglobal_lookup(ps_prochandle* process, const char*, const char* name,
                                    psaddr_t* address) {
  const auto found = stub::find_dynamic_symbol(process->thread.program, name);
  if (!found) return PS_NOSYM;
  *address = reinterpret_cast<psaddr_t>(found->value());
  return PS_OK;
}

CALLBACK ps_err_e ps_pdread(ps_prochandle* process, psaddr_t from, void* to, size_t size) {
  const std::span bytes(static_cast<std::byte*>(to), size);
  const stub::Address address(reinterpret_cast<std::uintptr_t>(from));
  return process->thread.program.memory.read(address, bytes) == size ? PS_OK : PS_BADADDR;
}

CALLBACK ps_err_e ps_pdwrite(ps_prochandle*, psaddr_t, const void*, size_t) { return PS_ERR; }

CALLBACK ps_err_e ps_lgetregs(ps_prochandle* process, lwpid_t tid, prgregset_t to) {
  static_assert(sizeof(prgregset_t) == sizeof(x86::GeneralRegisters));
  if (tid != stub::raw(process->thread.tid)) return PS_BADLID;
  std::memcpy(to, &process->thread.registers, sizeof(prgregset_t));
  return PS_OK;
}

// `segment` is the index of the selector among the registers; only FS carries a thread pointer.
CALLBACK ps_err_e ps_get_thread_area(ps_prochandle* process, lwpid_t tid, int segment,
                                     psaddr_t* base) {
  if (tid != stub::raw(process->thread.tid)) return PS_BADLID;
  if (segment != FS) return PS_ERR;
  *base = reinterpret_cast<psaddr_t>(process->thread.registers.fs_base);
  return PS_OK;
}

CALLBACK ps_err_e ps_lsetregs(ps_prochandle*, lwpid_t, const prgregset_t) { return PS_ERR; }
CALLBACK ps_err_e ps_lgetfpregs(ps_prochandle*, lwpid_t, prfpregset_t*) { return PS_ERR; }
CALLBACK ps_err_e ps_lsetfpregs(ps_prochandle*, lwpid_t, const prfpregset_t*) { return PS_ERR; }
CALLBACK pid_t ps_getpid(ps_prochandle* process) { return stub::raw(process->thread.pid); }

#undef CALLBACK

namespace stub {
namespace {

constexpr const char* library_name = "libthread_db.so.1";
constexpr std::string_view system_directories = "$sdir", program_directory = "$pdir";

// A function of the library; its type comes from <thread_db.h>.
#define LIBRARY_FUNCTION(library, name) reinterpret_cast<decltype(&name)>(dlsym(library, #name))

tl::unexpected<Error> to_error(const char* what, td_err_e error) {
  if (error == TD_TLSDEFER) {
    return fail(Errc::refused, "The thread-local storage is not allocated in this thread yet");
  }
  return fail(Errc::unsupported,
              fmt::format("libthread_db: {} fails ({})", what, static_cast<int>(error)));
}

}  // namespace

void ThreadDb::Close::operator()(void* library) const { dlclose(library); }

Result<ThreadDb> ThreadDb::load(std::string_view search_path) {
  // A library loaded by a static program would bring a second C library with it.
  if constexpr (SIDESTEP_STATIC) {
    return fail(Errc::unsupported, "libthread_db cannot be loaded: linked statically");
  }
  std::string reason = "the search path is empty";
  while (!search_path.empty()) {
    const std::string directory(search_path.substr(0, search_path.find(':')));
    search_path.remove_prefix(std::min(directory.size() + 1, search_path.size()));
    if (directory == program_directory) continue;
    const std::string name =
        directory == system_directories ? library_name : directory + "/" + library_name;
    Library library(dlopen(name.c_str(), RTLD_NOW));
    if (library) {
      const auto init = LIBRARY_FUNCTION(library.get(), td_init);
      if (init != nullptr && init() == TD_OK) return ThreadDb(std::move(library));
      reason = name + " does not initialize";
    } else {
      reason = dlerror();
    }
  }
  return fail(Errc::refused, fmt::format("Cannot load libthread_db: {}", reason));
}

Result<Address> ThreadDb::tls_address(const TlsThread& thread, std::uint64_t offset,
                                      Address link_map) const {
  const auto agent_new = LIBRARY_FUNCTION(library_.get(), td_ta_new);
  const auto agent_delete = LIBRARY_FUNCTION(library_.get(), td_ta_delete);
  const auto map_lwp = LIBRARY_FUNCTION(library_.get(), td_ta_map_lwp2thr);
  const auto get_address = LIBRARY_FUNCTION(library_.get(), td_thr_tls_get_addr);
  if (!agent_new || !agent_delete || !map_lwp || !get_address) {
    return fail(Errc::refused, "libthread_db lacks a function");
  }
  PageReader memory(thread.program.memory);
  const TlsThread paged{{memory, thread.program.auxv, thread.program.word_size},
                        thread.pid,
                        thread.tid,
                        thread.registers};
  ps_prochandle process{paged};
  td_thragent_t* agent = nullptr;
  if (const td_err_e error = agent_new(&process, &agent); error != TD_OK) {
    return to_error("td_ta_new", error);
  }
  const std::unique_ptr<td_thragent_t, decltype(agent_delete)> owner(agent, agent_delete);
  td_thrhandle_t handle;
  if (const td_err_e error = map_lwp(agent, raw(thread.tid), &handle); error != TD_OK) {
    return to_error("td_ta_map_lwp2thr", error);
  }
  psaddr_t address = nullptr;
  const td_err_e error =
      get_address(&handle, reinterpret_cast<psaddr_t>(link_map.value()), offset, &address);
  if (error != TD_OK) return to_error("td_thr_tls_get_addr", error);
  return Address(reinterpret_cast<std::uintptr_t>(address));
}

#undef LIBRARY_FUNCTION

}  // namespace stub
