#include "stub/inspect/lldb_info.h"

#include <unistd.h>

#include "protocol/hex.h"
#include "stub/kernel/proc_fs.h"
#include "tests/catch.h"

namespace {

using stub::Address;
using stub::Mapping;
using stub::Pid;
using stub::Tid;

Mapping mapping(std::uint64_t start, std::uint64_t end, const char* permissions, std::string path,
                std::uint64_t offset = 0) {
  Mapping m;
  m.start = Address(start);
  m.end = Address(end);
  m.read = permissions[0] == 'r';
  m.write = permissions[1] == 'w';
  m.execute = permissions[2] == 'x';
  m.offset = offset;
  m.path = std::move(path);
  return m;
}

}  // namespace

TEST_CASE("qHostInfo") {
  CHECK(stub::host_info_text({"6.1.0", "6.1.0-13-amd64", "#1 SMP", "box", "debian"}) ==
        "triple:7838365f36342d70632d6c696e75782d676e75;ptrsize:8;distribution_id:64656269616e;"
        "watchpoint_exceptions_received:after;endian:little;os_version:6.1.0;"
        "os_build:362e312e302d31332d616d643634;os_kernel:233120534d50;hostname:626f78;");
  const stub::HostInfo host = stub::read_host_info();
  CHECK_FALSE(host.os_version.empty());
  CHECK(host.os_build.starts_with(host.os_version));
  CHECK(host.os_version.find_first_not_of("0123456789.") == std::string::npos);
  CHECK(host.distribution_id.find_first_of("\"\n") == std::string::npos);
}

TEST_CASE("qProcessInfo and qProcessInfoPID") {
  stub::ProcessInfo process;
  process.pid = Pid{0x7bb8};
  process.ppid = Pid{0x7bb7};
  process.uid = 1000;
  process.gid = 100;
  process.effective_uid = 0;
  process.effective_gid = 12;
  process.word_size = 4;
  process.executable = "/bin/a";
  process.arguments = {"a", "-x y"};
  CHECK(stub::process_info_text(process) ==
        "pid:7bb8;parent-pid:7bb7;real-uid:3e8;real-gid:64;effective-uid:0;effective-gid:c;"
        "triple:693338362d70632d6c696e75782d676e75;ostype:linux;endian:little;ptrsize:4;");
  CHECK(stub::process_list_text(process) ==
        "pid:31672;ppid:31671;uid:1000;gid:100;euid:0;egid:12;name:2f62696e2f61;args:61-2d782079;"
        "triple:693338362d70632d6c696e75782d676e75;");

  auto self = stub::read_process_info(Pid{::getpid()});
  REQUIRE(self);
  CHECK(self->ppid == Pid{::getppid()});
  CHECK(self->effective_uid == ::geteuid());
  CHECK(self->executable == stub::proc_fs::executable(Pid{::getpid()}));
  CHECK_FALSE(self->arguments.empty());
  CHECK_FALSE(stub::read_process_info(Pid{0x3fffffff}));
}

TEST_CASE("qMemoryRegionInfo") {
  const std::vector<Mapping> maps = {
      mapping(0x1000, 0x3000, "r-x", "/bin/a"),
      mapping(0x3000, 0x4000, "---", ""),
      mapping(0x8000, 0x9000, "rw-", "[stack]"),
  };
  const std::pair<std::uint64_t, const char*> rows[] = {
      {0x0, "start:0;size:1000;"},
      {0x10, "start:10;size:ff0;"},
      {0x1000, "start:1000;size:2000;permissions:rx;flags:;name:2f62696e2f61;"},
      {0x2fff, "start:1000;size:2000;permissions:rx;flags:;name:2f62696e2f61;"},
      {0x3800, "start:3000;size:1000;permissions:;flags:;"},
      {0x4000, "start:4000;size:4000;"},
      {0x8fff, "start:8000;size:1000;permissions:rw;flags:;name:5b737461636b5d;"},
      {0x9000, "start:9000;size:ffffffffffff6fff;"},
      {UINT64_MAX, "start:ffffffffffffffff;size:0;"},
  };
  for (auto [address, text] : rows) {
    CAPTURE(address);
    CHECK(stub::memory_region_text(maps, Address(address)) == text);
  }
}

TEST_CASE("qFileLoadAddress") {
  const std::vector<Mapping> maps = {
      mapping(0x1000, 0x3000, "r-x", "/bin/a", 0x1000),
      mapping(0x5000, 0x6000, "r--", "/bin/a"),
      mapping(0x8000, 0x9000, "r--", "/bin/b"),
  };
  CHECK(stub::file_load_address(maps, "/bin/a") == Address(0x5000));
  CHECK(stub::file_load_address(maps, "/bin/b") == Address(0x8000));
  CHECK(stub::file_load_address(maps, "/bin/c") == std::nullopt);
}

TEST_CASE("jThreadsInfo") {
  CHECK(stub::threads_info_json({}) == "[]");
  stub::ThreadInfo stopped;
  stopped.tid = Tid{32006};
  stopped.name = "a\"b\\c\n\xff";
  stopped.reason = "breakpoint";
  stopped.signal = 5;
  stopped.registers = {{16, rsp::bytes_from_hex("4611400000000000").value()},
                       {7, rsp::bytes_from_hex("b8").value()}};
  stopped.memory = {{Address(4096), rsp::bytes_from_hex("0102").value()}};
  stopped.description = "hit";
  stub::ThreadInfo running;
  running.tid = Tid{32018};
  CHECK(stub::threads_info_json(std::vector{stopped, running}) ==
        R"([{"description":"hit","memory":[{"address":4096,"bytes":"0102"}],)"
        R"("name":"a\"b\\c\u000a?","reason":"breakpoint",)"
        R"("registers":{"16":"4611400000000000","7":"b8"},"signal":5,"tid":32006},{"tid":32018}])");
}

TEST_CASE("json_string") {
  CHECK(stub::json_string("") == R"("")");
  CHECK(stub::json_string("gr\xc3\xbc\x01\x1f\x7f") == "\"gr\xc3\xbc\\u0001\\u001f\x7f\"");
  CHECK(stub::json_string("\xc3") == R"("?")");
}
