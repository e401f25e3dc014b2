// What the fields of requests hold, family by family.
#include "protocol/parse.h"
#include "tests/catch.h"

namespace {

template <class T>
T parsed(std::string_view payload) {
  INFO(payload);
  auto request = rsp::parse(payload);
  REQUIRE(request);
  REQUIRE(std::holds_alternative<T>(*request));
  return std::get<T>(*request);
}

rsp::Bytes bytes(std::initializer_list<int> values) {
  rsp::Bytes result;
  for (const int v : values) result.push_back(static_cast<std::byte>(v));
  return result;
}

using Thread = std::optional<rsp::ThreadId>;

}  // namespace

TEST_CASE("parse: qSupported") {
  const auto request =
      parsed<rsp::QuerySupported>("qSupported:multiprocess+;swbreak-;xmlRegisters=i386;;a?");
  REQUIRE(request.features.size() == 4);
  CHECK(request.features[0].name == "multiprocess");
  CHECK(request.features[0].supported);
  CHECK_FALSE(request.features[1].supported);
  CHECK(request.features[2].name == "xmlRegisters");
  CHECK(request.features[2].value == "i386");
  CHECK_FALSE(request.features[3].supported);
  CHECK(parsed<rsp::QuerySupported>("qSupported").features.empty());
}

TEST_CASE("parse: registers with and without LLDB's thread suffix") {
  CHECK(parsed<rsp::ReadRegisters>("g").thread == Thread{});
  CHECK(parsed<rsp::ReadRegisters>("g;thread:1f;").thread == rsp::ThreadId{0, 0x1f});
  CHECK(parsed<rsp::ReadRegister>("p1f").number == 0x1f);
  CHECK(parsed<rsp::ReadRegister>("p0;thread:p2.3;").thread == rsp::ThreadId{2, 3});
  CHECK(parsed<rsp::WriteRegisters>("G0102").values == bytes({1, 2}));
  const auto write = parsed<rsp::WriteRegister>("P10=0a0b;thread:4;");
  CHECK(write.number == 0x10);
  CHECK(write.value == bytes({10, 11}));
  CHECK(write.thread == rsp::ThreadId{0, 4});
  CHECK(parsed<rsp::RestoreRegisterState>("QRestoreRegisterState:10;thread:4;").id == 10);
}

TEST_CASE("parse: memory") {
  const auto read = parsed<rsp::ReadMemory>("mffffffffffffffff,40");
  CHECK(read.address == ~0ull);
  CHECK(read.length == 0x40);
  CHECK(parsed<rsp::WriteMemory>("M10,2:beef").data == bytes({0xbe, 0xef}));
  CHECK(parsed<rsp::WriteMemory>("X10,3:a:,").data == bytes({'a', ':', ','}));
  CHECK(parsed<rsp::WriteMemory>("X10,0:").data.empty());
  const auto map = parsed<rsp::AllocateMemory>("_M1000,rx");
  CHECK(map.size == 0x1000);
  CHECK((map.readable && !map.writable && map.executable));
  CHECK(parsed<rsp::SearchMemory>("qSearch:memory:10;20;;a").pattern == bytes({';', 'a'}));
  CHECK(parsed<rsp::QueryMemoryRegion>("qMemoryRegionInfo:").address == std::nullopt);
  CHECK(parsed<rsp::QueryMemoryRegion>("qMemoryRegionInfo:7f").address == 0x7f);
}

TEST_CASE("parse: points with conditions and commands") {
  const auto plain = parsed<rsp::InsertPoint>("Z2,601040,8");
  CHECK(plain.type == rsp::PointType::write_watchpoint);
  CHECK(plain.address == 0x601040);
  CHECK(plain.kind == 8);
  CHECK(plain.conditions.empty());

  const auto two = parsed<rsp::InsertPoint>("Z0,401000,1;X3,220027X2,2627");
  REQUIRE(two.conditions.size() == 2);
  CHECK(two.conditions[0] == rsp::Bytecode{0x22, 0x00, 0x27});
  CHECK(two.conditions[1] == rsp::Bytecode{0x26, 0x27});

  const auto commands = parsed<rsp::InsertPoint>(
      "Z0,401000,1;X1,27;cmds:1,X15,26000516202200220034010007783d25645c6e0027");
  CHECK(commands.conditions.size() == 1);
  CHECK(commands.commands.persist);
  REQUIRE(commands.commands.expressions.size() == 1);
  CHECK(commands.commands.expressions[0].size() == 0x15);
  CHECK(commands.commands.expressions[0].back() == 0x27);
  CHECK(parsed<rsp::RemovePoint>("z4,10,4").type == rsp::PointType::access_watchpoint);
}

