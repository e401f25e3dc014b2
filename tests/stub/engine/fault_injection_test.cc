// Each request to the kernel fails once, in turn, over a whole session: every packet is answered,
// and in the end the program is as it was.
#include <csignal>
#include <string>

#include "stub/inferior/hardware_points.h"
#include "stub/kernel/retrying_tracee.h"
#include "tests/stub/kernel/faulty_tracee.h"
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

// The session of session_fixture.h with a fault between the engine and the kernel of paper.
struct FaultySession {
  FakeTracee kernel;
  FaultyTracee faulty{kernel};
  RetryingTracee tracee{faulty};
  Engine engine{tracee};
  Session session{engine, test_settings()};
  const Pid pid = fake_pid(1);

  FaultySession() {
    place(1, FakeThread::State::stopped);
    World::fill(kernel.memory(pid));
    engine.adopt_launched(pid);
    engine.find(pid)->space->areas.add({area, 0x1000});
    add_thread();
    session.connected();
    faulty.calls = 0;
  }
  void place(int n, FakeThread::State state) {
    FakeThread& thread = kernel.add(pid, fake_tid(n), state);
    thread.regs.rip = plain_code.value();
    thread.regs.rsp = stack.value() + 0x800;
  }
  void add_thread() {
    const ResumeAction run;
    REQUIRE(engine.resume({&run, 1}).has_value());
    place(2, FakeThread::State::running);
    kernel.event(fake_tid(1), PtraceEvent::clone, static_cast<std::uint64_t>(raw(fake_tid(2))));
    kernel.interrupt_stop(fake_tid(2));
    engine.on_child_event();
    REQUIRE(engine.interrupt(fake_tid(1)).has_value());
    engine.on_child_event();
    REQUIRE(engine.take_report().has_value());
    REQUIRE(engine.find(fake_tid(2)) != nullptr);
  }

  // Every packet has one reply, or a resume's comes later.
  std::string ask(const std::string& payload) {
    session.receive(rsp::as_bytes(rsp::frame_packet(payload)));
    const std::string reply = taken();
    INFO("reply to " << payload << ": " << reply);
    if (payload.starts_with("vCont")) {
      awaiting = reply.empty();
    } else {
      CHECK(std::count(reply.begin(), reply.end(), '$') == 1);
    }
    return reply;
  }
  std::string taken() {
    std::string output;
    session.take_output(output);
    std::erase(output, '+');
    return output;
  }
  void look() {
    for (int i = 0; i < 20 && (i < 2 || kernel.pending()); ++i) session.on_child_event();
    if (!taken().empty()) awaiting = false;
  }
  bool running(int n) { return kernel.at(fake_tid(n)).state == FakeThread::State::running; }
  std::uint64_t pc(int n) { return kernel.at(fake_tid(n)).regs.rip; }
  void hit(int n, Address site) {
    if (running(n) && kernel.memory(pid).byte(site) == 0xcc) kernel.execute_int3(fake_tid(n), site);
    look();
  }
  // A slot that ends in int3, and a step with the trap flag, come to their ends.
  void finish_steps() {
    for (int n = 1; n <= 2; ++n) {
      if (!running(n)) continue;
      const Slot* slot = engine.find(pid)->space->areas.at(Address(pc(n)));
      const FakeCall* last = kernel.last("resume", fake_tid(n));
      if (slot != nullptr && slot->ending == x86::Ending::trap) {
        kernel.execute_int3(fake_tid(n), slot->address + slot->code.executed);
      } else if (last != nullptr && last->how == ResumeHow::step) {
        kernel.at(fake_tid(n)).regs.rip = plain_code.value();
        kernel.trap(fake_tid(n), trap_trace);
      }
      look();
    }
  }
  void stop() {
    if (!awaiting) return;
    session.receive(rsp::as_bytes("\x03"));
    look();
    CHECK_FALSE(awaiting);
  }

  bool awaiting = false;
};

std::string hex(Address address) { return rsp::hex_number(address.value()); }

void converse(FaultySession& s) {
  s.ask("QStartNoAckMode");
  s.ask("qSupported:multiprocess+;swbreak+;vContSupported+");
  for (const char* query : {"?", "g", "qfThreadInfo", "qsThreadInfo", "p10", "qC"}) s.ask(query);
  s.ask("m" + hex(text) + ",20");
  s.ask("M" + hex(stack) + ",4:01020304");
  for (const Address at : {boost_site, emulate_site, trap_site, in_place_site, push_site})
    s.ask("Z0," + hex(at) + ",1");
  s.ask("Z2," + hex(stack) + ",4");
  for (const Address at : {boost_site, emulate_site, trap_site, push_site, in_place_site}) {
    for (const char* resume : {"vCont;c", "vCont;s"}) {
      s.ask(resume);
      s.hit(1, at);
      s.hit(2, at);
      s.finish_steps();
      s.stop();
      s.ask("g");
    }
  }
  s.ask("vCont;c");
  if (s.running(2)) s.kernel.signal(fake_tid(2), SIGUSR1);
  s.look();
  s.stop();
  s.ask("vCont;C1e");
  s.finish_steps();
  s.stop();
  s.ask("z0," + hex(boost_site) + ",1");
  s.ask("m" + hex(boost_site) + ",4");
  s.ask("vCont;c");
  s.hit(1, push_site);
  s.stop();
  s.ask("D;" + rsp::hex_number(static_cast<std::uint64_t>(raw(s.pid))));
}

void check_clean(FaultySession& s) {
  FakeTracee untouched;
  untouched.add(s.pid, leader_of(s.pid));
  World::fill(untouched.memory(s.pid));
  for (std::uint64_t offset = 0; offset < 0x100; ++offset)
    CHECK(s.kernel.memory(s.pid).byte(text + offset) ==
          untouched.memory(s.pid).byte(text + offset));
  for (int n = 1; n <= 2; ++n) {
    const FakeThread& thread = s.kernel.at(fake_tid(n));
    CHECK(thread.state == FakeThread::State::dead);  // let go
    CHECK_FALSE(in_area(thread.regs.rip));
    const auto control = thread.user.find(debug_control_offset());
    CHECK((control == thread.user.end() || control->second == 0));
  }
  CHECK(s.kernel.blunders.empty());
  CHECK(s.engine.processes().empty());
}

TEST_CASE("fault injection: every request to the kernel fails once, the program is let go clean") {
  for (const int error : {EIO, EPERM, EFAULT, ENOMEM, EINTR}) {
    int calls = 1;
    for (int n = -1; n < calls; ++n) {
      FaultySession s;
      s.faulty.fail_at = n;
      s.faulty.error = error;
      converse(s);
      INFO("call " << n << ", " << s.faulty.failed << " fails with " << std::strerror(error));
      check_clean(s);
      if (n < 0) {
        calls = s.faulty.calls;
        CHECK(calls > 100);
      }
    }
  }
}

}  // namespace
}  // namespace stub
