// One client and what it has been told: bytes in, bytes out.
//
// The session is the layer between packets and the debugger. It does no I/O: the server feeds it
// what came from the connection and takes what is to be sent, and it is told when a child has
// changed state. So whole conversations are tests that need neither a socket nor a process.
//
// Each kind of request is one overload of on(); they are grouped by family in session_*.cc. An
// overload returns the reply's payload, or nothing when the reply comes later (all-stop: the stop
// that ends a resume) or never (`k`). Exactly one reply per request, whatever was asked.
//
// All-stop: a resume leaves `awaiting_stop` set, and the next report of the engine is its reply.
// Non-stop: a resume is answered at once; a report goes out as a notification, one at a time, and
// the next one is taken from the engine only when the client asks with vStopped. So a thread whose
// stop the client has not been told yet is still "not stopped" for the engine and cannot be resumed
// past it.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "arch/register_table.h"
#include "protocol/deframer.h"
#include "protocol/packets.h"
#include "protocol/stop_reply.h"
#include "stub/base/work.h"
#include "stub/engine/engine.h"
#include "stub/hostio/host_io.h"
#include "stub/inspect/lldb_info.h"
#include "stub/inspect/os_data.h"
#include "stub/inspect/tls.h"
#include "stub/session/dialect.h"
#include "stub/session/monitor.h"
#include "stub/session/session_settings.h"
#include "stub/session/stop_notifications.h"
#include "stub/transport/peer.h"

namespace stub {

// The payload of the reply; nothing when none is due now.
using Reply = std::optional<std::string>;

inline constexpr std::size_t packet_size = 0x20000;

// A process that a client waits for by its name (vAttachWait). Those that were there when the
// waiting began are none of its business.
struct AwaitedProcess {
  std::string name;
  std::set<Pid> known;
  std::optional<Work<std::optional<Pid>>> look;  // through all processes, under way
  std::chrono::steady_clock::time_point next_look{};
};

// What QSaveRegisterState keeps of a thread: LLDB restores it after the program has executed an
// expression, whatever happened meanwhile.
struct SavedThread {
  x86::RegisterFile registers;
  std::optional<StopReport> own_stop;  // nothing: it was only held with the others
};

class Session : public Peer {
 public:
  Session(Engine& engine, SessionSettings settings);
  ~Session() override;

  // ---- Peer ----------------------------------------------------------------------------------
  void connected() override;
  void receive(std::span<const std::byte> bytes) override;
  bool has_more() const override { return connection_.has_more(); }
  bool has_room() const override { return connection_.has_room(); }
  void on_child_event() override;
  void disconnected() override;
  void take_output(std::string& into) override;
  Next next() const override { return next_; }
  std::optional<std::chrono::milliseconds> poll_after() const override;
  bool observable() const override { return settings_.observe; }
  std::unique_ptr<Peer> observer() override;
  // Programs started here that a client of `target remote` has detached from. gdbserver waits for
  // their end; with `target extended-remote` it does not.
  const std::vector<Pid>& children_to_join() const { return children_to_join_; }

  // The end of the daemon: launched processes are killed, attached ones are let go.
  void end_all();

 private:
  class Observer;

  // What the client negotiated and selected; over with the connection.
  struct Connection {
    std::string output;
    std::string input;                          // received and not looked at yet: too much at once
    std::optional<rsp::FrameEvent> next_frame;  // taken off the input: behind the work
    std::string last_frame;                     // for a client that asks for it again with `-`
    std::size_t unsent = 0;       // bytes that the server held for it when it took the last
    std::size_t output_lost = 0;  // bytes of breakpoint commands' output not yet told to be lost
    rsp::Deframer deframer{packet_size};
    bool observes = false;  // a second client, who may look and not touch
    bool leaves = false;    // that client has said so
    bool acks = true;
    Dialect dialect = Dialect::gdb;
    bool described = false;  // reads registers from a target description (xmlRegisters=i386)
    bool multiprocess = false;
    bool swbreak = false, hwbreak = false;
    bool error_message = false;  // errors may be `E.text`
    // gdb 16 asks vFile:stat what a link is, which gdbserver 16 answers with lstat(2). Since gdb 17
    // there is vFile:lstat, and stat follows links.
    bool stat_is_lstat = false;
    bool error_strings = false;  // errors may be `Exx;hex(text)`
    bool extended = false;       // `!`
    bool spoke = false;          // a packet came, so it was no mere look whether the port is open