TEST_CASE("parse: vCont") {
  const auto request = parsed<rsp::Resume>("vCont;r1000,1010:p1.2;C0b:p1.3;t:p1.-1;s;c");
  REQUIRE(request.actions.size() == 5);
  CHECK(request.actions[0].kind == rsp::ResumeKind::range_step);
  CHECK(request.actions[0].range_start == 0x1000);
  CHECK(request.actions[0].range_end == 0x1010);
  CHECK(request.actions[0].thread == rsp::ThreadId{1, 2});
  CHECK(request.actions[1].kind == rsp::ResumeKind::cont);
  CHECK(request.actions[1].signal == 11);
  CHECK(request.actions[2].kind == rsp::ResumeKind::stop);
  CHECK(request.actions[2].thread == rsp::ThreadId{1, -1});
  CHECK(request.actions[3].kind == rsp::ResumeKind::step);
  CHECK(request.actions[4].thread == Thread{});
}

TEST_CASE("parse: the older resume packets") {
  CHECK(parsed<rsp::ResumeAt>("c").address == std::nullopt);
  CHECK(parsed<rsp::ResumeAt>("c4000").address == 0x4000);
  const auto signal = parsed<rsp::ResumeAt>("S0b;4000");
  CHECK(signal.kind == rsp::ResumeKind::step);
  CHECK(signal.signal == 11);
  CHECK(signal.address == 0x4000);
}

TEST_CASE("parse: detach, signals, events") {
  CHECK(parsed<rsp::Detach>("D").pid == std::nullopt);
  CHECK(parsed<rsp::Detach>("D;1f").pid == 0x1f);
  CHECK_FALSE(parsed<rsp::Detach>("D;1f").keep_stopped);
  CHECK(parsed<rsp::Detach>("D1;1f").keep_stopped);
  CHECK(parsed<rsp::SetPassSignals>("QPassSignals:e;10;14").signals ==
        std::vector<int>{14, 16, 20});
  CHECK(parsed<rsp::SetPassSignals>("QPassSignals:").signals.empty());
  const auto options = parsed<rsp::SetThreadOptions>("QThreadOptions;3:p1.-1;0");
  REQUIRE(options.entries.size() == 2);
  CHECK(options.entries[0].options == 3);
  CHECK(options.entries[0].thread == rsp::ThreadId{1, -1});
  CHECK(options.entries[1].thread == Thread{});
  CHECK_FALSE(parsed<rsp::SetCatchSyscalls>("QCatchSyscalls:0").enabled);
  CHECK(parsed<rsp::SetCatchSyscalls>("QCatchSyscalls:1").numbers.empty());
  CHECK(parsed<rsp::SetCatchSyscalls>("QCatchSyscalls:1;3c;e7").numbers ==
        std::vector<std::uint32_t>{60, 231});
}

TEST_CASE("parse: threads") {
  CHECK(parsed<rsp::SelectThread>("Hc-1").what == rsp::SelectFor::resume);
  CHECK(parsed<rsp::SelectThread>("Hgp0.0").thread == rsp::any_thread);
  CHECK(parsed<rsp::QueryThreadStop>("qThreadStopInfo1f").thread.tid == 0x1f);
  CHECK(parsed<rsp::QueryThreadExtendedInfo>("jThreadExtendedInfo:{\"a\":1,\"thread\": 612910}")
            .tid == 612910);
  CHECK(parsed<rsp::QueryThreadExtendedInfo>("jThreadExtendedInfo:").tid == std::nullopt);
  CHECK(parsed<rsp::QueryTlsAddress>("qGetTLSAddr:p1.2,10,7fff").link_map == 0x7fff);
}

