// qXfer: documents about the target, read in pieces. A document is made when its first piece is
// asked for and kept until another one is, so that the pieces fit together.
#include <cstring>

#include <fmt/format.h>
#include <array>
#include <bit>
#include <map>
#include <utility>
#include <vector>

#include "protocol/cursor.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/engine/engine_memory.h"
#include "stub/inferior/told_siginfo.h"
#include "stub/inspect/os_data.h"
#include "stub/inspect/program_image.h"
#include "stub/inspect/siginfo_i386.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// siginfo as the program would find it on its own stack.
using SiginfoImage = std::array<std::byte, i386_siginfo_size>;
static_assert(sizeof(siginfo_t) == i386_siginfo_size);

// LLDB is told another signal of some stops than the engine has for them.
Result<siginfo_t> siginfo_as_told(Engine& engine, Dialect dialect, Tid tid) {
  auto info = engine.siginfo(tid);
  const Thread* thread = engine.find(tid);
  if (!info || thread == nullptr || thread->client_siginfo || !thread->last_stop) return info;
  Stop told = *thread->last_stop;
  told.signal = told_signal(dialect, told);
  return told_siginfo(*info, told);
}

SiginfoImage image_of(const siginfo_t& info, x86::Mode mode) {
  return mode == x86::Mode::i386 ? to_i386(info) : std::bit_cast<SiginfoImage>(info);
}

siginfo_t siginfo_of(const SiginfoImage& image, x86::Mode mode) {
  return mode == x86::Mode::i386 ? from_i386(image) : std::bit_cast<siginfo_t>(image);
}

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// pthread_t as the program has it in memory. In glibc and musl it is the thread pointer, and the
// word there is the thread pointer again (x86 psABI, TLS): where it is not, no libc thread is known
// yet.
std::vector<std::byte> thread_handle(const x86::GeneralRegisters& regs, MemoryReader& memory) {
  const bool wide = regs.mode() == x86::Mode::amd64;
  const std::uint64_t pointer = wide ? regs.fs_base : regs.gs_base;
  std::vector<std::byte> handle(wide ? 8 : 4), self(handle.size());
  std::memcpy(handle.data(), &pointer, handle.size());
  if (pointer == 0 || memory.read(Address(pointer), self) != self.size() || self != handle)
    return {};
  return handle;
}

tl::unexpected<Error> bad_annex() { return fail(Errc::refused, "No such annex"); }

}  // namespace

// The pieces of a document are of one make. siginfo is read by its fields, of one stop after the
// other, and is made for each.
Reply Session::on(const rsp::TransferRead& request) {
  const std::string key = request.object + ":" + request.annex;
  if (request.offset == 0 || key != connection_.document_key || request.object == "siginfo")
    return work_on(make_document(request, key));
  return rsp::transfer_chunk(connection_.document, request.offset, request.length, packet_size);
}

Work<Reply> Session::make_document(rsp::TransferRead request, std::string key) {
  Result<std::string> made = co_await document(request);
  if (!made) co_return error_reply(made.error());
  connection_.document = std::move(*made);
  connection_.document_key = std::move(key);
  co_return rsp::transfer_chunk(connection_.document, request.offset, request.length, packet_size);
}

Work<Result<std::string>> Session::document(rsp::TransferRead request) {
  if (request.object == "osdata") co_return co_await os_data(request.annex);
  if (request.object == "threads" && request.annex.empty()) co_return co_await threads_list();
  if (request.object == "libraries-svr4") co_return co_await libraries(request.annex);
  co_return small_document(request);
}

Result<std::string> Session::small_document(const rsp::TransferRead& request) {
  const std::string& object = request.object;
  const auto pid = current_process();
  if (object == "features") {
    // Without a process no architecture is known: a guess would overrule the user's `set
    // architecture`.
    if (!pid) return tl::unexpected(pid.error());
    const auto& set = registers_of(*pid);
    if (request.annex != "target.xml") return bad_annex();
    return connection_.lldb() ? set.lldb_target_xml() : set.target_xml();
  }
  if (object == "exec-file") {
    if (request.annex.empty() && !pid) return tl::unexpected(pid.error());
    pid_t named = pid ? raw(*pid) : 0;
    rsp::Cursor in(request.annex);
    if (!in.at_end() && (!in.hex(named) || !in.at_end())) return bad_annex();
    return proc_fs::executable_to_open(Pid{named});
  }
  if (object == "threads") return bad_annex();
  if (object != "auxv" && object != "siginfo") return fail(Errc::unsupported);
  if (!pid) return tl::unexpected(pid.error());
  if (!request.annex.empty()) return bad_annex();
  if (object == "auxv")
    return proc_fs::auxv(*pid).map([](const auto& auxv) { return as_text(auxv); });
  return thread_for({})
      .and_then([&](Tid tid) { return siginfo_as_told(engine_, connection_.dialect, tid); })
      .map([&](const siginfo_t& info) { return as_text(image_of(info, engine_.mode(*pid))); });
}

