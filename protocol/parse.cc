// The table of packets: everything this server understands is a row here, and a packet without a
// row gets the empty reply that the manual prescribes for unknown ones.
#include "protocol/parse.h"

#include "protocol/parsers.h"

namespace rsp {
namespace {

using namespace parsers;
using enum Arguments;

constexpr PacketRow table[] = {
    // The connection
    {"qSupported", follow, query_supported},
    {"QStartNoAckMode", none, plain<StartNoAckMode>, "QStartNoAckMode+"},
    {"vMustReplyEmpty", none, plain<MustReplyEmpty>},
    {"!", none, plain<EnableExtendedMode>},
    {"QNonStop:", follow, on_off<&SetNonStop::enabled>, "QNonStop+"},
    {"QEnableErrorStrings", none, plain<EnableErrorStrings>},
    {"qEcho:", follow, plain_text<&Echo::text>, "qEcho+"},
    {"QThreadSuffixSupported", none, plain<EnableThreadSuffix>},
    {"QListThreadsInStopReply", none, plain<ListThreadsInStopReply>},
    {"qRcmd,", follow, hex_text<&MonitorCommand::command>},

    // Registers
    {"g", follow, thread_suffix<&ReadRegisters::thread>},
    {"G", follow, write_registers},
    {"p", follow, read_register},
    {"P", follow, write_register},
    {"QSaveRegisterState", follow, thread_suffix<&SaveRegisterState::thread>},
    {"QRestoreRegisterState:", follow, restore_register_state},
    {"qRegisterInfo", follow, hex_value<&QueryRegisterInfo::number>},

    // Memory
    {"m", follow, address_and_length<ReadMemory>},
    {"x", follow, address_and_length<ReadMemoryBinary>, "binary-upload+"},
    {"M", follow, write_memory_hex},
    {"X", follow, write_memory_binary},
    {"_M", follow, allocate_memory},
    {"_m", follow, hex_value<&FreeMemory::address>},
    {"qSearch:memory:", follow, search_memory},
    {"qCRC:", follow, address_and_length<ChecksumMemory>},
    {"qMemoryRegionInfo:", follow, query_memory_region},

    // Breakpoints and watchpoints
    {"Z", follow, insert_point, "ConditionalBreakpoints+;BreakpointCommands+"},
    {"z", follow, remove_point},
    {"qWatchpointSupportInfo:", none, plain<QueryWatchpointSupport>},

    // Running and stopping
    {"?", none, plain<QueryStopReason>},
    {"vStopped", none, plain<NextStopNotification>},
    {"vCont?", none, plain<QueryResumeActions>, "vContSupported+"},
    {"vCont;", follow, resume},
    {"c", follow, continue_at},
    {"C", follow, continue_with_signal},
    {"s", follow, step_at},
    {"S", follow, step_with_signal},
    {"vCtrlC", none, plain<Interrupt>},
    {"k", none, plain<Kill>},
    {"vKill;", follow, pid_value<&KillProcess::pid>},
    {"D", follow, detach},
    {"QPassSignals:", follow, signal_list<&SetPassSignals::signals>, "QPassSignals+"},
    {"QProgramSignals:", follow, signal_list<&SetProgramSignals::signals>, "QProgramSignals+"},
    {"QThreadEvents:", follow, on_off<&SetThreadEvents::enabled>, "QThreadEvents+"},
    {"QThreadOptions;", follow, set_thread_options, "QThreadOptions=3"},
    {"QCatchSyscalls:", follow, set_catch_syscalls, "QCatchSyscalls+"},
    {"qStepPacketSupported", none, plain<QueryStepPacket>},

    // Threads
    {"H", follow, select_thread},
    {"T", follow, thread_id<&IsThreadAlive::thread>},
    {"qC", none, plain<QueryCurrentThread>},
    {"qfThreadInfo", none, plain<FirstThreads>},
    {"qsThreadInfo", none, plain<NextThreads>},
    {"qThreadExtraInfo,", follow, thread_id<&QueryThreadExtraInfo::thread>},
    {"qThreadStopInfo", follow, thread_id<&QueryThreadStop::thread>},
    {"jThreadsInfo", none, plain<QueryThreadsInfo>},
    {"jThreadExtendedInfo:", follow, query_thread_extended_info},
    {"qGetTLSAddr:", follow, query_tls_address},

    // Processes
    {"vRun;", follow, run},
    {"vAttach;", follow, pid_value<&Attach::pid>},
    {"vAttachName;", follow, attach_named},
    {"vAttachWait;", follow, attach_wait},
    {"vAttachOrWait;", follow, attach_or_wait},
    {"qVAttachOrWaitSupported", none, plain<QueryAttachOrWait>},
    {"R", follow, plain<Restart>},
    {"qAttached", follow, query_attached},
    {"QDisableRandomization:", follow, on_off<&SetDisableRandomization::disabled>,
     "QDisableRandomization+"},
    {"QSetDisableASLR:", follow, on_off<&SetDisableRandomization::disabled>},
    {"QStartupWithShell:", follow, on_off<&SetStartupWithShell::enabled>, "QStartupWithShell+"},
    {"QEnvironmentHexEncoded:", follow, set_environment_hex, "QEnvironmentHexEncoded+"},
    {"QEnvironment:", follow, set_environment_plain},
    {"QEnvironmentUnset:", follow, hex_text<&UnsetEnvironment::name>, "QEnvironmentUnset+"},
    {"QEnvironmentReset", none, plain<ResetEnvironment>, "QEnvironmentReset+"},
    {"QSetWorkingDir:", follow, hex_text<&SetWorkingDirectory::path>, "QSetWorkingDir+"},
    {"qGetWorkingDir", none, plain<QueryWorkingDirectory>},
    {"QSetSTDIN:", follow, set_stdin},
    {"QSetSTDOUT:", follow, set_stdout},
    {"QSetSTDERR:", follow, set_stderr},
    {"QSetDetachOnError:", follow, on_off<&SetDetachOnError::enabled>},
    {"QLaunchArch:", follow, plain_text<&SetLaunchArchitecture::name>},
    {"A", follow, launch_program},
    {"qLaunchSuccess", none, plain<QueryLaunchSuccess>},
    {"qProcessInfo", none, plain<QueryProcessInfo>},
    {"qProcessInfoPID:", follow, decimal_value<&QueryProcessInfoOf::pid>},
    {"qfProcessInfo", follow, first_processes},
    {"qsProcessInfo", none, plain<NextProcesses>},
    {"qUserName:", follow, decimal_value<&QueryUserName::id>},
    {"qGroupName:", follow, decimal_value<&QueryGroupName::id>},
    {"qPlatform_shell:", follow, plain<RunShellCommand>},
    {"qHostInfo", none, plain<QueryHostInfo>},

    // Objects and symbols
    {"qXfer:", follow, transfer,
     "qXfer:features:read+;qXfer:auxv:read+;qXfer:threads:read+;qXfer:libraries-svr4:read+;"
     "augmented-libraries-svr4-read+;qXfer:exec-file:read+;qXfer:siginfo:read+;"
     "qXfer:siginfo:write+;qXfer:osdata:read+"},
    {"qSymbol:", follow, symbol_answer},
    {"qOffsets", none, plain<QueryOffsets>},
    {"qShlibInfoAddr", none, plain<QueryShlibInfoAddress>},
    {"jGetLoadedDynamicLibrariesInfos:", follow, plain_text<&QueryLoadedLibraries::arguments>},
    {"qModuleInfo:", follow, query_module_info},

    // Tracing: as much of it as breakpoint conditions can refer to
    {"QTinit", none, plain<InitTrace>},
    {"qTStatus", none, plain<QueryTraceStatus>},
    {"QTDV:", follow, define_trace_variable, "TraceStateVariables+"},
    {"qTV:", follow, hex_value<&QueryTraceVariable::number>},
    {"qTfV", none, plain<FirstTraceVariable>},
    {"qTsV", none, plain<NextTraceVariable>},
    {"qTfP", none, plain<FirstTracepoint>},
    {"qTsP", none, plain<NextTracepoint>},
    {"QAgent:", follow, on_off<&SetAgent::enabled>, "QAgent+"},

    // Host I/O
    {"vFile:open:", follow, file_open},
    {"vFile:close:", follow, hex_value<&FileClose::fd>},
    {"vFile:pread:", follow, file_read},
    {"vFile:pwrite:", follow, file_write},
    {"vFile:fstat:", follow, hex_value<&FileStatus::fd>},
    {"vFile:stat:", follow, file_stat},
    {"vFile:lstat:", follow, file_lstat},
    {"vFile:unlink:", follow, hex_text<&FileUnlink::path>},
    {"vFile:readlink:", follow, hex_text<&FileReadLink::path>},
    {"vFile:setfs:", follow, pid_value<&FileSetFilesystem::pid>},
    {"vFile:size:", follow, hex_text<&FileSize::path>},
    {"vFile:mode:", follow, hex_text<&FileMode::path>},
    {"vFile:exists:", follow, hex_text<&FileExists::path>},
    {"vFile:MD5:", follow, hex_text<&FileMd5::path>},
    {"vFile:symlink:", follow, file_symlink},
};

bool names(const PacketRow& row, std::string_view payload) {
  return row.arguments == none ? payload == row.name : payload.starts_with(row.name);
}

}  // namespace

std::span<const PacketRow> packet_table() { return table; }

Result<Request> parse(std::string_view payload) {
  for (const PacketRow& row : table) {
    if (names(row, payload)) return row.parse(payload.substr(row.name.size()));
  }
  return fail(Errc::unsupported);
}

}  // namespace rsp
