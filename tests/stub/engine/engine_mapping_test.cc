// The first site that needs a slot makes a stopped thread of the program map the area. The engine
// reads /proc for where to: this process lends its maps, everything else is paper.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
#include <thread>

#include "tests/stub/engine/engine_fixture.h"

namespace stub {
namespace {

// Allows everything, and shows in /proc.
void filter_this_thread() {
  sock_filter allow BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{1, &allow};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

// A thread of this process, for its entry in /proc.
class RealThread {
 public:
  explicit RealThread(bool filtered)
      : thread_([this, filtered] {
          if (filtered) filter_this_thread();
          started_.set_value(gettid());
          finish_.get_future().wait();
        }),
        tid{started_.get_future().get()} {}
  ~RealThread() {
    finish_.set_value();
    thread_.join();
  }

 private:
  std::promise<pid_t> started_;
  std::promise<void> finish_;
  std::thread thread_;

 public:
  const Tid tid;
};

constexpr std::uint64_t code_segment_32 = 0x23;

struct Mapping {
  RealThread real_thread;  // in whose name the second thread is
  FakeTracee tracee;
  NoBlunders no_blunders{tracee};
  Engine engine{tracee};
  const Pid pid{getpid()};
  const Tid leader = leader_of(pid), second = real_thread.tid;
  std::vector<std::uint64_t> calls;  // numbers
  int fatal_call = -1;
  bool all_die = true;

  explicit Mapping(bool second_is_filtered = false) : real_thread(second_is_filtered) {
    tracee.add(pid, leader, FakeThread::State::stopped);
    FakeMemory& memory = tracee.memory(pid);
    memory.map(text, 0x1000, true, false);
    memory.put(boost_site, {0x48, 0xff, 0xc0});
    memory.put(trap_site, {0x0f, 0x05});
    map_vdso(memory);
    engine.adopt_launched(pid);
    tracee.on_resume = [this](Tid tid, ResumeHow how, int) {
      if (how == ResumeHow::step && tracee.at(tid).regs.pc() == vdso) execute(tid);
    };
  }
  ~Mapping() { tracee.on_resume = nullptr; }

  Address vdso;
  void map_vdso(FakeMemory& memory) {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line))
      if (line.find("[vdso]") != std::string::npos) break;
    REQUIRE(!line.empty());
    vdso = Address(std::stoull(line, nullptr, 16));
    memory.map(vdso, 0x1000, true, false);
    memory.put(vdso, {0x0f, 0x05});
    memory.name(vdso, "[vdso]");
  }
  // The kernel's side of mmap, madvise and prctl.
  void execute(Tid tid) {
    FakeThread& thread = tracee.at(tid);
    const std::uint64_t number = thread.regs.rax;
    CHECK(thread.dispatch == SyscallDispatch());
    if (static_cast<int>(calls.size()) == fatal_call) {
      fatal_call = -1;
      return all_die ? tracee.die_all(pid) : tracee.die(tid);
    }
    calls.push_back(number);
    thread.regs.rax = 0;
    if (tracee.registered_rseq_area)
      tracee.memory(pid).put(*tracee.registered_rseq_area + rseq_cs_offset, {0, 0});
    if (number == 9 && thread.regs.rdi == 0) {
      thread.regs.rdi = 0x700000;  // anywhere, for the client
    } else if (number == 9) {
      CHECK(thread.regs.rdx == 5);  // PROT_READ | PROT_EXEC
    }
    if (number == 9) {
      tracee.memory(pid).map(Address(thread.regs.rdi), thread.regs.rsi, true, false);
      thread.regs.rax = thread.regs.rdi;
    }
    if (number == 11) tracee.memory(pid).unmap(Address(thread.regs.rdi), thread.regs.rsi);
    thread.regs.rip += 2;
    tracee.trap(tid, trap_trace);
  }
  void run() {
    const ResumeAction all;
    (void)engine.resume({&all, 1});
  }
  std::optional<StopReport> report() {
    engine.on_child_event();
    return engine.take_report();
  }
  void hit(Tid tid) {
    tracee.execute_int3(tid, boost_site);
    REQUIRE(report().has_value());
    run();
    engine.on_child_event();  // in place: the others come to rest first
  }
  void step_in_place(Tid tid) {
    CHECK(tracee.at(tid).regs.pc() == boost_site);
    tracee.at(tid).regs.rip += 3;
    tracee.trap(tid, trap_trace);
    engine.on_child_event();
  }
  void add_second() {
    run();
    tracee.add(pid, second);
    tracee.at(second).regs.rip = plain_code.value();
    tracee.event(leader, PtraceEvent::clone, static_cast<std::uint64_t>(raw(second)));
    tracee.interrupt_stop(second);
    engine.on_child_event();
  }
};

TEST_CASE("mapping: on demand, near the text, and the thread goes on in its slot") {
  Mapping m;
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.run();
  m.tracee.at(m.leader).regs.rbx = 77;
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  CHECK(m.calls.empty());
  m.run();
  REQUIRE_FALSE(m.calls.empty());
  CHECK(m.calls[0] == 9);
  const auto& regs = m.tracee.at(m.leader).regs;
  const auto& areas = m.engine.find(m.pid)->space->areas;
  REQUIRE(areas.at(regs.pc()) != nullptr);
  CHECK(std::abs(regs.pc() - text) < std::int64_t{1} << 31);
  CHECK(regs.rbx == 77);
  const std::size_t calls = m.calls.size();
  m.tracee.signal(m.leader, SIGUSR1);
  REQUIRE(m.report().has_value());
  m.run();
  CHECK(m.calls.size() == calls);  // once
}

TEST_CASE("mapping: the thread or the process dies in one of the calls") {
  for (const bool all : {true, false})
    for (int n = 0; n < 4; ++n) {
      INFO("call " << n << (all ? ", all" : ", the thread"));
      Mapping m;
      m.add_second();
      REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
      m.tracee.execute_int3(m.second, boost_site);
      m.engine.on_child_event();
      const auto hit = m.engine.take_report();
      REQUIRE(hit.has_value());
      m.fatal_call = n;
      m.all_die = all;
      m.run();
      CHECK(m.fatal_call == -1);
      const auto told = m.report();
      if (all) {
        REQUIRE(told.has_value());
        CHECK(told->stop.kind == StopKind::process_killed);
        CHECK(m.engine.processes().empty());
      } else {
        CHECK_FALSE(told.has_value());
        CHECK(m.engine.threads(m.pid) == std::vector<Tid>{m.leader});
        CHECK(m.tracee.at(m.leader).state == FakeThread::State::running);
      }
    }
}

TEST_CASE("mapping: not by a thread with a filter that cannot be suspended, but by another") {
  Mapping m(true);
  m.tracee.may_suspend_seccomp = false;
  m.add_second();
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.hit(m.second);
  CHECK(m.calls.empty());
  m.step_in_place(m.second);
  m.hit(m.leader);
  CHECK_FALSE(m.calls.empty());
  const auto& areas = m.engine.find(m.pid)->space->areas;
  CHECK(areas.at(m.tracee.at(m.leader).regs.pc()) != nullptr);
  m.hit(m.second);
  CHECK(areas.at(m.tracee.at(m.second).regs.pc()) != nullptr);
}

constexpr SyscallDispatch dispatched{.mode = 1, .selector = 0x5000, .offset = 1, .length = 2};

TEST_CASE("mapping: a thread's system calls are not dispatched while it is borrowed") {
  Mapping m;
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.run();
  m.tracee.at(m.leader).dispatch = dispatched;
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  m.run();
  CHECK_FALSE(m.calls.empty());
  CHECK(m.tracee.at(m.leader).dispatch == dispatched);
}

TEST_CASE("mapping: a thread in a restartable sequence is in it still when it has been borrowed") {
  Mapping m;
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  const Address area = text + 0x800, mark = area + rseq_cs_offset;
  m.tracee.registered_rseq_area = area;
  m.tracee.memory(m.pid).put(mark, {0x34, 0x12});
  m.run();
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  m.run();
  CHECK_FALSE(m.calls.empty());
  CHECK(m.tracee.memory(m.pid).byte(mark) == 0x34);
  CHECK(m.tracee.memory(m.pid).byte(mark + 1) == 0x12);
}

TEST_CASE("mapping: not by a thread whose dispatch could not be set up again, but by another") {
  Mapping m;
  m.add_second();
  m.tracee.at(m.second).dispatch = dispatched;
  m.tracee.may_arm_dispatch = false;
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.hit(m.second);
  CHECK(m.calls.empty());
  CHECK(m.tracee.at(m.second).dispatch == dispatched);
  m.step_in_place(m.second);
  m.hit(m.leader);
  CHECK_FALSE(m.calls.empty());
}

TEST_CASE("mapping: not by a thread in code of another word size, until it is back") {
  Mapping m;
  m.add_second();
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.tracee.at(m.second).regs.cs = code_segment_32;
  m.hit(m.second);
  CHECK(m.calls.empty());
  m.step_in_place(m.second);
  m.tracee.at(m.second).regs.cs = 0x33;
  m.hit(m.second);
  CHECK_FALSE(m.calls.empty());
}

TEST_CASE("mapping: an area is taken away by a thread that can be asked") {
  Mapping m;
  m.add_second();
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.hit(m.second);
  REQUIRE_FALSE(m.calls.empty());
  m.tracee.at(std::min(m.leader, m.second)).regs.cs = code_segment_32;
  m.calls.clear();
  CHECK(m.engine.detach(m.pid).has_value());
  CHECK(m.calls == std::vector<std::uint64_t>{11});
}

TEST_CASE("mapping: what the program has mapped in the place of an area is not unmapped") {
  Mapping m;
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.run();
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  m.run();
  const auto ranges = m.engine.find(m.pid)->space->areas.ranges();
  REQUIRE(ranges.size() == 1);
  FakeMemory& memory = m.tracee.memory(m.pid);
  m.calls.clear();
  SECTION("data") { memory.map(ranges[0].start, ranges[0].size); }
  SECTION("code") {
    memory.map(ranges[0].start, ranges[0].size, true, false);
    memory.put(ranges[0].start, {0xc3});
  }
  SECTION("a part of it") { memory.unmap(ranges[0].start + 0x1000, 0x1000); }
  SECTION("it has made it writable") {
    memory.protect(ranges[0].start, ranges[0].size, true, true, false);
  }
  CHECK(m.engine.detach(m.pid).has_value());
  CHECK(m.calls.empty());
}

// Calls are executed at other places than the first of the vDSO as well.
struct Elsewhere : Mapping {
  std::vector<Address> places;
  void execute_at(Address allowed) {
    tracee.on_resume = [this, allowed](Tid tid, ResumeHow how, int) {
      const Address pc = tracee.at(tid).regs.pc();
      if (how != ResumeHow::step) return;
      places.push_back(pc);
      if (pc == allowed) execute(tid);
    };
  }
  bool allocates() { return engine.allocate_memory(pid, 0x1000, 3).has_value(); }
};

TEST_CASE("mapping: the instruction that is borrowed is none with a breakpoint on it") {
  constexpr Address library(0x600000);
  for (const char* obstacle : {"a site", "a site in its middle", "a debug register", "unmapped"})
    for (const char* other : {"in the vDSO", "in a library", "nowhere"}) {
      INFO(obstacle << ", another one " << other);
      Elsewhere m;
      m.execute_at(m.vdso);
      REQUIRE(m.allocates());  // chosen once
      const bool unmapped = obstacle == std::string("unmapped");
      FakeMemory& memory = m.tracee.memory(m.pid);
      Address at;
      if (other == std::string("in the vDSO")) {
        if (unmapped) continue;
        at = m.vdso + 0x10;
        memory.put(at, {0x0f, 0x05});
      } else if (other == std::string("in a library")) {
        memory.map_file(library, {0xb8, 0x0f, 0x05, 0, 0});
        at = library + 1;  // in the middle of an instruction
      }
      if (unmapped) memory.unmap(m.vdso, 1);
      if (obstacle == std::string("a site"))
        REQUIRE(m.engine.insert_breakpoint(m.pid, m.vdso, {}).has_value());
      if (obstacle == std::string("a site in its middle"))
        REQUIRE(m.engine.insert_breakpoint(m.pid, m.vdso + 1, {}).has_value());
      if (obstacle == std::string("a debug register"))
        REQUIRE(m.engine.insert_hardware(m.pid, rsp::PointType::hardware_breakpoint, m.vdso, 1, {})
                    .has_value());
      m.places.clear();
      m.execute_at(at);
      CHECK(m.allocates() == (at != Address()));
      CHECK(m.places == (at == Address() ? std::vector<Address>{} : std::vector<Address>{at}));
    }
}

TEST_CASE("mapping: memory of the client's that the program has replaced is not unmapped") {
  Mapping m;
  const auto start = m.engine.allocate_memory(m.pid, 0x1000, 3);
  REQUIRE(start.has_value());
  m.tracee.memory(m.pid).map_file(*start, {1});
  m.calls.clear();
  CHECK_FALSE(m.engine.free_memory(m.pid, *start).has_value());
  CHECK(m.calls.empty());
}

TEST_CASE("mapping: a place other than the one asked for is given back") {
  Mapping m;
  constexpr std::uint64_t elsewhere = 0x7000'0000'0000;
  std::vector<std::uint64_t> unmapped;
  m.tracee.on_resume = [&](Tid tid, ResumeHow how, int) {
    FakeThread& thread = m.tracee.at(tid);
    if (how != ResumeHow::step || thread.regs.pc() != m.vdso) return;
    if (thread.regs.rax == 11) unmapped.push_back(thread.regs.rdi);
    thread.regs.rax = thread.regs.rax == 9 ? elsewhere : 0;
    thread.regs.rip += 2;
    m.tracee.trap(tid, trap_trace);
  };
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.run();
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  m.run();
  CHECK(unmapped == std::vector<std::uint64_t>{elsewhere});
  CHECK(m.engine.find(m.pid)->space->areas.ranges().empty());
  CHECK(m.tracee.at(m.leader).regs.pc() == boost_site);
}

TEST_CASE("mapping: refused, so the byte is lifted for each step") {
  Mapping m;
  m.tracee.on_resume = [&](Tid tid, ResumeHow how, int) {
    FakeThread& thread = m.tracee.at(tid);
    if (how != ResumeHow::step || thread.regs.pc() != m.vdso) return;
    thread.regs.rax = static_cast<std::uint64_t>(-12);
    thread.regs.rip += 2;
    m.tracee.trap(tid, trap_trace);
  };
  REQUIRE(m.engine.insert_breakpoint(m.pid, boost_site, {}).has_value());
  m.run();
  m.tracee.execute_int3(m.leader, boost_site);
  REQUIRE(m.report().has_value());
  m.run();
  CHECK(m.tracee.memory(m.pid).byte(boost_site) == 0x48);
  CHECK(m.tracee.last("resume", m.leader)->how == ResumeHow::step);
  CHECK(m.tracee.at(m.leader).regs.pc() == boost_site);
}

}  // namespace
}  // namespace stub
