// A client talking to a session about a process on a kernel of paper. No bytes leave the test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/framing.h"
#include "protocol/hex.h"
#include "stub/session/session.h"
#include "tests/stub/engine/engine_fixture.h"

namespace stub {

// Thread n of the process in packets: fake ids begin at 5,000,000 = 0x4c4b40.
inline std::string wire_tid(int n) {
  return rsp::hex_number(static_cast<std::uint64_t>(first_fake_id + n));
}
inline std::string wire_id(int n) { return "p" + wire_tid(1) + "." + wire_tid(n); }

inline SessionSettings test_settings() {
  SessionSettings settings;
  settings.launch.program = {"/bin/program"};
  settings.launcher = [](const LaunchSpec&) { return fail(Errc::refused, "no launcher"); };
  return settings;
}

struct Client {
  World w;
  std::string console;  // what the session printed for nobody in particular
  std::vector<LaunchSpec> launched;
  Session session;

  explicit Client(int threads = 1, bool non_stop = false,
                  SessionSettings settings = test_settings())
      : w(threads), session(w.engine, with_seams(std::move(settings))) {
    session.connected();
    ask("QStartNoAckMode");
    raw("+");
    if (non_stop) REQUIRE(ask("QNonStop:1") == "OK");
  }

  SessionSettings with_seams(SessionSettings settings) {
    settings.console = [this](std::string_view text) { console += text; };
    settings.launcher = [this](const LaunchSpec& spec) { return launch(spec); };
    return settings;
  }

  // A program "starts" as process 50, 51, ...; one called /fails does not.
  Result<Pid> launch(const LaunchSpec& spec) {
    launched.push_back(spec);
    if (spec.program.front() == "/fails")
      return fail(Errc::refused, "During startup program exited with code 127.");
    const int n = 49 + static_cast<int>(launched.size());
    w.tracee.add(fake_pid(n), fake_tid(n), FakeThread::State::stopped);
    World::fill(w.tracee.memory(fake_pid(n)));
    w.place(fake_tid(n), plain_code);
    return fake_pid(n);
  }

  // Everything the session has to say after these bytes.
  std::string raw(std::string_view bytes) {
    session.receive(rsp::as_bytes(bytes));
    return taken();
  }
  std::string taken() {
    std::string output;
    session.take_output(output);
    return output;
  }
  // The payload of the one reply; "(nothing)" when there is none, all frames when there are more.
  std::string ask(std::string_view payload) { return payload_of(raw(rsp::frame_packet(payload))); }
  // The same for what comes without being asked, after children have changed state.
  std::string event() {
    session.on_child_event();
    return payload_of(taken());
  }
  static std::string payload_of(std::string output) {
    while (output.starts_with("+")) output.erase(0, 1);
    if (output.empty()) return "(nothing)";
    const std::size_t end = output.find('#');
    const bool one = output.front() == '$' && end + 3 == output.size();
    return one ? output.substr(1, end - 1) : output;
  }

  void speak_gdb() {
    ask("qSupported:multiprocess+;swbreak+;hwbreak+;fork-events+;vfork-events+;exec-events+;"
        "vContSupported+;QThreadEvents+;no-resumed+;xmlRegisters=i386");
  }
  void speak_lldb() {
    ask("qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+;fork-events+;vfork-events+");
    ask("QThreadSuffixSupported");
    ask("QListThreadsInStopReply");
  }
};

// The three registers gdbserver sends with a stop, as the fixture places threads.
inline std::string expedited_text(Address pc) {
  const auto hex = [](std::uint64_t value) {
    return rsp::to_hex(std::as_bytes(std::span(&value, 1)));
  };
  return "06:" + hex(0) + ";07:" + hex(stack.value() + 0x800) + ";10:" + hex(pc.value()) + ";";
}

}  // namespace stub