    // Hg and Hc. A general thread that has exited still says which process is meant.
    std::optional<Pid> general_process;
    std::optional<Tid> general_thread;
    std::optional<Tid> resume_thread;

    bool awaiting_stop = false;  // all-stop: a resume has not been answered
    StopNotifications stops;     // non-stop

    std::deque<Tid> listed_threads;  // what qsThreadInfo has still to tell
    std::deque<Pid> listed_processes;
    std::size_t listed_variables = 0;
    std::string document_key;  // the object that qXfer is reading in pieces
    std::string document;

    std::unique_ptr<HostIo> files;
    std::map<std::uint32_t, SavedThread> saved_threads;
    std::uint32_t next_saved = 1;
    std::optional<Error> launch_error;   // of the last start, for qLaunchSuccess
    std::array<std::string, 3> streams;  // QSetSTDIN, ...OUT, ...ERR: see LaunchSpec
    bool detach_on_error = false;        // QSetDetachOnError
    std::optional<AwaitedProcess> awaited;
    std::optional<Work<Reply>> work;  // on the request that is to be answered next

    bool has_more() const { return work || next_frame || !input.empty(); }
    // For the ^C of one whose request is worked on, and for the news that it has gone.
    bool has_room() const { return work ? input.size() < packet_size : !has_more(); }
    bool lldb() const { return dialect == Dialect::lldb; }
  };

  // ---- session.cc: bytes, packets, replies -----------------------------------------------------
  void work_off_input();
  std::optional<rsp::FrameEvent> next_frame(std::string_view& input);
  void take_interrupts(std::string_view& input);
  void on_frame(rsp::FrameEvent event);
  // The reply comes when the work is done, and before anything else is replied to.
  Reply work_on(Work<Reply> work);
  void advance_work();
  void on_packet(std::string_view payload);
  Reply answer(std::string_view payload);
  void take_interest(const rsp::QuerySupported& request);
  void take_features(const rsp::QuerySupported& request);
  bool is_disabled(std::string_view payload) const;
  void send(std::string_view payload);
  void send_console(std::string_view text);
  void send_output(std::string_view text);
  std::string error_reply(const Error& error, bool text_is_fine = false) const;
  Reply reply_to(const Result<void>& result) const;
  OnDisconnect disconnect_policy() const;
  void apply_disconnect_policy(OnDisconnect policy);
  bool extended() const;
  void remove_points(Pid pid);
  std::vector<Pid> all_processes() const;

  // ---- session_observer.cc ---------------------------------------------------------------------
  Reply answer_observer(const rsp::Request& request);
  std::string observed_stop();
  rsp::ExpeditedRegister last_seen_pc(Tid tid) const;
  std::string registers_of_running(Tid tid) const;

  // ---- session_stops.cc: reports to stop replies -----------------------------------------------
  void take_reports();
  std::optional<StopReport> next_report();
  std::optional<std::string> next_stop();
  std::string tell(const StopReport& report);
  std::string stop_reply(const StopReport& report);
  rsp::ThreadStopped thread_stopped(const StopReport& report);
  std::vector<rsp::ExpeditedRegister> expedited(Pid pid, Tid tid);
  void add_lldb_details(rsp::ThreadStopped& stop, Pid pid, Tid tid);
  std::string fault_of(Tid tid, const Stop& stop) const;
  rsp::StopReplyFormat stop_format() const;
  std::optional<StopReport> stop_of(Tid tid) const;
  std::optional<StopReport> own_stop_of(Tid tid) const;
  void restore_stop(Tid tid, const std::optional<StopReport>& own_stop);
  void forget_resumed();
  Tid first_thread(Pid pid) const;
  std::optional<StopReport> current_stop() const;
  int wire_signal(int host) const { return stub::wire_signal(connection_.dialect, host); }
  int host_signal(int wire) const { return stub::host_signal(connection_.dialect, wire); }
  SignalSet listed_signals(const std::vector<int>& list) const;

  // ---- threads, session_threads.cc -------------------------------------------------------------
  std::string id_of(Pid pid, Tid tid) const;
  Result<Tid> find_thread(const rsp::ThreadId& id) const;
  Result<Tid> thread_for(const std::optional<rsp::ThreadId>& suffix) const;
  Result<Pid> current_process() const;
  void select(Pid pid, Tid tid);

