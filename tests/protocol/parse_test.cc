#include "protocol/parse.h"

#include <random>
#include <set>
#include <string>

#include "tests/catch.h"

namespace {
constexpr auto malformed = rsp::Errc::malformed;
constexpr auto unsupported = rsp::Errc::unsupported;
}  // namespace

TEST_CASE("packet table: no row hides a later one") {
  const auto table = rsp::packet_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (std::size_t j = i + 1; j < table.size(); ++j) {
      INFO(table[i].name << " and " << table[j].name);
      CHECK(table[i].name != table[j].name);
      if (table[i].arguments == rsp::Arguments::follow)
        CHECK_FALSE(table[j].name.starts_with(table[i].name));
      if (table[j].arguments == rsp::Arguments::follow)
        CHECK_FALSE(table[i].name.starts_with(table[j].name));
    }
  }
}

TEST_CASE("packet table: every kind of request has a row that makes it") {
  const std::string_view examples[] = {
      "qSupported:multiprocess+",
      "QStartNoAckMode",
      "vMustReplyEmpty",
      "!",
      "QNonStop:1",
      "QEnableErrorStrings",
      "qEcho:a",
      "QThreadSuffixSupported",
      "QListThreadsInStopReply",
      "qRcmd,68",
      "g",
      "G00",
      "p1f",
      "P1f=00",
      "QSaveRegisterState",
      "QRestoreRegisterState:1",
      "qRegisterInfo0",
      "m0,1",
      "x0,1",
      "M0,1:00",
      "_M1000,rwx",
      "_m1000",
      "qSearch:memory:0;1;a",
      "qCRC:0,1",
      "qMemoryRegionInfo:0",
      "Z0,0,1",
      "z0,0,1",
      "qWatchpointSupportInfo:",
      "?",
      "vStopped",
      "vCont?",
      "vCont;c",
      "c",
      "vCtrlC",
      "k",
      "vKill;1",
      "D",
      "QPassSignals:e",
      "QProgramSignals:e",
      "QThreadEvents:1",
      "QThreadOptions;1",
      "QCatchSyscalls:1",
      "qStepPacketSupported",
      "Hg0",
      "T1",
      "qC",
      "qfThreadInfo",
      "qsThreadInfo",
      "qThreadExtraInfo,1",
      "qThreadStopInfo1",
      "jThreadsInfo",
      "jThreadExtendedInfo:{\"thread\":1}",
      "qGetTLSAddr:1,2,3",
      "vRun;61",
      "vAttach;1",
      "vAttachName;61",
      "qVAttachOrWaitSupported",
      "R00",
      "qAttached",
      "QDisableRandomization:1",
      "QStartupWithShell:1",
      "QEnvironmentHexEncoded:613d62",
      "QEnvironmentUnset:61",
      "QEnvironmentReset",
      "QSetWorkingDir:2f",
      "qGetWorkingDir",
      "QSetSTDIN:2f",
      "QSetDetachOnError:1",
      "QLaunchArch:x86_64",
      "A2,0,61",
      "qLaunchSuccess",
      "qProcessInfo",
      "qProcessInfoPID:1",
      "qfProcessInfo",
      "qsProcessInfo",
      "qUserName:0",
      "qGroupName:0",
      "qPlatform_shell:6c73,ffffffff",
      "qHostInfo",
      "qXfer:auxv:read::0,1",
      "qXfer:siginfo:write::0:a",
      "qSymbol::",
      "qOffsets",
      "qShlibInfoAddr",
      "jGetLoadedDynamicLibrariesInfos:{}",
      "qModuleInfo:2f;78",
      "QTinit",
      "qTStatus",
      "QTDV:1:0",
      "qTV:1",
      "qTfV",
      "qTsV",
      "qTfP",
      "qTsP",
      "QAgent:1",
      "vFile:open:2f,0,0",
      "vFile:close:3",
      "vFile:pread:3,1,0",
      "vFile:pwrite:3,0,a",
      "vFile:fstat:3",
      "vFile:stat:2f",
      "vFile:unlink:2f",
      "vFile:readlink:2f",
      "vFile:setfs:0",
      "vFile:size:2f",
      "vFile:mode:2f",
      "vFile:exists:2f",
      "vFile:MD5:2f",
      "vFile:symlink:2f,2f",
  };
  std::set<std::size_t> kinds;
  for (const auto example : examples) {
    INFO(example);
    const auto request = rsp::parse(example);
    REQUIRE(request);
    kinds.insert(request->index());
  }
  CHECK(kinds.size() == std::variant_size_v<rsp::Request>);
}

