#include "stub/session/session.h"

#include <fmt/format.h>

#include <csignal>
#include <utility>
#include <variant>

#include "protocol/framing.h"
#include "protocol/parse.h"
#include "protocol/replies.h"
#include "protocol/variants.h"
#include "stub/base/log.h"

namespace stub {
namespace {

// Requests that change nothing about threads. After all others the engine looks for what has
// become of its threads without waiting to be told; these are frequent, and looking is a system
// call that walks all threads.
template <class T>
constexpr bool leaves_threads_alone =
    rsp::is_one_of<T, rsp::ReadMemory, rsp::ReadMemoryBinary, rsp::WriteMemory, rsp::ReadRegisters,
                   rsp::ReadRegister, rsp::SelectThread, rsp::NextStopNotification, rsp::FileRead,
                   rsp::FileWrite>;

// Requests that belong to the query for stops, see stop_notifications.h.
template <class T>
constexpr bool is_of_query =
    rsp::is_one_of<T, rsp::QueryStopReason, rsp::NextStopNotification, rsp::SetPassSignals>;

// Requests that make threads run, or bring new ones.
template <class T>
constexpr bool resumes = rsp::is_one_of<T, rsp::Resume, rsp::ResumeAt, rsp::Run, rsp::LaunchProgram,
                                        rsp::Attach, rsp::AttachByName>;

// A text of any length as `O` packets of a size that every client takes.
constexpr std::size_t console_piece = 1000;

// No request is worked on above this. One reply may be larger.
constexpr std::size_t much_output = 1u << 20;

}  // namespace

Session::Session(Engine& engine, SessionSettings settings)
    : engine_(engine),
      settings_(std::move(settings)),
      initial_environment_(settings_.launch.environment) {
  engine_.set_departure_observer([this](const Inferior& left) {
    past_sites_.end(left);
    std::erase_if(hardware_points_,
                  [&](const HardwarePointKey& point) { return std::get<Pid>(point) == left.pid; });
  });
}

Session::~Session() { engine_.set_departure_observer({}); }

// ---- the connection ----------------------------------------------------------------------------

void Session::connected() {
  connection_ = Connection{};
  connection_.files = std::make_unique<HostIo>(settings_.host_io);
  next_ = Next::go_on;
  has_client_ = true;
  engine_.take_back_unattended();
  // gdb sets both for each program that it starts; LLDB relies on what a server begins with.
  settings_.launch.environment = initial_environment_;
  settings_.launch.working_directory.clear();
  engine_.forget_interrupt();
  engine_.drop_idle_filters();
  engine_.interest() = {};
  // Every connection begins in all-stop mode (GDB manual, QNonStop).
  if (engine_.non_stop()) engine_.set_non_stop(false);
}

void Session::receive(std::span<const std::byte> bytes) {
  if (engine_.follower() != nullptr) engine_.follower()->rest();
  connection_.input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  work_off_input();
}

// A few bytes can ask for much, so requests wait while there is much that has not been sent, and
// when they have taken long.
void Session::work_off_input() {
  using Clock = std::chrono::steady_clock;
  constexpr int share_of_observers = 10;  // one of so many parts, since they may be many
  const auto end = !settings_.turn        ? Clock::time_point::max()
                   : connection_.observes ? Clock::now() + *settings_.turn / share_of_observers
                                          : Clock::now() + *settings_.turn;
  std::string_view input = connection_.input;
  threads_touched_ = false;
  take_interrupts(input);
  while (next_ == Next::go_on && connection_.output.size() < much_output) {
    if (connection_.work) {
      advance_work();
    } else {
      auto event = next_frame(input);
      if (!event) break;
      on_frame(std::move(*event));
    }
    if (Clock::now() >= end) break;
  }
  connection_.input.erase(0, connection_.input.size() - input.size());
  if (threads_touched_) on_child_event();
}

std::optional<rsp::FrameEvent> Session::next_frame(std::string_view& input) {
  if (connection_.next_frame) return std::exchange(connection_.next_frame, std::nullopt);
  return connection_.deframer.next(input);
}

// A ^C does not wait for a long request that it follows. Behind another packet it does: it may be
// about the resume that is asked for there.
void Session::take_interrupts(std::string_view& input) {
  while (connection_.work && !connection_.next_frame) {
    auto event = connection_.deframer.next(input);
    if (!event) return;
    if (std::holds_alternative<rsp::ReceivedInterrupt>(*event))
      on_frame(std::move(*event));
    else
      connection_.next_frame = std::move(event);
  }
}

Reply Session::work_on(Work<Reply> work) {
  connection_.work = std::move(work);
  return std::nullopt;
}

void Session::advance_work() {
  const auto done = connection_.work->step();
  if (!done) return;
  connection_.work.reset();
  if (*done) send(**done);
  if (!connection_.observes) threads_touched_ = true;
}

void Session::on_child_event() {
  engine_.on_child_event();
  take_reports();
  if (connection_.awaited) look_for_awaited();
}

std::optional<std::chrono::milliseconds> Session::poll_after() const {
  using namespace std::chrono_literals;
  const auto delay = engine_.poll_after();
  if (!connection_.awaited) return delay;
  constexpr auto look_again = 10ms;
  return std::min(delay.value_or(look_again), look_again);
}

void Session::take_output(std::string& into) {
  if (into.empty()) {
    into.swap(connection_.output);
  } else {
    into += connection_.output;
    connection_.output.clear();
  }
  connection_.unsent = into.size();
}

void Session::disconnected() {
  has_client_ = false;
  const bool done = connection_.spoke && !extended();
  const OnDisconnect policy = disconnect_policy();
  connection_ = Connection{};
  if (next_ == Next::quit) return end_all();
  apply_disconnect_policy(policy);
  if (settings_.once || (done && all_processes().empty())) next_ = Next::quit;
}

// ---- packets -----------------------------------------------------------------------------------

void Session::on_frame(rsp::FrameEvent event) {
  std::visit(rsp::Overloaded{
                 [&](const rsp::ReceivedPacket& packet) { on_packet(packet.payload); },
                 [](const rsp::ReceivedAck&) {},
                 [&](const rsp::ReceivedNak&) {
                   if (connection_.acks) connection_.output += connection_.last_frame;
                 },
                 [&](const rsp::ReceivedInterrupt&) {
                   if (connection_.observes) return;
                   threads_touched_ = true;
                   interrupt();
                 },
                 [&](const rsp::BadChecksum&) { connection_.output += '-'; },
                 [&](const rsp::OverlongPacket&) {
                   if (connection_.acks) connection_.output += '+';
                   send(error_reply({Errc::malformed, 0, "The packet is too long"}));
                 },
             },
             event);
}

void Session::on_packet(std::string_view payload) {
  connection_.spoke = true;
  if (connection_.acks) connection_.output += '+';
  if (debug_log().enabled(LogTopic::remote))
    debug_log().write(LogTopic::remote, fmt::format("getpkt (\"{}\");", payload));
  if (const Reply reply = answer(payload)) send(*reply);
}

Reply Session::answer(std::string_view payload) {
  if (is_disabled(payload)) return "";
  const auto request = rsp::parse(payload);
  if (request && only_lldb_sends(*request)) connection_.dialect = Dialect::lldb;
  if (request && connection_.observes) return answer_observer(*request);
  if (request)
    return std::visit(
        [this]<class T>(const T& r) {
          if (!leaves_threads_alone<T>) threads_touched_ = true;
          if (!is_of_query<T> && connection_.stops.on_request(resumes<T>)) threads_touched_ = true;
          return on(r);
        },
        *request);
  // Host I/O has replies of its own, also for what cannot be read: EINVAL.
  if (request.error().code == Errc::malformed && payload.starts_with("vFile:"))
    return rsp::file_error(22);
  return error_reply(request.error());
}

// gdbserver's --disable-packet, by which gdb's tests imitate poorer servers.
bool Session::is_disabled(std::string_view payload) const {
  const DisabledPackets& disabled = settings_.disabled;
  return (disabled.vcont && payload.starts_with("vCont")) ||
         (disabled.current_thread && payload == "qC") ||
         (disabled.thread_list && payload == "qfThreadInfo");
}

void Session::send(std::string_view payload) {
  const std::size_t start = connection_.output.size();
  rsp::append_packet(connection_.output, payload);
  const std::string_view frame = std::string_view(connection_.output).substr(start);
  if (debug_log().enabled(LogTopic::remote))
    debug_log().write(LogTopic::remote, fmt::format("putpkt (\"{}\");", frame));
  if (connection_.acks) connection_.last_frame = frame;
}

void Session::send_console(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min(console_piece, text.size())))
    send(rsp::console_output(text.substr(0, console_piece)));
}