// A running thread's handle is the one it had at its last stop.
std::vector<std::byte> Session::handle_of(Pid pid, Tid tid) {
  const auto file = engine_.read_registers(tid, {});
  if (!file) {
    const auto known = thread_handles_.find(tid);
    return known != thread_handles_.end() ? known->second : std::vector<std::byte>();
  }
  EngineMemory memory(engine_, pid);
  return thread_handle(file->general, memory);
}

ThreadEntry Session::thread_entry(Pid pid, Tid tid) {
  ThreadEntry entry{.id = id_of(pid, tid), .core = {}, .name = {}, .handle = {}};
  if (auto stat = proc_fs::stat(pid, tid)) {
    entry.core = stat->processor;
    entry.name = std::move(stat->comm);
  }
  entry.handle = handle_of(pid, tid);
  return entry;
}

// All threads that there are when the list is sent, and no other: gdb takes one that is missing for
// one that has exited. So those that were created meanwhile are added at the end.
Work<std::string> Session::threads_list() {
  std::vector<std::pair<Pid, Tid>> present;
  const auto look = [&] {
    present.clear();
    for (const Pid pid : engine_.processes())
      for (const Tid tid : engine_.threads(pid)) present.emplace_back(pid, tid);
  };
  std::map<Tid, ThreadEntry> known;
  look();
  for (const auto& [pid, tid] : present) {
    known.emplace(tid, thread_entry(pid, tid));
    co_await Pause{};
  }
  look();
  std::vector<ThreadEntry> entries;
  std::map<Tid, std::vector<std::byte>> handles;
  for (const auto& [pid, tid] : present) {
    const auto entry = known.find(tid);
    entries.push_back(entry != known.end() ? std::move(entry->second) : thread_entry(pid, tid));
    handles[tid] = entries.back().handle;
  }
  thread_handles_ = std::move(handles);
  co_return threads_document(entries);
}

Work<Result<std::string>> Session::libraries(std::string annex) {
  const auto pid = current_process();
  if (!pid) co_return tl::unexpected(pid.error());
  const auto where = parse_libraries_annex(annex);
  if (!where) co_return tl::unexpected(where.error());
  EngineMemory memory(engine_, *pid);
  const auto facts = program_facts(*pid);
  if (!facts) co_return tl::unexpected(facts.error());
  const auto main = connection_.lldb() ? MainLinkMap::left_out : MainLinkMap::named;
  const ProgramImage image = facts->image(memory);
  co_return co_await libraries_svr4(image, *where, main);
}

Reply Session::on(const rsp::QueryShlibInfoAddress&) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  EngineMemory memory(engine_, *pid);
  const auto facts = program_facts(*pid);
  if (!facts) return error_reply(facts.error());
  const auto address = shlib_info_address(facts->image(memory));
  return address ? rsp::hex_number(address->value()) : error_reply(address.error());
}

// Only siginfo can be written, in pieces at any offset. The reply is the number of bytes taken.
Reply Session::on(const rsp::TransferWrite& request) {
  if (request.object != "siginfo") return "";
  if (!request.annex.empty()) return error_reply(bad_annex().value());
  const auto tid = thread_for({});
  if (!tid) return error_reply(tid.error());
  auto info = siginfo_as_told(engine_, connection_.dialect, *tid);
  if (!info) return error_reply(info.error());
  const auto mode = engine_.mode(*engine_.process_of(*tid));
  SiginfoImage image = image_of(*info, mode);
  if (request.offset > image.size() || request.data.size() > image.size() - request.offset)
    return error_reply({Errc::refused, 0, "Beyond the end of siginfo"});
  std::memcpy(image.data() + request.offset, request.data.data(), request.data.size());
  if (const auto written = engine_.set_siginfo(*tid, siginfo_of(image, mode)); !written)
    return error_reply(written.error());
  return fmt::format("{:x}", request.data.size());
}

}  // namespace stub
