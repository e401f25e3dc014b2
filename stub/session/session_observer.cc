// A second client, who may look and not touch.
//
// IDEs read variables through a debugger of their own while the first one has let the program run,
// and a colleague may want to see where it stands. Such a client gets the same answers as the one
// who has the session, from the same code: while its packet is worked on, its connection stands in
// the place of the other's. Which packets it may send is one list, and everything else is refused,
// so that a packet that is added later is refused too.
//
// It is told of one stop, the one that there is when it asks (`?`). A debugger that has not been
// told of any reads nothing at all, so where every thread runs it is told of a stop that did not
// take place: signal 0, at the place where the thread was let go last, its other registers not to
// be had. No stop is told later: whoever wants to know connects again.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "arch/target_description.h"
#include "protocol/hex.h"
#include "protocol/replies.h"
#include "protocol/variants.h"
#include "stub/session/session.h"

namespace stub {
namespace {

// What changes nothing but the observer's own connection. Files can be opened for reading only.
template <class T>
constexpr bool only_looks = rsp::is_one_of<
    T, rsp::StartNoAckMode, rsp::MustReplyEmpty, rsp::EnableExtendedMode, rsp::EnableErrorStrings,
    rsp::Echo, rsp::EnableThreadSuffix, rsp::ListThreadsInStopReply, rsp::ReadRegister,
    rsp::QueryRegisterInfo, rsp::ReadMemory, rsp::ReadMemoryBinary, rsp::QueryMemoryRegion,
    rsp::QueryWatchpointSupport, rsp::QueryResumeActions, rsp::QueryStepPacket, rsp::SelectThread,
    rsp::IsThreadAlive, rsp::QueryCurrentThread, rsp::FirstThreads, rsp::NextThreads,
    rsp::QueryThreadExtraInfo, rsp::QueryThreadStop, rsp::QueryThreadsInfo,
    rsp::QueryThreadExtendedInfo, rsp::QueryTlsAddress, rsp::QueryAttached,
    rsp::QueryWorkingDirectory, rsp::QueryProcessInfo, rsp::QueryProcessInfoOf, rsp::FirstProcesses,
    rsp::NextProcesses, rsp::QueryUserName, rsp::QueryGroupName, rsp::QueryHostInfo,
    rsp::TransferRead, rsp::SymbolAnswer, rsp::QueryOffsets, rsp::QueryShlibInfoAddress,
    rsp::QueryLoadedLibraries, rsp::QueryModuleInfo, rsp::QueryTraceStatus, rsp::QueryTraceVariable,
    rsp::FirstTraceVariable, rsp::NextTraceVariable, rsp::FirstTracepoint, rsp::NextTracepoint,
    rsp::FileOpen, rsp::FileClose, rsp::FileRead, rsp::FileStatus, rsp::FileStatusOf,
    rsp::FileReadLink, rsp::FileSetFilesystem, rsp::FileSize, rsp::FileMode, rsp::FileExists,
    rsp::FileMd5>;

// Bytes of memory to search and of files to digest for one packet. It is done in turns that take no
// more than a share of the time (time_share.h), and it is not to last for ever.
constexpr std::uint64_t most_worked_through = 16u << 20;

// Features of the packets that are not in that list.
constexpr std::string_view withheld_from_observers[] = {"QNonStop",
                                                        "ConditionalBreakpoints",
                                                        "BreakpointCommands",
                                                        "QPassSignals",
                                                        "QProgramSignals",
                                                        "QThreadEvents",
                                                        "QThreadOptions",
                                                        "QCatchSyscalls",
                                                        "fork-events",
                                                        "vfork-events",
                                                        "exec-events",
                                                        "no-resumed",
                                                        "QAgent",
                                                        "QDisableRandomization",
                                                        "QStartupWithShell",
                                                        "QSetWorkingDir",
                                                        "error-message",
                                                        "TraceStateVariables",
                                                        "QEnvironmentHexEncoded",
                                                        "QEnvironmentUnset",
                                                        "binary-upload",
                                                        "QEnvironmentReset",
                                                        "qXfer:siginfo:write"};

}  // namespace

class Session::Observer final : public Peer {
 public:
  explicit Observer(Session& session) : session_(session) {}