std::string Session::error_reply(const Error& error, bool text_is_fine) const {
  if (connection_.error_strings) return rsp::error_with_hex_text(error);
  return rsp::to_wire(error, connection_.error_message || text_is_fine);
}

Reply Session::reply_to(const Result<void>& result) const {
  return result ? std::string(rsp::ok_reply) : error_reply(result.error());
}

// ---- without a client --------------------------------------------------------------------------

// Whether the server is to outlive its programs. `target remote` is over with its last program even
// with --multi, as with gdbserver; LLDB never says `!`.
bool Session::extended() const {
  return connection_.extended || (settings_.multi && connection_.lldb());
}

// What the user said on the command line goes before what a client likes. gdbserver keeps the
// program as it is, or ends with the connection (--once).
OnDisconnect Session::disconnect_policy() const {
  if (settings_.on_disconnect) return *settings_.on_disconnect;
  if (connection_.detach_on_error) return OnDisconnect::detach;
  return settings_.once ? OnDisconnect::kill : OnDisconnect::keep;
}

// Whatever it is, no breakpoint stays in a program that nobody debugs.
void Session::apply_disconnect_policy(OnDisconnect policy) {
  switch (policy) {
    case OnDisconnect::keep:
      for (const Pid pid : engine_.processes()) remove_points(pid);
      return;
    case OnDisconnect::detach:
      for (const Pid pid : all_processes()) (void)engine_.detach(pid);
      return;
    case OnDisconnect::kill:
      // Said on purpose it is for all; --once alone lets go what was attached to.
      if (!settings_.on_disconnect) return end_all();
      for (const Pid pid : all_processes()) (void)engine_.kill(pid);
      return;
  }
}

