// Every packet a client may send, named by its meaning. One struct per meaning: where two packets
// differ in spelling only (`M` and `X`) they are one request.
//
// Wire forms are in the comments, as in the GDB manual ("Packets", "General Query Packets", "Host
// I/O Packets") and lldb's docs/resources/lldbgdbremote.md; `hex(x)` is two digits per byte, all
// numbers are hexadecimal unless said otherwise. Values are unverified beyond their form: that a
// pid, address or thread exists is the session's business. Addresses are plain integers here
// because this room knows nothing of inferiors.
//
// Signal numbers are as the client sent them: GDB's own numbers (signals.h) from GDB, the host's
// from LLDB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/thread_id.h"

namespace rsp {

using Bytes = std::vector<std::byte>;        // contents of memory, registers, files
using Bytecode = std::vector<std::uint8_t>;  // one agent expression, as it arrived
using WireAddress = std::uint64_t;           // an address in the inferior

// ---- The connection --------------------------------------------------------------------------

struct ClientFeature {
  std::string name;
  bool supported = true;             // name+ and name=value; false for name-
  std::optional<std::string> value;  // name=value
};
// qSupported[:feature[;feature]...], feature = name+ | name- | name=value
struct QuerySupported {
  std::vector<ClientFeature> features;
};
// QStartNoAckMode
struct StartNoAckMode {};
// vMustReplyEmpty: the client learns what an unknown v packet looks like
struct MustReplyEmpty {};
// !
struct EnableExtendedMode {};
// QNonStop:0|1
struct SetNonStop {
  bool enabled = false;
};
// QEnableErrorStrings (LLDB): errors may be `Exx;hex(text)`
struct EnableErrorStrings {};
// qEcho:text (LLDB): the reply is the packet itself; `text` is what follows the colon
struct Echo {
  std::string text;
};
// QThreadSuffixSupported (LLDB): register packets name their thread by `;thread:ID;`
struct EnableThreadSuffix {};
// QListThreadsInStopReply (LLDB)
struct ListThreadsInStopReply {};
// qRcmd,hex(command): a `monitor` command
struct MonitorCommand {
  std::string command;
};

// ---- Registers -------------------------------------------------------------------------------

// `thread` is LLDB's suffix; without it the thread selected by Hg is meant.

// g[;thread:ID;]
struct ReadRegisters {
  std::optional<ThreadId> thread;
};
// Ghex(values)[;thread:ID;]
struct WriteRegisters {
  Bytes values;
  std::optional<ThreadId> thread;
};
// pN[;thread:ID;]
struct ReadRegister {
  std::uint32_t number = 0;
  std::optional<ThreadId> thread;
};
// PN=hex(value)[;thread:ID;]
struct WriteRegister {
  std::uint32_t number = 0;
  Bytes value;
  std::optional<ThreadId> thread;
};
// QSaveRegisterState[;thread:ID;] (LLDB): the reply is a number for QRestoreRegisterState
struct SaveRegisterState {
  std::optional<ThreadId> thread;
};
// QRestoreRegisterState:N[;thread:ID;] (LLDB), N decimal
struct RestoreRegisterState {
  std::uint32_t id = 0;
  std::optional<ThreadId> thread;
};
// qRegisterInfoN (LLDB)
struct QueryRegisterInfo {
  std::uint32_t number = 0;
};

// ---- Memory ----------------------------------------------------------------------------------

// mADDR,LENGTH
struct ReadMemory {
  WireAddress address = 0;
  std::uint64_t length = 0;
};
// xADDR,LENGTH: the reply is binary, in a form that depends on the client
struct ReadMemoryBinary {
  WireAddress address = 0;
  std::uint64_t length = 0;
};
// MADDR,LENGTH:hex(data)  and  XADDR,LENGTH:binary data. LENGTH is checked against the data.
// Length 0 is how clients ask whether X is understood.
struct WriteMemory {
  WireAddress address = 0;
  Bytes data;
};
// _MSIZE,PERMISSIONS (LLDB): map memory in the inferior; permissions are letters of "rwx"
struct AllocateMemory {
  std::uint64_t size = 0;
  bool readable = false, writable = false, executable = false;
};
// _mADDR (LLDB)
struct FreeMemory {
  WireAddress address = 0;
};
// qSearch:memory:ADDR;LENGTH;binary pattern
struct SearchMemory {
  WireAddress address = 0;
  std::uint64_t length = 0;
  Bytes pattern;
};
// qCRC:ADDR,LENGTH
struct ChecksumMemory {
  WireAddress address = 0;
  std::uint64_t length = 0;
};
// qMemoryRegionInfo:ADDR (LLDB), and the bare probe qMemoryRegionInfo: (no address)
struct QueryMemoryRegion {
  std::optional<WireAddress> address;
};

// ---- Breakpoints and watchpoints -------------------------------------------------------------

enum class PointType : std::uint8_t {
  software_breakpoint = 0,
  hardware_breakpoint = 1,
  write_watchpoint = 2,
  read_watchpoint = 3,
  access_watchpoint = 4,
};
struct PointCommands {
  bool persist = false;  // go on doing them after the client has left
  std::vector<Bytecode> expressions;
};
// ZTYPE,ADDR,KIND[;XLEN,hex(bytecode)[XLEN,...]]...[;cmds:PERSIST,XLEN,hex(bytecode)[XLEN,...]]
// Several conditions are alternatives: the point counts when any of them is true. KIND is the
// instruction length of a breakpoint, the number of bytes of a watchpoint. The packet replaces the
// conditions and commands of a point that is already in.
struct InsertPoint {
  PointType type = PointType::software_breakpoint;
  WireAddress address = 0;
  std::uint64_t kind = 0;
  std::vector<Bytecode> conditions;
  PointCommands commands;
};
// zTYPE,ADDR,KIND
struct RemovePoint {
  PointType type = PointType::software_breakpoint;
  WireAddress address = 0;
  std::uint64_t kind = 0;
};
// qWatchpointSupportInfo: (LLDB)
struct QueryWatchpointSupport {};

// ---- Running, stopping, stop reasons ---------------------------------------------------------

// ?
struct QueryStopReason {};
// vStopped: take the next queued stop (non-stop)
struct NextStopNotification {};
// vCont?
struct QueryResumeActions {};

enum class ResumeKind : std::uint8_t { cont, step, range_step, stop };
struct ResumeAction {
  ResumeKind kind = ResumeKind::cont;
  int signal = 0;                              // C and S: delivered on resuming; 0 is none
  WireAddress range_start = 0, range_end = 0;  // range_step: while start <= pc < end
  std::optional<ThreadId> thread;              // nullopt: every thread no other action names
};
// vCont;ACTION[:THREAD-ID][;ACTION...], ACTION = c | Csig | s | Ssig | t | rSTART,END. Leftmost
// match wins.
struct Resume {
  std::vector<ResumeAction> actions;
};
// c[ADDR]  CSIG[;ADDR]  s[ADDR]  SSIG[;ADDR]: the thread of Hc, the older way
struct ResumeAt {
  ResumeKind kind = ResumeKind::cont;  // cont or step
  int signal = 0;
  std::optional<WireAddress> address;
};
// vCtrlC; the byte 0x03 outside packets means the same (deframer.h)
struct Interrupt {};
// k
struct Kill {};
// vKill;PID
struct KillProcess {
  std::int64_t pid = 0;
};
// D  D;PID  and LLDB's D1[;PID], which leaves the process stopped
struct Detach {
  std::optional<std::int64_t> pid;
  bool keep_stopped = false;
};
// QPassSignals:SIG[;SIG...]: signals to deliver without telling the client; replaces the list
struct SetPassSignals {
  std::vector<int> signals;
};
// QProgramSignals:SIG[;SIG...]: signals the program may be given; replaces the list
struct SetProgramSignals {
  std::vector<int> signals;
};
// QThreadEvents:0|1
struct SetThreadEvents {
  bool enabled = false;
};
struct ThreadOptions {
  static constexpr std::uint32_t clone = 1, exit = 2;
  std::uint32_t options = 0;
  std::optional<ThreadId> thread;  // nullopt: every thread
};
// QThreadOptions;OPTIONS[:THREAD-ID][;OPTIONS...]: the last match wins; who has none keeps his own
struct SetThreadOptions {
  std::vector<ThreadOptions> entries;
};
// QCatchSyscalls:0  QCatchSyscalls:1[;NUMBER...]: none listed means all
struct SetCatchSyscalls {
  bool enabled = false;
  std::vector<std::uint32_t> numbers;
};
// qStepPacketSupported (LLDB)
struct QueryStepPacket {};

// ---- Threads ---------------------------------------------------------------------------------

// HgTHREAD-ID: for register and memory packets.  HcTHREAD-ID: for c and s.
enum class SelectFor : std::uint8_t { general, resume };
struct SelectThread {
  SelectFor what = SelectFor::general;
  ThreadId thread;
};
// TTHREAD-ID
struct IsThreadAlive {
  ThreadId thread;
};
// qC
struct QueryCurrentThread {};
// qfThreadInfo, then qsThreadInfo until the reply is `l`
struct FirstThreads {};
struct NextThreads {};
// qThreadExtraInfo,THREAD-ID
struct QueryThreadExtraInfo {
  ThreadId thread;
};
// qThreadStopInfoTID (LLDB)
struct QueryThreadStop {
  ThreadId thread;
};
// jThreadsInfo (LLDB)
struct QueryThreadsInfo {};
// jThreadExtendedInfo:{"thread":TID,...} (LLDB), TID decimal
struct QueryThreadExtendedInfo {
  std::optional<std::int64_t> tid;
};
// qGetTLSAddr:THREAD-ID,OFFSET,LINK-MAP
struct QueryTlsAddress {
  ThreadId thread;
  std::uint64_t offset = 0;
  WireAddress link_map = 0;
};

// ---- Processes -------------------------------------------------------------------------------

// vRun;hex(program)[;hex(argument)]...: an empty program means the one run last
struct Run {
  std::string program;
  std::vector<std::string> arguments;
};
// vAttach;PID
struct Attach {
  std::int64_t pid = 0;
};
// vAttachName;hex(name)  vAttachWait;hex(name)  vAttachOrWait;hex(name) (LLDB)
enum class AttachWhen : std::uint8_t {
  now,          // a process of that name must exist
  wait,         // the next process of that name to start
  now_or_wait,  // an existing one, else the next
};
struct AttachByName {
  std::string name;
  AttachWhen when = AttachWhen::now;
};
// qVAttachOrWaitSupported (LLDB)
struct QueryAttachOrWait {};
// RXX: restart the program (extended mode); XX means nothing. No reply.
struct Restart {};
// qAttached[:PID]
struct QueryAttached {
  std::optional<std::int64_t> pid;
};
// QDisableRandomization:0|1, and LLDB's QSetDisableASLR:0|1
struct SetDisableRandomization {
  bool disabled = true;
};
// QStartupWithShell:0|1
struct SetStartupWithShell {
  bool enabled = true;
};
// QEnvironmentHexEncoded:hex(NAME=VALUE), and LLDB's QEnvironment:NAME=VALUE
struct SetEnvironment {
  std::string name;
  std::string value;
};
// QEnvironmentUnset:hex(NAME)
struct UnsetEnvironment {
  std::string name;
};
// QEnvironmentReset
struct ResetEnvironment {};
// QSetWorkingDir:hex(path): empty means the server's own
struct SetWorkingDirectory {
  std::string path;
};
// qGetWorkingDir (LLDB)
struct QueryWorkingDirectory {};
// QSetSTDIN:hex(path)  QSetSTDOUT:hex(path)  QSetSTDERR:hex(path) (LLDB)
enum class StandardStream : std::uint8_t { in, out, err };
struct SetStandardStream {
  StandardStream stream = StandardStream::in;
  std::string path;
};
// QSetDetachOnError:0|1 (LLDB): what losing the connection does
struct SetDetachOnError {
  bool enabled = false;
};
// QLaunchArch:NAME (LLDB)
struct SetLaunchArchitecture {
  std::string name;
};
// ALENGTH,NUMBER,hex(argument)[,LENGTH,NUMBER,hex(argument)]... (LLDB), decimal: start a program
struct LaunchProgram {
  std::vector<std::string> arguments;  // the first is the program
};
// qLaunchSuccess (LLDB)
struct QueryLaunchSuccess {};
// qProcessInfo (LLDB): the process being debugged
struct QueryProcessInfo {};
// qProcessInfoPID:PID (LLDB), decimal
struct QueryProcessInfoOf {
  std::int64_t pid = 0;
};
// qfProcessInfo[:key:value;...] (LLDB), then qsProcessInfo
struct ProcessFilter {
  std::string key;
  std::string value;
};
struct FirstProcesses {
  std::vector<ProcessFilter> filters;
};
struct NextProcesses {};
// qUserName:ID  qGroupName:ID (LLDB), decimal
struct QueryUserName {
  std::uint32_t id = 0;
};
struct QueryGroupName {
  std::uint32_t id = 0;
};
// qPlatform_shell:COMMAND,SECONDS[,DIRECTORY] (LLDB): a shell command on the server's machine. No
// such command is run, so nothing of it is kept.
struct RunShellCommand {};
// qHostInfo (LLDB)
struct QueryHostInfo {};

// ---- Objects and symbols ---------------------------------------------------------------------

// qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH
struct TransferRead {
  std::string object;
  std::string annex;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
// qXfer:OBJECT:write:ANNEX:OFFSET:binary data
struct TransferWrite {
  std::string object;
  std::string annex;
  std::uint64_t offset = 0;
  Bytes data;
};
// qSymbol::  (the client can look symbols up; `name` empty)
// qSymbol:[VALUE]:hex(NAME)  (the answer to our question; no value: unknown)
struct SymbolAnswer {
  std::string name;
  std::optional<std::uint64_t> value;
};
// qOffsets
struct QueryOffsets {};
// qShlibInfoAddr (LLDB)
struct QueryShlibInfoAddress {};
// jGetLoadedDynamicLibrariesInfos:{...} (LLDB)
struct QueryLoadedLibraries {
  std::string arguments;  // the JSON object as it arrived
};
// qModuleInfo:hex(path);hex(triple) (LLDB)
struct QueryModuleInfo {
  std::string path;
  std::string triple;
};

// ---- Tracing ---------------------------------------------------------------------------------

// QTinit: forget tracepoints and trace state variables
struct InitTrace {};
// qTStatus
struct QueryTraceStatus {};
// QTDV:NUMBER:VALUE[:BUILTIN[:hex(name)]]: define a trace state variable with its initial value
struct DefineTraceVariable {
  std::uint32_t number = 0;
  std::int64_t initial_value = 0;
  bool builtin = false;
  std::string name;
};
// qTV:NUMBER: its value now
struct QueryTraceVariable {
  std::uint32_t number = 0;
};
// qTfV, then qTsV: their definitions
struct FirstTraceVariable {};
struct NextTraceVariable {};
// qTfP, then qTsP: tracepoints
struct FirstTracepoint {};
struct NextTracepoint {};
// QAgent:0|1: whether an in-process agent may be used
struct SetAgent {
  bool enabled = false;
};

// ---- Host I/O --------------------------------------------------------------------------------

// Flags, modes and error numbers are GDB's File-I/O values ("Protocol-specific Representation of
// Datatypes"), which LLDB's client shares in name only.

// vFile:open:hex(path),FLAGS,MODE
struct FileOpen {
  std::string path;
  std::uint32_t flags = 0;
  std::uint32_t mode = 0;
};
// vFile:close:FD
struct FileClose {
  std::int64_t fd = 0;
};
// vFile:pread:FD,COUNT,OFFSET
struct FileRead {
  std::int64_t fd = 0;
  std::uint64_t count = 0;
  std::uint64_t offset = 0;
};
// vFile:pwrite:FD,OFFSET,binary data
struct FileWrite {
  std::int64_t fd = 0;
  std::uint64_t offset = 0;
  Bytes data;
};
// vFile:fstat:FD
struct FileStatus {
  std::int64_t fd = 0;
};
// vFile:stat:hex(path)  vFile:lstat:hex(path)
struct FileStatusOf {
  std::string path;
  bool follow_links = true;
};
// vFile:unlink:hex(path)
struct FileUnlink {
  std::string path;
};
// vFile:readlink:hex(path)
struct FileReadLink {
  std::string path;
};
// vFile:setfs:PID: see files as that process does; 0 is the server itself
struct FileSetFilesystem {
  std::int64_t pid = 0;
};
// vFile:size:hex(path)  vFile:mode:  vFile:exists:  vFile:MD5: (LLDB)
struct FileSize {
  std::string path;
};
struct FileMode {
  std::string path;
};
struct FileExists {
  std::string path;
};
struct FileMd5 {
  std::string path;
};
// vFile:symlink:hex(target),hex(link) (LLDB)
struct FileSymlink {
  std::string target;
  std::string link;
};

using Request = std::variant<
    // the connection
    QuerySupported, StartNoAckMode, MustReplyEmpty, EnableExtendedMode, SetNonStop,
    EnableErrorStrings, Echo, EnableThreadSuffix, ListThreadsInStopReply, MonitorCommand,
    // registers
    ReadRegisters, WriteRegisters, ReadRegister, WriteRegister, SaveRegisterState,
    RestoreRegisterState, QueryRegisterInfo,
    // memory
    ReadMemory, ReadMemoryBinary, WriteMemory, AllocateMemory, FreeMemory, SearchMemory,
    ChecksumMemory, QueryMemoryRegion,
    // points
    InsertPoint, RemovePoint, QueryWatchpointSupport,
    // resume
    QueryStopReason, NextStopNotification, QueryResumeActions, Resume, ResumeAt, Interrupt, Kill,
    KillProcess, Detach, SetPassSignals, SetProgramSignals, SetThreadEvents, SetThreadOptions,
    SetCatchSyscalls, QueryStepPacket,
    // threads
    SelectThread, IsThreadAlive, QueryCurrentThread, FirstThreads, NextThreads,
    QueryThreadExtraInfo, QueryThreadStop, QueryThreadsInfo, QueryThreadExtendedInfo,
    QueryTlsAddress,
    // processes
    Run, Attach, AttachByName, QueryAttachOrWait, Restart, QueryAttached, SetDisableRandomization,
    SetStartupWithShell, SetEnvironment, UnsetEnvironment, ResetEnvironment, SetWorkingDirectory,
    QueryWorkingDirectory, SetStandardStream, SetDetachOnError, SetLaunchArchitecture,
    LaunchProgram, QueryLaunchSuccess, QueryProcessInfo, QueryProcessInfoOf, FirstProcesses,
    NextProcesses, QueryUserName, QueryGroupName, RunShellCommand, QueryHostInfo,
    // objects and symbols
    TransferRead, TransferWrite, SymbolAnswer, QueryOffsets, QueryShlibInfoAddress,
    QueryLoadedLibraries, QueryModuleInfo,
    // tracing
    InitTrace, QueryTraceStatus, DefineTraceVariable, QueryTraceVariable, FirstTraceVariable,
    NextTraceVariable, FirstTracepoint, NextTracepoint, SetAgent,
    // host I/O
    FileOpen, FileClose, FileRead, FileWrite, FileStatus, FileStatusOf, FileUnlink, FileReadLink,
    FileSetFilesystem, FileSize, FileMode, FileExists, FileMd5, FileSymlink>;

}  // namespace rsp