TEST_CASE("packets nobody serves are unsupported, not malformed") {
  for (const std::string_view text : {"",
                                      "b",
                                      "bc",
                                      "bs",
                                      "B0,S",
                                      "d",
                                      "i",
                                      "I61",
                                      "r",
                                      "t0",
                                      "vCont",
                                      "vRun",
                                      "vFile",
                                      "vFile:",
                                      "vFile:bogus:1",
                                      "vKill",
                                      "qXfer",
                                      "qP",
                                      "qL0",
                                      "QTDP:1",
                                      "Qbtrace:bts",
                                      "qPlatform_chmod:1ff,2f",
                                      "qPlatform_mkdir:1ff,2f",
                                      "qLaunchGDBServer",
                                      "qSpeedTest:response_size:4;",
                                      "j",
                                      "~",
                                      "H",
                                      "Hx1",
                                      "Z5,0,1",
                                      "z9,0,1",
                                      "QStartNoAckModes",
                                      "vMustReplyEmptyX",
                                      "qTMinFTPILen",
                                      "qXfer:auxv:erase::0,1"}) {
    INFO(text);
    const auto request = rsp::parse(text);
    REQUIRE_FALSE(request);
    CHECK(request.error().code == unsupported);
  }
}

TEST_CASE("malformed packets, one family after the other") {
  for (const std::string_view text : {
           // connection
           "QNonStop:",
           "QNonStop:2",
           "QNonStop:01",
           "qRcmd,6",
           "qRcmd,zz",
           "qSupportedfoo",
           // registers
           "gx",
           "g;thread:",
           "g;thread:zz;",
           "g;threat:1;",
           "G0",
           "Gxx",
           "p",
           "pzz",
           "p0,1",
           "p100000000",
           "P",
           "P0",
           "P0=0",
           "P0=zz",
           "P0=00;thread:;",
           "QRestoreRegisterState:",
           "qRegisterInfo",
           "QSaveRegisterState:1",
           // memory
           "m",
           "m0",
           "m,",
           "m0,",
           "m,1",
           "m0,1,2",
           "m-1,1",
           "m10000000000000000,1",
           "m0,10000000000000000",
           "x0",
           "M0,1",
           "M0,1:",
           "M0,1:0",
           "M0,2:00",
           "M0,1:0000",
           "M0,1:zz",
           "X0,1:",
           "X0,1:ab",
           "X0",
           "_M",
           "_M10",
           "_M10,q",
           "_m",
           "_mzz",
           "qSearch:memory:0;1",
           "qCRC:0",
           "qMemoryRegionInfo:zz",
           // points
           "Z0",
           "Z0,",
           "Z0,0",
           "Z0,0,",
           "Z0,0,1;",
           "Z0,0,1;X",
           "Z0,0,1;X1",
           "Z0,0,1;X1,",
           "Z0,0,1;X1,2",
           "Z0,0,1;X2,27",
           "Z0,0,1;X1,2727",
           "Z0,0,1;Xffffffffffffffff,27",
           "Z0,0,1;X1,27;cmds:",
           "Z0,0,1;cmds:2,X1,27",
           "Z0,0,1;cmds:1X1,27",
           "Z0,0,1;foo",
           "Z0,0,1X1,27",
           "z0,0,1;X1,27",
           "z0,zz,1",
           // resume
           "vCont;",
           "vCont;z",
           "vCont;c:",
           "vCont;c:zz",
           "vCont;;",
           "vCont;c;;s",
           "vCont;C",
           "vCont;C100",
           "vCont;r1",
           "vCont;r1,",
           "vCont;r,1",
           "vCont;c:p-1.1",
           "vCont;c1",
           "czz",
           "C",
           "Czz",
           "C5;",
           "C5;zz",
           "S",
           "s-1",
           "D2",
           "D;",
           "D;zz",
           "D1;-1",
           "vKill;",
           "vKill;-1",
           "QPassSignals:zz",
           "QPassSignals:;",
           "QPassSignals:1;;2",
           "QThreadEvents:",
           "QThreadEvents:5",
           "QThreadOptions;",
           "QThreadOptions;zz",
           "QThreadOptions;1:",
           "QCatchSyscalls:",
           "QCatchSyscalls:2",
           "QCatchSyscalls:0;1",
           "QCatchSyscalls:1;",
           "QCatchSyscalls:1;zz",
           // threads
           "Hg",
           "Hczz",
           "T",
           "Tzz",
           "qThreadExtraInfo,",
           "qGetTLSAddr:",
           "qGetTLSAddr:1,2",
           "qGetTLSAddr:1,2,",
           "jThreadExtendedInfo:{\"thread\":x}",
           // processes
           "vRun;6",
           "vRun;61;6",
           "vAttach;",
           "vAttach;zz",
           "vAttach;100000000",
           "vAttachName;",
           "vAttachName;6",
           "qAttached:",
           "qAttached:zz",
           "qAttachedX",
           "QDisableRandomization:x",
           "QEnvironmentHexEncoded:zz",
           "QEnvironmentHexEncoded:3d62",
           "QEnvironmentUnset:6",
           "QSetWorkingDir:z",
           "A",
           "A2",
           "A2,0",
           "A2,0,6",
           "A2,0,61,",
           "A2,1,61",
           "A2,0,61,2,0,61",
           "A99999999999,0,61",
           "qUserName:",
           "qProcessInfoPID:x",
           "qfProcessInfoX",
           // objects
           "qXfer:auxv:read::0",
           "qXfer:auxv:read:0,1",
           "qXfer:auxv:read::,1",
           "qXfer:siginfo:write::0",
           "qSymbol:zz:61",
           "qSymbol::6",
           "qModuleInfo:",
           "qModuleInfo:zz;",
           "QTDV:",
           "QTDV:1",
           "QTDV:1:0:",
           "QTDV:1:0:0:6",
           "qTV:",
           // files
           "vFile:open:",
           "vFile:open:zz,0,0",
           "vFile:open:2f,0",
           "vFile:open:2f,0,100000000",
           "vFile:close:",
           "vFile:pread:1,2",
           "vFile:pwrite:1,2",
           "vFile:fstat:",
           "vFile:stat:6",
           "vFile:unlink:z",
           "vFile:setfs:-1",
           "vFile:symlink:zz,61",
       }) {
    INFO(text);
    const auto request = rsp::parse(text);
    REQUIRE_FALSE(request);
    CHECK(request.error().code == malformed);
  }
}

TEST_CASE("mutated packets never do more than fail") {
  std::mt19937 random(3);
  const auto table = rsp::packet_table();
  constexpr std::string_view alphabet = "0123456789abcdef;:,.-pXrwcs=\x00\xff";
  std::size_t understood = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string payload(table[random() % table.size()].name);
    for (std::size_t n = random() % 24; n > 0; --n)
      payload.push_back(alphabet[random() % alphabet.size()]);
    understood += rsp::parse(payload).has_value() ? 1 : 0;
  }
  CHECK(understood > 1000);
}