TEST_CASE("parse: programs and their surroundings") {
  const auto run = parsed<rsp::Run>("vRun;2f62696e;61;;62");
  CHECK(run.program == "/bin");
  CHECK(run.arguments == std::vector<std::string>{"a", "", "b"});
  CHECK(parsed<rsp::Run>("vRun;").program.empty());
  CHECK(parsed<rsp::Run>("vRun;").arguments.empty());
  CHECK(parsed<rsp::Run>("vRun;61;").arguments == std::vector<std::string>{""});
  CHECK(parsed<rsp::Run>("vRun;61;62").arguments == std::vector<std::string>{"b"});
  CHECK(parsed<rsp::AttachByName>("vAttachOrWait;61").when == rsp::AttachWhen::now_or_wait);
  CHECK(parsed<rsp::LaunchProgram>("A2,0,61,4,1,6263").arguments ==
        std::vector<std::string>{"a", "bc"});
  const auto environment = parsed<rsp::SetEnvironment>("QEnvironmentHexEncoded:413d623d63");
  CHECK(environment.name == "A");
  CHECK(environment.value == "b=c");
  CHECK(parsed<rsp::SetEnvironment>("QEnvironment:A=b").value == "b");
  CHECK(parsed<rsp::SetStandardStream>("QSetSTDERR:2f").stream == rsp::StandardStream::err);
  CHECK(parsed<rsp::QueryAttached>("qAttached:1f").pid == 0x1f);
  const auto filters =
      parsed<rsp::FirstProcesses>("qfProcessInfo:name_match:equals;name:6c73;").filters;
  REQUIRE(filters.size() == 2);
  CHECK(filters[1].key == "name");
  CHECK(filters[1].value == "6c73");
}

TEST_CASE("parse: objects and symbols") {
  const auto read = parsed<rsp::TransferRead>("qXfer:libraries-svr4:read:start=1;prev=0:10,20");
  CHECK(read.object == "libraries-svr4");
  CHECK(read.annex == "start=1;prev=0");
  CHECK(read.offset == 0x10);
  CHECK(read.length == 0x20);
  CHECK(parsed<rsp::TransferWrite>("qXfer:siginfo:write::2:a:b").data == bytes({'a', ':', 'b'}));
  CHECK(parsed<rsp::SymbolAnswer>("qSymbol::").name.empty());
  CHECK(parsed<rsp::SymbolAnswer>("qSymbol:1f:61").value == 0x1f);
  CHECK(parsed<rsp::SymbolAnswer>("qSymbol:1f:61").name == "a");
  CHECK(parsed<rsp::SymbolAnswer>("qSymbol::61").value == std::nullopt);
  CHECK(parsed<rsp::SymbolAnswer>("qSymbol:61").name == "a");
  const auto variable = parsed<rsp::DefineTraceVariable>("QTDV:a:ffffffffffffffff:1:6162");
  CHECK(variable.number == 10);
  CHECK(variable.initial_value == -1);
  CHECK(variable.builtin);
  CHECK(variable.name == "ab");
}

TEST_CASE("parse: files") {
  const auto open = parsed<rsp::FileOpen>("vFile:open:2f61,601,1b6");
  CHECK(open.path == "/a");
  CHECK(open.flags == 0x601);
  CHECK(open.mode == 0666);
  CHECK(parsed<rsp::FileClose>("vFile:close:ffffffff").fd == 0xffffffff);
  CHECK(parsed<rsp::FileRead>("vFile:pread:3,7ce,10").offset == 0x10);
  CHECK(parsed<rsp::FileWrite>("vFile:pwrite:3,0,a,b").data == bytes({'a', ',', 'b'}));
  CHECK(parsed<rsp::FileStatusOf>("vFile:stat:61").follow_links);
  CHECK_FALSE(parsed<rsp::FileStatusOf>("vFile:lstat:61").follow_links);
  CHECK(parsed<rsp::FileSymlink>("vFile:symlink:61,62").link == "b");
}
