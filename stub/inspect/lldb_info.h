// The texts of LLDB's queries about the host, a process, its memory and its threads, in the form of
// lldb-server ("GDB Remote Protocol Extensions" of the LLDB documentation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stub/base/memory_map.h"
#include "stub/base/types.h"

namespace stub {

// ---- qHostInfo -------------------------------------------------------------------------------

struct HostInfo {
  std::string os_version;  // uname -r without what follows the numbers
  std::string os_build;    // uname -r
  std::string os_kernel;   // uname -v
  std::string hostname;
  std::string distribution_id;  // ID of /etc/os-release, may be empty
};
HostInfo read_host_info();
std::string host_info_text(const HostInfo& host);

// ---- qProcessInfo, qProcessInfoPID -----------------------------------------------------------

struct ProcessInfo {
  Pid pid{};
  Pid ppid{};
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t effective_uid = 0;
  std::uint32_t effective_gid = 0;
  std::size_t word_size = 8;           // of the program, 4 or 8 bytes
  std::string executable;              // empty for kernel threads and zombies
  std::vector<std::string> arguments;  // the first is argv[0]
};
Result<ProcessInfo> read_process_info(Pid pid);
// The reply about the process being debugged (numbers in hex).
std::string process_info_text(const ProcessInfo& process);
// The reply about any process, also to qfProcessInfo and qsProcessInfo (numbers in decimal).
std::string process_list_text(const ProcessInfo& process);

// ---- qMemoryRegionInfo, qFileLoadAddress -------------------------------------------------------

// The mapping around an address, or how far the unmapped memory from there extends.
std::string memory_region_text(std::span<const Mapping> mappings, Address address);
// Where the start of a file is mapped.
std::optional<Address> file_load_address(std::span<const Mapping> mappings,
                                         const std::string& path);

// ---- jThreadsInfo ----------------------------------------------------------------------------

struct ThreadInfo {
  Tid tid{};
  std::optional<std::string> name;
  // Why it stopped, for threads that did so by themselves: "breakpoint", "trace", "watchpoint",
  // "signal", "exception", "fork", "vfork", "vforkdone", "exec".
  std::optional<std::string> reason;
  std::optional<std::string> description;  // what the user reads, e.g. the watchpoint's address
  std::optional<int> signal;               // the host's number
  struct Register {
    unsigned number;  // as in p packets
    std::vector<std::byte> value;
  };
  std::vector<Register> registers;
  struct Memory {     // what the client would ask for next, e.g. the saved frame pointer and return
    Address address;  // address at the frame pointer
    std::vector<std::byte> bytes;
  };
  std::vector<Memory> memory;
};
// A JSON array. Not yet escaped for the wire: `}` has to become `}]` there. Without registers and
// memory it is also what `jstopinfo` of a stop reply holds, in hex.
std::string threads_info_json(std::span<const ThreadInfo> threads);

// A string of JSON with its quotes. Bytes that are no UTF-8 become '?'.
std::string json_string(std::string_view text);

}  // namespace stub
