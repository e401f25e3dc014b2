// Commands that go on without the client concern the process they are in, and nobody else.
#include "tests/stub/session/session_fixture.h"

namespace stub {
namespace {

// gdb's dprintf with `set disconnected-dprintf on`: prints x=5.
constexpr char persistent[] = "Z0,401010,1;cmds:1,X12,22052200220034010007783d25645c6e0027";

struct Forking : Client {
  const Pid child = fake_pid(50);

  Forking() {
    speak_gdb();
    REQUIRE(ask(persistent) == "OK");
    REQUIRE(ask("vCont;c") == "(nothing)");
  }
  void forks(PtraceEvent kind) {
    w.tracee.add(child, leader_of(child));
    if (kind == PtraceEvent::vfork)
      w.tracee.share_memory(child, w.pid);
    else
      w.tracee.copy_memory(child, w.pid);
    w.place(leader_of(child), plain_code);
    w.tracee.event(w.leader, kind, static_cast<std::uint64_t>(stub::raw(child)));
    w.tracee.interrupt_stop(leader_of(child));
  }
  std::string detach_child() { return ask("D;" + wire_tid(50)); }
};

TEST_CASE("unattended: a fork child that the client detaches from is detached") {
  Forking c;
  c.forks(PtraceEvent::fork);
  CHECK(c.event().find("fork:") != std::string::npos);
  CHECK(c.detach_child() == "OK");
  CHECK(c.w.tracee.count("detach", leader_of(c.child)) == 1);
  CHECK(c.w.tracee.memory(c.child).byte(boost_site) == 0x48);
  CHECK(c.ask("vCont;c") == "(nothing)");
  CHECK(Client::payload_of(c.raw("\x03")).starts_with("T02"));
}

TEST_CASE("unattended: nor does a vfork child change the session") {
  Forking c;
  c.forks(PtraceEvent::vfork);
  CHECK(c.event().find("vfork:") != std::string::npos);
  CHECK(c.detach_child() == "OK");
  CHECK_FALSE(c.w.engine.non_stop());
  CHECK(c.ask("vCont;c") == "(nothing)");
  c.w.at(1).deaf = true;
  CHECK(Client::payload_of(c.raw("\x03")).starts_with("T02"));  // while it sleeps
  CHECK(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.exit(leader_of(c.child));
  c.w.at(1).deaf = false;
  c.w.tracee.event(c.w.leader, PtraceEvent::vfork_done, 0);
  CHECK(c.event().find("vforkdone:") != std::string::npos);
  CHECK(c.ask("vCont;c") == "(nothing)");
  c.w.tracee.execute_int3(c.w.leader, boost_site);
  CHECK(c.event().starts_with("O"));  // the command's output
  CHECK(c.w.is_running(1));
}

// As gdb with detach-on-fork off does: it inserts its breakpoints in the child, too.
TEST_CASE("unattended: a child that was given commands of its own is left running with them") {
  Forking c;
  c.forks(PtraceEvent::fork);
  CHECK(c.event().find("fork:") != std::string::npos);
  REQUIRE(c.ask("Hgp" + wire_tid(50) + ".0") == "OK");
  REQUIRE(c.ask(persistent) == "OK");
  CHECK(c.detach_child() == "OK");
  CHECK(c.w.tracee.count("detach", leader_of(c.child)) == 0);
  CHECK(c.w.engine.processes() == std::vector{c.w.pid});
  CHECK(c.w.engine.unattended() == std::vector{c.child});
  // All-stop for the client, and the other one runs through it.
  CHECK(c.ask("vCont;c") == "(nothing)");
  CHECK(Client::payload_of(c.raw("\x03")).starts_with("T02"));
  CHECK_FALSE(c.w.is_running(1));
  REQUIRE(c.w.tracee.at(leader_of(c.child)).state == FakeThread::State::running);
  c.w.tracee.execute_int3(leader_of(c.child), boost_site);
  CHECK(c.event() == "(nothing)");
  CHECK(c.console == "x=5\n");
  CHECK(c.w.tracee.at(leader_of(c.child)).state == FakeThread::State::running);
  CHECK_FALSE(c.w.is_running(1));
  c.w.tracee.signal(leader_of(c.child), SIGUSR1);
  CHECK(c.event() == "(nothing)");
  CHECK(c.w.tracee.last("resume", leader_of(c.child))->signal == SIGUSR1);
  // The next client has both.
  c.session.disconnected();
  CHECK(c.session.next() == Peer::Next::go_on);
  c.session.connected();
  CHECK(c.w.engine.processes().size() == 2);
}

TEST_CASE("unattended: the server stays for it, and ends it") {
  Client c;
  c.speak_gdb();
  REQUIRE(c.ask(persistent) == "OK");
  CHECK(c.ask("D;" + wire_tid(1)) == "OK");
  CHECK(c.session.next() == Peer::Next::go_on);
  CHECK(c.w.is_running(1));
  SECTION("its end is nobody's business") {
    c.w.tracee.exit(c.w.leader);
    CHECK(c.event() == "(nothing)");
    CHECK(c.w.engine.unattended().empty());
  }
  SECTION("the server ends") {
    c.session.end_all();
    CHECK(c.w.tracee.count("kill", c.w.leader) == 1);  // it was started here
  }
}

}  // namespace
}  // namespace stub
