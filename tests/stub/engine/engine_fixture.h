// A process of a few threads under an engine, on a kernel of paper.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "stub/engine/engine.h"
#include "stub/stepping/ssol_mapping.h"
#include "tests/catch.h"
#include "tests/stub/kernel/fake_tracee.h"

namespace stub {

// One instruction for each way of stepping over it.
inline constexpr Address text(0x401000);
inline constexpr Address boost_site(0x401010);     // inc %rax
inline constexpr Address emulate_site(0x401020);   // jmp +0x1e
inline constexpr Address trap_site(0x401030);      // syscall
inline constexpr Address in_place_site(0x401040);  // iretq
inline constexpr Address push_site(0x401050);      // push %rbp
inline constexpr Address plain_code(0x401080);     // nops
inline constexpr Address jump_target(0x401040);
inline constexpr Address area(0x500000), stack(0x7ff000), area_size_end(0x501000);

inline constexpr int si_kernel = 0x80, trap_trace = 2;

inline bool in_area(std::uint64_t pc) { return pc >= area.value() && pc < area_size_end.value(); }

// To the end, that of the engine included, nothing was asked of the kernel that makes no sense.
struct NoBlunders {
  const FakeTracee& tracee;
  ~NoBlunders() { CHECK(tracee.blunders == std::vector<std::string>{}); }
};

struct World {
  FakeTracee tracee;
  NoBlunders no_blunders{tracee};
  Engine engine{tracee};
  const Pid pid = fake_pid(1);
  const Tid leader = leader_of(fake_pid(1));

  // Threads 1..count, all held by the client; the log of calls is empty.
  explicit World(int count = 1, bool non_stop = false) {
    tracee.add(pid, leader, FakeThread::State::stopped);
    fill(tracee.memory(pid));
    place(leader, plain_code);
    if (non_stop) engine.set_non_stop(true);
    engine.adopt_launched(pid);
    engine.find(pid)->space->areas.add({area, 0x1000});
    for (int n = 2; n <= count; ++n) clone(n);
    tracee.calls.clear();
    tracee.calls_counted = 0;
  }

  static void fill(FakeMemory& memory) {
    memory.map(text, 0x1000, true, false);
    memory.map(area, 0x1000, true, false);
    memory.map(stack, 0x1000);
    std::vector<std::byte> nops(0x1000, std::byte{0x90});
    memory.write(text, nops, FakeMemory::Rights::debugger);
    memory.put(boost_site, {0x48, 0xff, 0xc0});
    memory.put(emulate_site, {0xeb, 0x1e});
    memory.put(trap_site, {0x0f, 0x05});
    memory.put(in_place_site, {0x48, 0xcf});
    memory.put(push_site, {0x55});
    memory.write(area, blank_slots(0x1000), FakeMemory::Rights::debugger);
  }

  static Tid t(int n) { return fake_tid(n); }
  FakeThread& at(int n) { return tracee.at(t(n)); }
  FakeMemory& memory() { return tracee.memory(pid); }
  AddressSpace& space() { return *engine.find(pid)->space; }

  void place(Tid tid, Address pc) {
    tracee.at(tid).regs.rip = pc.value();
    tracee.at(tid).regs.rsp = stack.value() + 0x800;
  }

  // A thread more, made by the leader, held like the rest afterwards.
  void clone(int n) {
    const bool non_stop = engine.non_stop();
    run({leader});
    announce_clone(leader, n);
    engine.on_child_event();
    if (non_stop) {
      stop({leader, t(n)});
    } else {
      REQUIRE(engine.interrupt(leader).has_value());
      engine.on_child_event();
      REQUIRE(engine.take_report().has_value());
    }
    REQUIRE(engine.find(t(n)) != nullptr);
  }
  void announce_clone(Tid parent, int n) {
    tracee.add(tracee.at(parent).pid, t(n));
    place(t(n), plain_code);
    tracee.event(parent, PtraceEvent::clone, static_cast<std::uint64_t>(raw(t(n))));
    tracee.interrupt_stop(t(n));
  }

  // ---- requests
  // ----------------------------------------------------------------------------------
  Result<void> resume(ResumeAction::Kind kind, std::initializer_list<Tid> tids, int signal = 0) {
    std::vector<ResumeAction> actions;
    for (const Tid tid : tids) {
      ResumeAction action;
      action.kind = kind;
      action.signal = signal;
      action.tid = tid;
      actions.push_back(action);
    }
    if (tids.size() == 0) {
      ResumeAction all;
      all.kind = kind;
      all.signal = signal;
      actions.push_back(all);
    }
    return engine.resume(actions);
  }
  void run(std::initializer_list<Tid> tids = {}, int signal = 0) {
    REQUIRE(resume(ResumeAction::Kind::run, tids, signal).has_value());
  }
  void step(Tid tid) { REQUIRE(resume(ResumeAction::Kind::step, {tid}).has_value()); }
  // vCont;t and its reports taken.
  void stop(std::initializer_list<Tid> tids) {
    REQUIRE(resume(ResumeAction::Kind::stop, tids).has_value());
    engine.on_child_event();
    for (std::size_t i = 0; i < tids.size(); ++i) REQUIRE(engine.take_report().has_value());
  }
  void insert(Address at) { REQUIRE(engine.insert_breakpoint(pid, at, {}).has_value()); }
  void remove(Address at) { REQUIRE(engine.remove_breakpoint(pid, at).has_value()); }

  // ---- what the client sees
  // ---------------------------------------------------------------------- The reports there are,
  // as "3 breakpoint", "1 signal 10"; the session takes one, and the next only after the client has
  // resumed.
  std::string report() {
    for (int i = 0; i < 20; ++i) {
      engine.on_child_event();
      if (const auto told = engine.take_report()) return describe(*told);
      if (!tracee.pending()) break;
    }
    return "nothing";
  }
  std::string reports() {
    std::string all;
    for (std::string one = report(); one != "nothing"; one = report())
      all += (all.empty() ? "" : ", ") + one;
    return all.empty() ? "nothing" : all;
  }
  static std::string describe(const StopReport& told) {
    static constexpr const char* names[] = {
        "signal",         "breakpoint",     "hw_breakpoint",  "write_watch", "access_watch",
        "step",           "fork",           "vfork",          "vfork_done",  "exec",
        "entry",          "return",         "thread_created", "cloned",      "thread_exited",
        "process_exited", "process_killed", "no_resumed"};
    std::string text = std::to_string(raw(told.tid) - first_fake_id) + " " +
                       names[static_cast<std::size_t>(told.stop.kind)];
    if (told.stop.kind == StopKind::signal || told.stop.kind == StopKind::process_killed)
      text += " " + std::to_string(told.stop.signal);
    return text;
  }
  std::uint64_t pc(int n) {
    const auto file = engine.read_registers(t(n), {});
    return file ? file->general.rip : 0;
  }

  // The reported thread stands where the client expects it; nothing of ours is visible.
  bool is_running(int n) { return at(n).state == FakeThread::State::running; }
  std::uint64_t kernel_pc(int n) { return at(n).regs.rip; }
};

// Thread n into the slot of a site, by a hit that was told and continued.
inline const Slot* enter_slot(World& w, int n, Address site) {
  w.insert(site);
  w.run();
  w.tracee.execute_int3(w.t(n), site);
  REQUIRE(w.report() == std::to_string(n) + " breakpoint");
  w.run();
  REQUIRE(w.is_running(n));
  const Slot* slot = w.space().areas.at(Address(w.kernel_pc(n)));
  REQUIRE(slot != nullptr);
  return slot;
}

}  // namespace stub
