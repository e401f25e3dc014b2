// A whole conversation, on a kernel of paper.
//
// Input: lines. A line that begins with '!' is something that happens in the program, with a digit
// for the thread: `!b1` it runs into the breakpoint it stands at, `!s2` a signal, `!x3` it exits,
// `!k1` it is killed, `!c1` it creates a thread, `!f1` it forks, `!e1` it calls exec, `!t1` its
// trap flag, `!g1` job control, `!y1` a system call. `!r` are the bytes of the rest of the line as
// they are. Every other line is a packet's payload.
//
// Holds: one reply at most per packet, and one at least unless the packet resumes or ends
// something; what is sent is frames; output is bounded; nothing is asked of the kernel that makes
// no sense; when a living program is let go, no breakpoint byte is in its memory.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "stub/session/session.h"
#include "stub/stepping/ssol_mapping.h"
#include "tests/fuzz/fuzz.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace {

using namespace stub;

constexpr Address text(0x401000), stack(0x7ff000), area(0x500000);
constexpr std::uint8_t code[] = {0x48, 0xff, 0xc0, 0xeb, 0x00, 0x0f, 0x05, 0x55, 0x5d,
                                 0xff, 0x25, 0x10, 0x00, 0x00, 0x00, 0x48, 0xcf, 0xc3};
constexpr std::size_t most_output = 4u << 20;  // of one packet
constexpr std::size_t most_threads = 8;

class Conversation {
 public:
  Conversation() : engine_(tracee_), session_(engine_, settings()) {
    tracee_.add(fake_pid(1), fake_tid(1), FakeThread::State::stopped);
    fill(tracee_.memory(fake_pid(1)));
    place(fake_tid(1));
    engine_.adopt_launched(fake_pid(1));
    engine_.find(fake_pid(1))->space->areas.add({area, 0x1000});
    session_.connected();
  }

  void line(std::string_view words) {
    if (words.starts_with("!r")) {
      // Nothing else begins a packet that the next line would be taken for a part of.
      arbitrary_ = arbitrary_ || words.find('$') != words.npos;
      return (void)bytes(words.substr(2));
    }
    if (words.starts_with('!')) return happen(words.substr(1));
    packet(words);
  }

  void end() {
    session_.disconnected();
    for (const Pid pid : engine_.processes()) (void)engine_.detach(pid);
    FUZZ_CHECK(tracee_.blunders.empty());
    check_code();
  }

 private:
  SessionSettings settings() {
    SessionSettings settings;
    settings.multi = true;
    settings.host_io = HostIoPolicy::off;
    settings.launch.program = {"/bin/program"};
    settings.launcher = [](const LaunchSpec&) { return fail(Errc::refused, "not here"); };
    settings.console = [](std::string_view) {};
    return settings;
  }

  static void fill(FakeMemory& memory) {
    memory.map(text, 0x1000, true, false);
    memory.map(stack, 0x1000);
    memory.map(area, 0x1000, true, false);
    memory.write(area, blank_slots(0x1000), FakeMemory::Rights::debugger);
    memory.write(text, std::as_bytes(std::span(code)), FakeMemory::Rights::debugger);
  }
  void place(Tid tid) {
    tracee_.at(tid).regs.rip = text.value();
    tracee_.at(tid).regs.rsp = stack.value() + 0x800;
  }

  // A reply to each, besides the stop that the client was waiting for and what the console prints.
  // What does not come as one packet after arbitrary bytes, or after the end, is left out.
  void packet(std::string_view payload) {
    const bool counted = !arbitrary_ && session_.next() == Peer::Next::go_on &&
                         payload.find_first_of("#$}") == payload.npos;
    arbitrary_ = arbitrary_ || !counted;
    const int replies = bytes(rsp::frame_packet(payload));
    if (!counted) return;
    FUZZ_CHECK(replies <= 2);
    FUZZ_CHECK(replies >= 1 || may_be_silent(payload));
  }
  // The reply comes with a stop, with a process, or never.
  static bool may_be_silent(std::string_view payload) {
    return !payload.empty() && (std::string_view("cCsSkR").find(payload[0]) != payload.npos ||
                                payload.starts_with("vCont;") || payload.starts_with("vAttach"));
  }

