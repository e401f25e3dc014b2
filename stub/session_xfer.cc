// qXfer: documents about the target, read in pieces. A document is made when its first piece is
// asked for and kept until another one is, so that the pieces fit together.
#include <cstring>

#include <fmt/format.h>
#include <array>
#include <bit>

#include "protocol/cursor.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/os_data.h"
#include "stub/program_image.h"
#include "stub/session.h"
#include "stub/siginfo_i386.h"

namespace stub {
namespace {

// siginfo as the program would find it on its own stack.
using SiginfoImage = std::array<std::byte, i386_siginfo_size>;
static_assert(sizeof(siginfo_t) == i386_siginfo_size);

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
  if (request.offset == 0 || key != connection_.document_key || request.object == "siginfo") {
    auto made = document(request);
    if (!made) return error_reply(made.error());
    connection_.document = std::move(*made);
    connection_.document_key = key;
  }
  return rsp::transfer_chunk(connection_.document, request.offset, request.length, packet_size);
}

Result<std::string> Session::document(const rsp::TransferRead& request) {
  const std::string& object = request.object;
  if (object == "osdata") return os_data(request.annex);
  const auto pid = current_process();
  if (object == "features") {
    // Without a process no architecture is known: a guess would overrule the user's `set
    // architecture`.
    if (!pid) return tl::unexpected(pid.error());
    const auto& set = registers_of(*pid);
    if (request.annex != "target.xml") return bad_annex();
    return connection_.lldb ? set.lldb_target_xml() : set.target_xml();
  }
  if (object == "exec-file") {
    if (request.annex.empty() && !pid) return tl::unexpected(pid.error());
    pid_t named = pid ? raw(*pid) : 0;
    rsp::Cursor in(request.annex);
    if (!in.at_end() && (!in.hex(named) || !in.at_end())) return bad_annex();
    return proc_fs::executable(Pid{named});
  }
  const bool known =
      object == "auxv" || object == "threads" || object == "siginfo" || object == "libraries-svr4";
  if (!known) return fail(Errc::unsupported);
  if (object == "threads") return request.annex.empty() ? threads_list() : bad_annex();
  if (!pid) return tl::unexpected(pid.error());
  if (object == "libraries-svr4") return libraries(request.annex);
  if (!request.annex.empty()) return bad_annex();
  if (object == "auxv")
    return proc_fs::auxv(*pid).map([](const auto& auxv) { return as_text(auxv); });
  return thread_for({})
      .and_then([&](Tid tid) { return engine_.siginfo(tid); })
      .map([&](const siginfo_t& info) { return as_text(image_of(info, engine_.mode(*pid))); });
}

// A running thread's handle is the one it had at its last stop.
std::vector<std::byte> Session::handle_of(Pid pid, Tid tid) {
  const auto file = engine_.read_registers(tid, {});
  if (!file) return std::move(thread_handles_[tid]);
  EngineMemory memory(engine_, pid);
  return thread_handle(file->general, memory);
}

Result<std::string> Session::threads_list() {
  std::map<Tid, std::vector<std::byte>> handles;
  std::vector<ThreadEntry> entries;
  for (const Pid pid : engine_.processes()) {
    for (const Tid tid : engine_.threads(pid)) {
      ThreadEntry entry{.id = id_of(pid, tid), .core = {}, .name = {}};
      if (auto stat = proc_fs::stat(pid, tid)) {
        entry.core = stat->processor;
        entry.name = std::move(stat->comm);
      }
      entry.handle = handles[tid] = handle_of(pid, tid);
      entries.push_back(std::move(entry));
    }
  }
  thread_handles_ = std::move(handles);
  return threads_document(entries);
}

Result<std::string> Session::libraries(std::string_view annex) {
  const auto where = parse_libraries_annex(annex);
  if (!where) return tl::unexpected(where.error());
  const Pid pid = *current_process();
  EngineMemory memory(engine_, pid);
  const auto facts = program_facts(pid);
  if (!facts) return tl::unexpected(facts.error());
  const auto main = connection_.lldb ? MainLinkMap::left_out : MainLinkMap::named;
  return libraries_svr4(facts->image(memory), *where, main);
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
  auto info = engine_.siginfo(*tid);
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
