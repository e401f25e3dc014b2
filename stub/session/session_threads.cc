// Which thread, and where its own variables are.
#include <fmt/format.h>

#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/engine/engine_memory.h"
#include "stub/inspect/program_image.h"
#include "stub/kernel/proc_fs.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// Ids in one reply of qfThreadInfo; LLDB and GDB take any number that fits a packet.
constexpr std::size_t ids_per_reply = packet_size / 32;

Pid to_pid(std::int64_t pid) { return Pid{static_cast<pid_t>(pid)}; }
Tid to_tid(std::int64_t tid) { return Tid{static_cast<pid_t>(tid)}; }

}  // namespace

std::string Session::id_of(Pid pid, Tid tid) const {
  return rsp::to_wire({raw(pid), raw(tid)}, connection_.multiprocess);
}

void Session::select(Pid pid, Tid tid) {
  connection_.general_process = pid;
  connection_.general_thread = tid;
}

// The process that packets without a thread are about: the selected one, else the first.
Result<Pid> Session::current_process() const {
  if (connection_.general_process && engine_.find(*connection_.general_process))
    return *connection_.general_process;
  const auto processes = engine_.processes();
  if (processes.empty()) return fail(Errc::no_process, "No process is being debugged");
  return processes.front();
}

// One thread for an id that may name many: the selected one where it is among them, else the first.
Result<Tid> Session::find_thread(const rsp::ThreadId& id) const {
  if (id.tid > 0) {
    const auto owner = engine_.process_of(to_tid(id.tid));
    if (!owner || (id.pid > 0 && *owner != to_pid(id.pid)))
      return fail(Errc::thread_gone, "No such thread", ESRCH);
    return to_tid(id.tid);
  }
  const auto current = id.pid > 0 ? Result<Pid>(to_pid(id.pid)) : current_process();
  if (!current) return tl::unexpected(current.error());
  if (connection_.general_thread && engine_.process_of(*connection_.general_thread) == *current)
    return *connection_.general_thread;
  const auto tids = engine_.threads(*current);
  if (tids.empty()) return fail(Errc::no_process, "No such process", ESRCH);
  return tids.front();
}

// The thread of a register packet: LLDB's suffix, or the one chosen by Hg, which must be alive.
Result<Tid> Session::thread_for(const std::optional<rsp::ThreadId>& suffix) const {
  if (suffix) return find_thread(*suffix);
  if (!connection_.general_thread) return find_thread(rsp::any_thread);
  if (!engine_.find(*connection_.general_thread))
    return fail(Errc::thread_gone, "The selected thread has exited", ESRCH);
  return *connection_.general_thread;
}

Reply Session::on(const rsp::SelectThread& request) {
  const auto tid = find_thread(request.thread);
  if (!tid) return error_reply(tid.error());
  if (request.what == rsp::SelectFor::general)
    select(*engine_.process_of(*tid), *tid);
  else if (request.thread.tid > 0)
    connection_.resume_thread = *tid;
  else
    connection_.resume_thread.reset();
  return std::string(rsp::ok_reply);
}

Reply Session::on(const rsp::IsThreadAlive& request) {
  if (request.thread.tid <= 0) return error_reply({Errc::malformed, 0, ""});
  const auto tid = find_thread(request.thread);
  return tid ? std::string(rsp::ok_reply) : error_reply(tid.error());
}

Reply Session::on(const rsp::QueryCurrentThread&) {
  const auto tid = find_thread(rsp::any_thread);
  if (!tid) return error_reply(tid.error());
  return "QC" + id_of(*engine_.process_of(*tid), *tid);
}

Reply Session::on(const rsp::FirstThreads&) {
  if (engine_.processes().empty()) return error_reply({Errc::no_process, 0, ""});
  connection_.listed_threads.clear();
  for (const Pid pid : engine_.processes())
    for (const Tid tid : engine_.threads(pid)) connection_.listed_threads.push_back(tid);
  return on(rsp::NextThreads{});
}

Reply Session::on(const rsp::NextThreads&) {
  std::string ids;
  for (std::size_t n = 0; n < ids_per_reply && !connection_.listed_threads.empty(); ++n) {
    const Tid tid = connection_.listed_threads.front();
    connection_.listed_threads.pop_front();
    if (const auto pid = engine_.process_of(tid))
      ids += fmt::format("{}{}", ids.empty() ? "m" : ",", id_of(*pid, tid));
  }
  return ids.empty() ? "l" : ids;
}

Reply Session::on(const rsp::QueryThreadExtraInfo& request) {
  const auto tid = find_thread(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto name = proc_fs::comm(*tid);
  return name ? rsp::to_hex(*name) : error_reply(name.error());
}

Reply Session::on(const rsp::QueryTlsAddress& request) {
  const auto tid = find_thread(request.thread);
  if (!tid) return error_reply(tid.error());
  const Pid pid = *engine_.process_of(*tid);
  const auto registers = engine_.last_registers(*tid);
  if (!registers) return error_reply(registers.error());
  EngineMemory memory(engine_, pid);
  const auto facts = program_facts(pid);
  if (!facts) return error_reply(facts.error());
  const TlsThread thread{facts->image(memory), pid, *tid, *registers};
  const auto address = tls_address(thread, request.offset, Address(request.link_map), tls_);
  if (!address) return error_reply(address.error());
  return rsp::hex_number(address->value());
}

}  // namespace stub