  int bytes(std::string_view input) {
    // Writes of memory and of registers that the client makes are the client's business.
    changed_ = changed_ || input.find_first_of("MXG") != std::string_view::npos;
    session_.receive(rsp::as_bytes(input));
    const int replies = take();
    if (engine_.find(fake_pid(1)) == nullptr) check_code();
    return replies;
  }

  void check_code() {
    if (changed_ || tracee_.last("kill", fake_tid(1)) != nullptr) return;
    for (std::size_t i = 0; i < sizeof code; ++i)
      FUZZ_CHECK(tracee_.memory(fake_pid(1)).byte(text + i) == code[i]);
  }

  // The number of packets, without the console's.
  int take() {
    std::string output;
    session_.take_output(output);
    FUZZ_CHECK(output.size() < most_output);
    return packets_in(output);
  }

  // Acknowledgements, packets and notifications, each of these with its sum, and nothing else.
  static int packets_in(std::string_view output) {
    int packets = 0;
    while (!output.empty()) {
      const char kind = output.front();
      output.remove_prefix(1);
      if (kind == '+' || kind == '-') continue;
      FUZZ_CHECK(kind == '$' || kind == '%');
      const std::string_view body = output.substr(0, output.find('#'));
      FUZZ_CHECK(output.size() >= body.size() + 3);
      std::uint8_t sum = 0;
      for (const char c : body) sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(c));
      FUZZ_CHECK(body.find('$') == body.npos);
      FUZZ_CHECK(output.substr(body.size() + 1, 2) == fmt::format("{:02x}", sum));
      packets += kind == '$' && (body == "OK" || !body.starts_with('O')) ? 1 : 0;
      output.remove_prefix(body.size() + 3);
    }
    return packets;
  }

  void happen(std::string_view what) {
    if (what.size() < 2) return;
    const Tid tid = fake_tid(what[1] & 7);
    if (!tracee_.alive(tid)) return;
    // The memory of the dead is not looked at, and exec brings another.
    changed_ = changed_ || std::string_view("xke").find(what[0]) != std::string_view::npos;
    switch (what[0]) {
      case 'b':
        return hit(tid);
      case 's':
        return tracee_.signal(tid, what.size() > 2 ? 1 + what[2] % 31 : SIGUSR1), look();
      case 'x':
        return tracee_.exit(tid, 3), look();
      case 'k':
        return tracee_.die_all(tracee_.at(tid).pid), look();
      case 't':
        return tracee_.trap(tid, 2), look();
      case 'g':
        return tracee_.group_stop(tid), look();
      case 'y':
        return tracee_.syscall_stop(tid, 39, (what.size() & 1) != 0), look();
      case 'e':
        return tracee_.event(tid, PtraceEvent::exec, static_cast<std::uint64_t>(raw(tid))), look();
      case 'c':
        return create(tid);
      default:
        return;
    }
  }

  void hit(Tid tid) {
    const Address at = tracee_.at(tid).regs.pc();
    if (tracee_.memory(tracee_.at(tid).pid).byte(at) == 0xcc) tracee_.execute_int3(tid, at);
    look();
  }

  void create(Tid parent) {
    if (tracee_.at(parent).state != FakeThread::State::running) return;
    for (int n = 2; n < static_cast<int>(most_threads); ++n) {
      if (tracee_.knows(fake_tid(n))) continue;
      tracee_.add(tracee_.at(parent).pid, fake_tid(n));
      place(fake_tid(n));
      tracee_.event(parent, PtraceEvent::clone, static_cast<std::uint64_t>(raw(fake_tid(n))));
      tracee_.interrupt_stop(fake_tid(n));
      break;
    }
    look();
  }

  void look() {
    session_.on_child_event();
    take();
  }

  FakeTracee tracee_;
  Engine engine_;
  Session session_;
  bool changed_ = false;    // the code, by somebody else
  bool arbitrary_ = false;  // bytes that need not have been packets have been received
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Conversation conversation;
  for (int lines = 0; lines < 64 && !input.empty(); ++lines) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    conversation.line(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  conversation.end();
  return 0;
}