  void connected() override {
    own_ = Connection{};
    own_.observes = true;
    own_.files = std::make_unique<HostIo>(std::min(session_.settings_.host_io, HostIoPolicy::read),
                                          most_worked_through);
  }
  void receive(std::span<const std::byte> bytes) override {
    own_.input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    in_place([&] { session_.work_off_input(); });
  }
  bool has_more() const override { return own_.has_more(); }
  bool has_room() const override { return own_.has_room(); }
  void on_child_event() override {}
  void disconnected() override { own_ = Connection{}; }
  void take_output(std::string& into) override {
    in_place([&] { session_.take_output(into); });
  }
  Next next() const override { return own_.leaves ? Next::hang_up : Next::go_on; }
  std::optional<std::chrono::milliseconds> poll_after() const override { return std::nullopt; }

 private:
  template <class Work>
  void in_place(const Work& work) {
    std::swap(session_.connection_, own_);
    work();
    std::swap(session_.connection_, own_);
  }

  Session& session_;
  Connection own_;
};

std::unique_ptr<Peer> Session::observer() { return std::make_unique<Observer>(*this); }

Reply Session::answer_observer(const rsp::Request& request) {
  const auto refused = [&] {
    return error_reply({Errc::refused, EPERM, "Another client has the session"});
  };
  return std::visit(
      rsp::Overloaded{
          [&](const rsp::QuerySupported& query) -> Reply {
            take_features(query);
            std::string reply = rsp::supported_reply(packet_size, withheld_from_observers);
            return connection_.lldb() ? reply + ";native-signals+" : reply;
          },
          [&](const rsp::QueryStopReason&) -> Reply { return observed_stop(); },
          [&](const rsp::ReadRegisters& read) -> Reply {
            const auto tid = thread_for(read.thread);
            const bool runs = tid && !engine_.read_registers(*tid, {});
            return runs ? registers_of_running(*tid) : on(read);
          },
          [&](const rsp::MonitorCommand& monitor) -> Reply {
            return monitor_command_only_looks(monitor.command) ? on(monitor) : refused();
          },
          [&](const rsp::Detach&) -> Reply {
            connection_.leaves = true;
            return std::string(rsp::ok_reply);
          },
          [&](const rsp::Kill&) -> Reply {
            connection_.leaves = true;
            return std::nullopt;
          },
          [&](const rsp::SearchMemory& search) -> Reply {
            return search.length <= most_worked_through ? on(search) : refused();
          },
          [&](const rsp::ChecksumMemory& sum) -> Reply {
            return sum.length <= most_worked_through ? on(sum) : refused();
          },
          [&]<class T>(const T& looked) -> Reply {
            if constexpr (only_looks<T>) return on(looked);
            return refused();
          },
      },
      request);
}

std::string Session::observed_stop() {
  if (const auto stop = current_stop()) {
    select(stop->pid, stop->tid);
    return stop_reply(*stop);
  }
  const auto tid = find_thread(rsp::any_thread);
  if (!tid) return "W00";
  const Pid pid = *engine_.process_of(*tid);
  select(pid, *tid);
  rsp::ThreadStopped stop;
  stop.thread = {raw(pid), raw(*tid)};
  stop.registers = {last_seen_pc(*tid)};
  return rsp::to_wire(stop, stop_format());
}

// Where a thread was when it was let go last: all that is known of one that runs.
rsp::ExpeditedRegister Session::last_seen_pc(Tid tid) const {
  const Thread& thread = *engine_.find(tid);
  const auto& set = registers_of(thread.process->pid);
  const x86::Register& reg = *set.find(set.expedited().back());
  const Slot* slot = thread.process->space->areas.at(thread.resumed_pc);
  const std::uint64_t pc = (slot != nullptr ? slot->site : thread.resumed_pc).value();
  rsp::Bytes value(reg.size());
  std::memcpy(value.data(), &pc, value.size());
  return {reg.number, std::move(value)};
}

// The packet `g` with `x` for what cannot be had (GDB manual).
std::string Session::registers_of_running(Tid tid) const {
  const auto& set = registers_of(*engine_.process_of(tid));
  const rsp::ExpeditedRegister pc = last_seen_pc(tid);
  std::string values(2 * set.g_size(), 'x');
  values.replace(2 * set.find(pc.number)->offset, 2 * pc.value.size(), rsp::to_hex(pc.value));
  return values;
}

}  // namespace stub
