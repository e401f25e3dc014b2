// The inferior's memory. The engine shows the program's own bytes, whatever breakpoints are in.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/engine/engine_memory.h"
#include "stub/inspect/crc_search.h"
#include "stub/kernel/proc_fs.h"
#include "stub/session/session.h"

namespace stub {
namespace {

Error unreadable() { return {Errc::bad_address, 0, "Memory cannot be read"}; }

}  // namespace

// Up to the end of what is readable: a short reply tells the client where that is. More than a
// reply can hold is never read.
Reply Session::on(const rsp::ReadMemory& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(std::min<std::uint64_t>(request.length, packet_size / 2)));
  bytes.resize(engine_.read_memory(*pid, Address(request.address), bytes));
  if (bytes.empty() && request.length != 0) return error_reply(unreadable());
  // Stacks and data are mostly zeros, and gdb takes time for each character of a reply.
  return rsp::run_length_encoded(rsp::to_hex(bytes));
}

// GDB's form begins with `b`. LLDB's is the bare bytes, and `x0,0` is how it asks whether there is
// the packet at all.
Reply Session::on(const rsp::ReadMemoryBinary& request) {
  if (connection_.lldb() && request.length == 0) return std::string(rsp::ok_reply);
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(std::min<std::uint64_t>(request.length, packet_size)));
  bytes.resize(engine_.read_memory(*pid, Address(request.address), bytes));
  if (bytes.empty() && request.length != 0) return error_reply(unreadable());
  std::string reply = connection_.lldb() ? "" : "b";
  rsp::append_escaped(reply, bytes, packet_size - 1);
  return reply;
}

Reply Session::on(const rsp::WriteMemory& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  const std::size_t written = engine_.write_memory(*pid, Address(request.address), request.data);
  if (written != request.data.size())
    return error_reply({Errc::bad_address, 0, "Memory cannot be written"});
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::AllocateMemory& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  const int protection = (request.readable ? PROT_READ : 0) | (request.writable ? PROT_WRITE : 0) |
                         (request.executable ? PROT_EXEC : 0);
  const auto start = engine_.allocate_memory(*pid, request.size, protection);
  return start ? rsp::hex_number(start->value()) : error_reply(start.error());
}

Reply Session::on(const rsp::FreeMemory& request) {
  const auto pid = current_process();
  if (!pid) return error_reply(pid.error());
  return reply_to(engine_.free_memory(*pid, Address(request.address)));
}

Reply Session::on(const rsp::SearchMemory& request) { return work_on(search(request)); }

Work<Reply> Session::search(rsp::SearchMemory request) {
  const auto pid = current_process();
  if (!pid) co_return error_reply(pid.error());
  EngineMemory memory(engine_, *pid);
  const auto found = co_await search_memory(memory, Address(request.address), request.length,
                                            std::move(request.pattern));
  if (!found) co_return error_reply(found.error());
  co_return *found ? fmt::format("1,{:x}", (*found)->value()) : "0";
}

Reply Session::on(const rsp::ChecksumMemory& request) { return work_on(checksum(request)); }

Work<Reply> Session::checksum(rsp::ChecksumMemory request) {
  const auto pid = current_process();
  if (!pid) co_return error_reply(pid.error());
  EngineMemory memory(engine_, *pid);
  const auto crc = co_await memory_crc32(memory, Address(request.address), request.length);
  if (!crc) co_return error_reply(crc.error());
  co_return fmt::format("C{:x}", *crc);
}

Reply Session::on(const rsp::QueryMemoryRegion& request) {
  if (!request.address) return std::string(rsp::ok_reply);
  return work_on(memory_region(Address(*request.address)));
}

// The first mapping that ends behind the address tells all; there may be a hundred thousand before
// it.
Work<Reply> Session::memory_region(Address address) {
  const auto pid = current_process();
  if (!pid) co_return error_reply(pid.error());
  proc_fs::LineReader lines(proc_fs::memory_file(*pid, "maps"));
  std::vector<Mapping> found;
  bool any = false;
  while (found.empty() && lines.read_on()) {
    any = true;
    while (const auto line = lines.next()) {
      auto mapping = proc_fs::parse_mapping(*line);
      if (!mapping || mapping->end <= address) continue;
      found.push_back(std::move(*mapping));
      break;
    }
    co_await Pause{};
  }
  if (!any) co_return error_reply({Errc::thread_gone, ESRCH, "The process has no memory"});
  co_return memory_region_text(found, address);
}

}  // namespace stub