  // ---- requests ---------------------------------------------------------------------------------
  // session_query.cc
  Reply on(const rsp::QuerySupported&);
  Reply on(const rsp::StartNoAckMode&);
  Reply on(const rsp::MustReplyEmpty&);
  Reply on(const rsp::EnableExtendedMode&);
  Reply on(const rsp::SetNonStop&);
  Reply on(const rsp::EnableErrorStrings&);
  Reply on(const rsp::Echo&);
  Reply on(const rsp::EnableThreadSuffix&);
  Reply on(const rsp::ListThreadsInStopReply&);
  Reply on(const rsp::MonitorCommand&);
  Reply on(const rsp::SymbolAnswer&);
  Reply on(const rsp::QueryOffsets&);
  Reply on(const rsp::InitTrace&);
  Reply on(const rsp::QueryTraceStatus&);
  Reply on(const rsp::DefineTraceVariable&);
  Reply on(const rsp::QueryTraceVariable&);
  Reply on(const rsp::FirstTraceVariable&);
  Reply on(const rsp::NextTraceVariable&);
  Reply on(const rsp::FirstTracepoint&);
  Reply on(const rsp::NextTracepoint&);
  Reply on(const rsp::SetAgent&);
  // session_registers.cc
  const x86::RegisterSet& registers_of(Pid pid) const;
  Reply on(const rsp::ReadRegisters&);
  Reply on(const rsp::WriteRegisters&);
  Reply on(const rsp::ReadRegister&);
  Reply on(const rsp::WriteRegister&);
  Reply on(const rsp::SaveRegisterState&);
  Reply on(const rsp::RestoreRegisterState&);
  Reply on(const rsp::QueryRegisterInfo&);
  // session_memory.cc
  Reply on(const rsp::ReadMemory&);
  Reply on(const rsp::ReadMemoryBinary&);
  Reply on(const rsp::WriteMemory&);
  Reply on(const rsp::AllocateMemory&);
  Reply on(const rsp::FreeMemory&);
  Reply on(const rsp::SearchMemory&);
  Reply on(const rsp::ChecksumMemory&);
  Reply on(const rsp::QueryMemoryRegion&);
  Work<Reply> search(rsp::SearchMemory request);
  Work<Reply> checksum(rsp::ChecksumMemory request);
  Work<Reply> memory_region(Address address);
  // session_points.cc
  Reply on(const rsp::InsertPoint&);
  Reply on(const rsp::RemovePoint&);
  Reply on(const rsp::QueryWatchpointSupport&);
  Result<void> remove_breakpoint(Pid pid, Address at);
  // session_resume.cc
  Reply on(const rsp::QueryStopReason&);
  Reply on(const rsp::NextStopNotification&);
  Reply on(const rsp::QueryResumeActions&);
  Reply on(const rsp::Resume&);
  Reply on(const rsp::ResumeAt&);
  Reply on(const rsp::Interrupt&);
  Reply on(const rsp::Kill&);
  Reply on(const rsp::KillProcess&);
  Reply on(const rsp::Detach&);
  Reply on(const rsp::SetPassSignals&);
  Reply on(const rsp::SetProgramSignals&);
  Reply on(const rsp::SetThreadEvents&);
  Reply on(const rsp::SetThreadOptions&);
  Reply on(const rsp::SetCatchSyscalls&);
  Reply on(const rsp::QueryStepPacket&);
  Reply resume(std::span<const ResumeAction> actions);
  Result<ResumeAction> engine_action(const rsp::ResumeAction& action) const;
  void interrupt();
  void stop_everything();
  void leave_if_done();
  Reply leave_running(Pid pid);
  bool has_persistent_commands(Pid pid) const;
  // session_threads.cc
  Reply on(const rsp::SelectThread&);
  Reply on(const rsp::IsThreadAlive&);
  Reply on(const rsp::QueryCurrentThread&);
  Reply on(const rsp::FirstThreads&);
  Reply on(const rsp::NextThreads&);
  Reply on(const rsp::QueryThreadExtraInfo&);
  Reply on(const rsp::QueryTlsAddress&);
  // session_process.cc
  Reply on(const rsp::Run&);
  Reply on(const rsp::Attach&);
  Reply on(const rsp::AttachByName&);
  Reply on(const rsp::QueryAttachOrWait&);
  Reply on(const rsp::Restart&);
  Reply on(const rsp::QueryAttached&);
  Reply on(const rsp::SetDisableRandomization&);
  Reply on(const rsp::SetStartupWithShell&);
  Reply on(const rsp::SetEnvironment&);
  Reply on(const rsp::UnsetEnvironment&);
  Reply on(const rsp::ResetEnvironment&);
  Reply on(const rsp::SetWorkingDirectory&);
  Reply on(const rsp::QueryWorkingDirectory&);
  Reply on(const rsp::SetStandardStream&);
  Reply on(const rsp::SetDetachOnError&);
  Reply on(const rsp::SetLaunchArchitecture&);
  Reply on(const rsp::LaunchProgram&);
  Reply on(const rsp::QueryLaunchSuccess&);
  Result<Pid> start_program();
  Reply refuse(const Error& error);  // to start or to attach to a program
  Result<void> may_attach() const;
  Reply attach(Pid pid);
  Work<Reply> attach_by_name(rsp::AttachByName request);
  Reply await_process(const std::string& name);
  Work<std::optional<Pid>> find_awaited();
  void look_for_awaited();
  // session_xfer.cc
  Reply on(const rsp::TransferRead&);
  Reply on(const rsp::TransferWrite&);
  Reply on(const rsp::QueryShlibInfoAddress&);
  Work<Reply> make_document(rsp::TransferRead request, std::string key);
  Work<Result<std::string>> document(rsp::TransferRead request);
  Result<std::string> small_document(const rsp::TransferRead& request);
  Work<std::string> threads_list();
  ThreadEntry thread_entry(Pid pid, Tid tid);
  std::vector<std::byte> handle_of(Pid pid, Tid tid);
  Work<Result<std::string>> libraries(std::string annex);
  // session_file.cc
  Reply on(const rsp::FileOpen&);
  Reply on(const rsp::FileClose&);
  Reply on(const rsp::FileRead&);
  Reply on(const rsp::FileWrite&);
  Reply on(const rsp::FileStatus&);
  Reply on(const rsp::FileStatusOf&);
  Reply on(const rsp::FileUnlink&);
  Reply on(const rsp::FileReadLink&);
  Reply on(const rsp::FileSetFilesystem&);
  Reply on(const rsp::FileSize&);
  Reply on(const rsp::FileMode&);
  Reply on(const rsp::FileExists&);
  Reply on(const rsp::FileMd5&);
  Reply on(const rsp::FileSymlink&);
  Work<Reply> digest(std::string path);
  // session_lldb.cc
  Reply on(const rsp::QueryThreadStop&);
  Reply on(const rsp::QueryThreadsInfo&);
  Reply on(const rsp::QueryThreadExtendedInfo&);
  Reply on(const rsp::QueryHostInfo&);
  Reply on(const rsp::QueryProcessInfo&);
  Reply on(const rsp::QueryProcessInfoOf&);
  Reply on(const rsp::FirstProcesses&);
  Reply on(const rsp::NextProcesses&);
  Reply on(const rsp::QueryUserName&);
  Reply on(const rsp::QueryGroupName&);
  Reply on(const rsp::RunShellCommand&);
  Reply on(const rsp::QueryLoadedLibraries&);
  Reply on(const rsp::QueryModuleInfo&);
  Work<Reply> threads_info();
  Work<Reply> first_processes(rsp::FirstProcesses request);
  Work<Reply> next_process();
  ThreadInfo thread_info(Tid tid);
  std::optional<std::string> description_of(Tid tid, const Stop& stop) const;

  Engine& engine_;
  SessionSettings settings_;
  Environment initial_environment_;
  Connection connection_;
  bool has_client_ = false;
  std::vector<Pid> children_to_join_;
  bool threads_touched_ = false;  // by the packets that came last
  Next next_ = Next::go_on;

  // Outlives connections: what `?` tells a client that comes back.
  std::optional<Tid> last_reported_;
  std::set<Tid> own_stops_;  // threads that stopped by themselves and have not been resumed since
  TlsOptions tls_;
  // Hardware points by process: type, address, length.
  using HardwarePointKey = std::tuple<Pid, rsp::PointType, Address, std::uint64_t>;
  std::set<HardwarePointKey> hardware_points_;
  std::vector<rsp::DefineTraceVariable> trace_variables_;
  PastSites past_sites_;
  std::map<Tid, std::vector<std::byte>> thread_handles_;  // pthread_t, as last listed
};

}  // namespace stub
