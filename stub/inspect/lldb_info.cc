#include "stub/inspect/lldb_info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <algorithm>
#include <iterator>

#include "protocol/hex.h"
#include "stub/base/utf8.h"
#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

std::string triple(std::size_t word_size) {
  return rsp::to_hex(word_size == 4 ? "i386-pc-linux-gnu" : "x86_64-pc-linux-gnu");
}

// The value of ID= in os-release(5), without quotes.
std::string read_distribution_id() {
  const std::string text = proc_fs::read_file("/etc/os-release", 1u << 16).value_or("");
  const std::string key = "\nID=";
  const std::size_t at = ("\n" + text).find(key);
  if (at == std::string::npos) return "";
  std::string value = text.substr(at + key.size() - 1);
  value.resize(std::min(value.find('\n'), value.size()));
  std::erase_if(value, [](char c) { return c == '"' || c == '\''; });
  return value;
}

std::string permissions(const Mapping& m) {
  std::string text;
  if (m.read) text += 'r';
  if (m.write) text += 'w';
  if (m.execute) text += 'x';
  return text;
}

// `"key":value` pairs and array elements, separated by commas.
class JsonList {
 public:
  void add(std::string_view item) {
    if (!text_.empty()) text_ += ',';
    text_ += item;
  }
  void add(std::string_view key, std::string_view value) {
    add(fmt::format("\"{}\":{}", key, value));
  }
  void add_text(std::string_view key, const std::optional<std::string>& value) {
    if (value) add(key, json_string(*value));
  }
  std::string object() const { return "{" + text_ + "}"; }
  std::string array() const { return "[" + text_ + "]"; }

 private:
  std::string text_;
};

std::string registers_json(const std::vector<ThreadInfo::Register>& registers) {
  JsonList list;
  for (const auto& r : registers) {
    list.add(std::to_string(r.number), '"' + rsp::to_hex(r.value) + '"');
  }
  return list.object();
}

std::string memory_json(const std::vector<ThreadInfo::Memory>& memory) {
  JsonList list;
  for (const auto& m : memory) {
    JsonList piece;
    piece.add("address", std::to_string(m.address.value()));
    piece.add("bytes", '"' + rsp::to_hex(m.bytes) + '"');
    list.add(piece.object());
  }
  return list.array();
}

std::string thread_json(const ThreadInfo& thread) {
  JsonList list;
  list.add_text("description", thread.description);
  if (!thread.memory.empty()) list.add("memory", memory_json(thread.memory));
  list.add_text("name", thread.name);
  list.add_text("reason", thread.reason);
  if (!thread.registers.empty()) list.add("registers", registers_json(thread.registers));
  if (thread.signal) list.add("signal", std::to_string(*thread.signal));
  list.add("tid", std::to_string(raw(thread.tid)));
  return list.object();
}

}  // namespace

// ---- host --------------------------------------------------------------------------------------

HostInfo read_host_info() {
  utsname names{};
  ::uname(&names);
  HostInfo host;
  host.os_build = names.release;
  host.os_version = host.os_build.substr(0, host.os_build.find_first_not_of("0123456789."));
  host.os_kernel = names.version;
  host.hostname = names.nodename;
  host.distribution_id = read_distribution_id();
  return host;
}

std::string host_info_text(const HostInfo& host) {
  std::string text = fmt::format("triple:{};ptrsize:8;", triple(8));
  if (!host.distribution_id.empty()) {
    text += fmt::format("distribution_id:{};", rsp::to_hex(host.distribution_id));
  }
  text += "watchpoint_exceptions_received:after;endian:little;";
  text += fmt::format("os_version:{};os_build:{};os_kernel:{};hostname:{};", host.os_version,
                      rsp::to_hex(host.os_build), rsp::to_hex(host.os_kernel),
                      rsp::to_hex(host.hostname));
  return text;
}

// ---- processes ---------------------------------------------------------------------------------

Result<ProcessInfo> read_process_info(Pid pid) {
  return proc_fs::status(leader_of(pid)).map([&](const proc_fs::Status& status) {
    ProcessInfo process;
    process.pid = pid;
    process.ppid = status.ppid;
    process.uid = status.uid;
    process.gid = status.gid;
    process.effective_uid = status.effective_uid;
    process.effective_gid = status.effective_gid;
    process.word_size = proc_fs::word_size(pid).value_or(8);
    process.executable = proc_fs::executable(pid).value_or("");
    process.arguments = proc_fs::cmdline(pid).value_or(std::vector<std::string>());
    return process;
  });
}

std::string process_info_text(const ProcessInfo& process) {
  return fmt::format(
      "pid:{:x};parent-pid:{:x};real-uid:{:x};real-gid:{:x};effective-uid:{:x};effective-gid:{:x};"
      "triple:{};ostype:linux;endian:little;ptrsize:{};",
      raw(process.pid), raw(process.ppid), process.uid, process.gid, process.effective_uid,
      process.effective_gid, triple(process.word_size), process.word_size);
}

std::string process_list_text(const ProcessInfo& process) {
  std::vector<std::string> arguments;
  for (const std::string& argument : process.arguments) arguments.push_back(rsp::to_hex(argument));
  return fmt::format("pid:{};ppid:{};uid:{};gid:{};euid:{};egid:{};name:{};args:{};triple:{};",
                     raw(process.pid), raw(process.ppid), process.uid, process.gid,
                     process.effective_uid, process.effective_gid, rsp::to_hex(process.executable),
                     fmt::join(arguments, "-"), triple(process.word_size));
}

// ---- memory ------------------------------------------------------------------------------------

std::string memory_region_text(std::span<const Mapping> mappings, Address address) {
  if (auto gap = find_gap_at(mappings, address)) {
    return fmt::format("start:{:x};size:{:x};", address.value(),
                       gap->end.value() - address.value());
  }
  const Mapping& m = *find_mapping(mappings, address);
  std::string text = fmt::format("start:{:x};size:{:x};permissions:{};flags:;", m.start.value(),
                                 m.size(), permissions(m));
  if (!m.path.empty()) text += fmt::format("name:{};", rsp::to_hex(m.path));
  return text;
}

std::optional<Address> file_load_address(std::span<const Mapping> mappings,
                                         const std::string& path) {
  const auto found = std::ranges::find_if(
      mappings, [&](const Mapping& m) { return m.offset == 0 && m.path == path; });
  return found == mappings.end() ? std::nullopt : std::optional(found->start);
}

// ---- JSON --------------------------------------------------------------------------------------

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < ' ') {
      out += fmt::format("\\u{:04x}", c);
    } else if (utf8_length(text) == 0) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

std::string threads_info_json(std::span<const ThreadInfo> threads) {
  JsonList list;
  for (const ThreadInfo& thread : threads) list.add(thread_json(thread));
  return list.array();
}

}  // namespace stub
