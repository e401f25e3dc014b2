// g G p P, and LLDB's relatives. Values pass through as the bytes the packets have.
#include <fmt/format.h>

#include "arch/target_description.h"
#include "protocol/framing.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "stub/session/session.h"

namespace stub {
namespace {

constexpr RegisterParts everything{.xstate = true};
constexpr std::size_t largest_register = 64;
constexpr std::size_t max_saved_states = 64;

Error no_such_register() { return {Errc::refused, 0, "No such register"}; }

}  // namespace

const x86::RegisterSet& Session::registers_of(Pid pid) const {
  const x86::Mode mode = engine_.mode(pid);
  return connection_.described || connection_.lldb() ? x86::RegisterSet::get(mode)
                                                     : x86::RegisterSet::undescribed(mode);
}

Reply Session::on(const rsp::ReadRegisters& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto file = engine_.read_registers(*tid, everything);
  if (!file) return error_reply(file.error());
  const auto& set = registers_of(*engine_.process_of(*tid));
  std::vector<std::byte> packed(set.g_size());
  x86::pack(set, *file, packed);
  return rsp::run_length_encoded(rsp::to_hex(packed));
}

Reply Session::on(const rsp::WriteRegisters& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  auto file = engine_.read_registers(*tid, everything);
  if (!file) return error_reply(file.error());
  const auto& set = registers_of(*engine_.process_of(*tid));
  if (!x86::unpack(set, request.values, *file)) return error_reply({Errc::malformed, 0, ""});
  return reply_to(engine_.write_registers(*tid, *file, everything));
}

Reply Session::on(const rsp::ReadRegister& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto& set = registers_of(*engine_.process_of(*tid));
  const x86::Register* reg = set.find(request.number);
  if (reg == nullptr) return error_reply(no_such_register());
  const auto file = engine_.read_registers(*tid, {.xstate = x86::needs_xstate(*reg)});
  if (!file) return error_reply(file.error());
  std::array<std::byte, largest_register> value;
  return rsp::to_hex(std::span(value).first(x86::read_register(*reg, *file, value)));
}

Reply Session::on(const rsp::WriteRegister& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto& set = registers_of(*engine_.process_of(*tid));
  const x86::Register* reg = set.find(request.number);
  if (reg == nullptr) return error_reply(no_such_register());
  const RegisterParts parts{.xstate = x86::needs_xstate(*reg)};
  auto file = engine_.read_registers(*tid, parts);
  if (!file) return error_reply(file.error());
  if (!x86::write_register(*reg, request.value, *file))
    return error_reply({Errc::malformed, 0, ""});
  return reply_to(engine_.write_registers(*tid, *file, parts));
}

Reply Session::on(const rsp::SaveRegisterState& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  auto file = engine_.read_registers(*tid, everything);
  if (!file) return error_reply(file.error());
  auto& saved = connection_.saved_threads;
  if (saved.size() >= max_saved_states) saved.erase(saved.begin());
  const std::uint32_t id = connection_.next_saved++;
  saved[id] = SavedThread{std::move(*file), own_stop_of(*tid)};
  return fmt::format("{}", id);
}

Reply Session::on(const rsp::RestoreRegisterState& request) {
  const auto tid = thread_for(request.thread);
  if (!tid) return error_reply(tid.error());
  const auto saved = connection_.saved_threads.extract(request.id);
  if (saved.empty()) return error_reply({Errc::refused, 0, "No such register state"});
  const auto written = engine_.write_registers(*tid, saved.mapped().registers, everything);
  if (written) restore_stop(*tid, saved.mapped().own_stop);
  return reply_to(written);
}

// LLDB asks for one register after the other until it gets an error.
Reply Session::on(const rsp::QueryRegisterInfo& request) {
  const auto pid = current_process();
  const auto& set = x86::RegisterSet::get(pid ? engine_.mode(*pid) : x86::Mode::amd64);
  const x86::Register* reg = set.find(request.number);
  return reg ? x86::lldb_register_info(set.mode(), *reg) : "E45";
}

}  // namespace stub