// Commands that the client asked to persist (dprintf) stay.
void Session::remove_points(Pid pid) {
  std::vector<Address> leaving;
  engine_.find(pid)->space->sites.for_each([&](const Site& site) {
    if (site.client && !site.program.persist) leaving.push_back(site.address);
  });
  for (const Address at : leaving) (void)remove_breakpoint(pid, at);
  std::erase_if(hardware_points_, [&](const HardwarePointKey& point) {
    const auto& [owner, type, at, length] = point;
    if (owner == pid) (void)engine_.remove_hardware(owner, type, at, length);
    return owner == pid || engine_.find(owner) == nullptr;
  });
}

// Also those that a client has left with commands that go on.
std::vector<Pid> Session::all_processes() const {
  std::vector<Pid> all = engine_.processes();
  for (const Pid pid : engine_.unattended()) all.push_back(pid);
  return all;
}

void Session::end_all() {
  engine_.take_back_unattended();
  std::string killed, detached;
  for (const Pid pid : engine_.processes()) {
    const bool launched = engine_.find(pid)->origin == Inferior::Origin::launched;
    (launched ? killed : detached) += fmt::format(" {}", raw(pid));
    (void)(launched ? engine_.kill(pid) : engine_.detach(pid));
  }
  if (!killed.empty()) say("Killing process(es):" + killed);
  if (!detached.empty()) say("Detaching process(es):" + detached);
}

}  // namespace stub
