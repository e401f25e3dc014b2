// A kernel of paper: threads, memory and wait statuses as a test writes them down.
//
// Most faults of a debugger are races, and races are orders of events. Here the test decides the
// order: it stops threads one by one with the statuses and registers the kernel would show, lets
// the engine look, and asks what the engine did. What the real kernel enforces is enforced: a
// thread that runs has no registers to read and cannot be resumed, a dead one answers ESRCH, an
// interrupt sent to a stopped thread comes after its next resume, and any other stop takes an
// outstanding one away.
//
// The engine also reads /proc. Ids are above the kernel's largest (2^22, linux/threads.h), so that
// whatever it finds there is "no such process" and never somebody else's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "stub/kernel/tracee.h"
#include "stub/kernel/wait_status.h"

namespace stub {

inline constexpr pid_t first_fake_id = 5'000'000;
constexpr Pid fake_pid(int n) { return Pid{first_fake_id + n}; }
constexpr Tid fake_tid(int n) { return Tid{first_fake_id + n}; }

// Sparse pages with protections; shared between processes as a vfork child's is. The program maps
// what it likes over what was there.
class FakeMemory {
 public:
  static constexpr std::uint64_t page_size = 4096;

  // Anonymous; executable if it is readable and not writable.
  void map(Address from, std::uint64_t size, bool readable = true, bool writable = true);
  // Text of a file, one page or more, beginning with these bytes.
  void map_file(Address from, std::initializer_list<int> bytes, const char* path = "/lib/some.so");
  void share(Address from, std::uint64_t size);  // the pages that are mapped are shared memory
  void name(Address from, const char* path);     // of the page: "[vdso]"
  void protect(Address from, std::uint64_t size, bool readable, bool writable, bool executable);
  void unmap(Address from, std::uint64_t size);
  void put(Address at, std::initializer_list<int> bytes);
  std::uint8_t byte(Address at) const;

  enum class Rights { debugger, program };
  std::size_t read(Address from, std::span<std::byte> to, Rights rights) const;
  std::size_t write(Address to, std::span<const std::byte> from, Rights rights);
  bool accessible(Address from, std::size_t size, bool writing) const;
  std::vector<Mapping> mappings() const;
  bool is_own(Address at) const;

 private:
  struct Page {
    std::vector<std::byte> bytes = std::vector<std::byte>(page_size);
    bool readable = true, writable = true, executable = false, shared = false;
    bool own = false;  // written to
    std::string path = {};
  };
  void for_each_page(Address from, std::uint64_t size, const std::function<void(Page&)>& visit);

  std::map<std::uint64_t, Page> pages_;
};

struct FakeThread {
  enum class State : std::uint8_t { running, stopped, dead };

  Pid pid{};
  State state = State::running;
  x86::GeneralRegisters regs{};
  siginfo_t info{};
  std::uint64_t message = 0;
  std::uint64_t mask = 0;
  SyscallDispatch dispatch;
  std::map<std::size_t, std::uint64_t> user;  // debug registers, by offset
  std::vector<std::byte> xstate = std::vector<std::byte>(1024);
  bool interrupt_waiting = false;   // PTRACE_INTERRUPT to a stopped thread
  bool deaf = false;                // sleeps in vfork or uninterruptibly: interrupts have to wait
  bool trap_waiting = false;        // the SIGTRAP of an int3 is queued behind the present stop
  std::deque<int> signals_waiting;  // sent by tgkill
  bool in_sigwait = false;          // takes the next of them by sigwaitinfo(2), without a stop
};

struct FakeCall {
  std::string name;
  Tid tid{};
  ResumeHow how{};
  int signal = 0;
  std::uint64_t rip = 0;  // of the thread at that moment
};

class FakeTracee : public Tracee {
 public:
  // ---- the world
  // ---------------------------------------------------------------------------------
  FakeThread& add(Pid pid, Tid tid, FakeThread::State state = FakeThread::State::running);
  FakeThread& at(Tid tid) { return threads_.at(tid); }
  bool knows(Tid tid) const { return threads_.contains(tid); }
  bool alive(Tid tid) const;
  FakeMemory& memory(Pid pid) { return *memories_.at(pid); }
  void share_memory(Pid child, Pid parent) { memories_[child] = memories_.at(parent); }
  void copy_memory(Pid child, Pid parent);

  // ---- what happens to threads; each only if the thread runs -----------------------------------
  void stop(Tid tid, int status);
  void signal(Tid tid, int signal, int si_code = 0, Address fault = Address());
  void trap(Tid tid, int si_code);         // SIGTRAP
  void execute_int3(Tid tid, Address at);  // the PC is behind it
  void event(Tid tid, PtraceEvent event, std::uint64_t message);
  void interrupt_stop(Tid tid);
  void group_stop(Tid tid, int signal = SIGSTOP);
  void syscall_stop(Tid tid, std::uint64_t number, bool entry);
  void exit(Tid tid, int code = 0);
  void die(Tid tid, int signal = SIGKILL);
  void die_all(Pid pid, int signal = SIGKILL);   // leader last
  void vanish(Tid tid) { threads_.erase(tid); }  // without a status: exec by another thread

  bool may_suspend_seccomp = true;
  bool may_arm_dispatch = true;  // switching it off is always allowed
  bool text_is_fixed = true;
  // PTRACE_INTERRUPT is answered at once (else by interrupt_stop()).
  bool answers_interrupts = true;
  // Called after each successful resume; may stop the thread again.
  std::function<void(Tid, ResumeHow, int)> on_resume;
  // The calls that name a thread are counted; the one with this number finds it dying: `mortal`
  // says what becomes of the process.
  int fatal_call = -1;
  std::function<void(Tid)> mortal;
  int calls_counted = 0;

  // ---- what the engine did
  // -----------------------------------------------------------------------
  std::vector<FakeCall> calls;
  // Requests that no correct tracer makes: a thread resumed or detached that runs, an id never
  // seen.
  std::vector<std::string> blunders;
  int count(const std::string& name, Tid tid) const;
  const FakeCall* last(const std::string& name, Tid tid) const;
  std::set<Pid> handles;  // whose memory was asked for and has not been forgotten since
  bool pending() const { return !statuses_.empty(); }

  // ---- Tracee
  // ------------------------------------------------------------------------------------
  Result<void> seize(Tid tid, Lifetime lifetime) override;
  Result<void> interrupt(Tid tid) override;
  Result<void> resume(Tid tid, ResumeHow how, int signal) override;
  Result<void> detach(Tid tid, int signal) override;
  Result<void> kill(Pid pid) override;
  std::optional<WaitResult> wait() override;
  std::optional<WaitResult> wait_for(Tid tid) override;
  Result<x86::GeneralRegisters> registers(Tid tid) override;
  Result<void> set_registers(Tid tid, const x86::GeneralRegisters& regs) override;
  Result<void> change_registers(Tid tid, const x86::GeneralRegisters& before,
                                const x86::GeneralRegisters& after) override;
  Result<std::uint64_t> peek_user(Tid tid, std::size_t offset) override;
  Result<void> poke_user(Tid tid, std::size_t offset, std::uint64_t value) override;
  Result<std::size_t> xstate(Tid tid, std::span<std::byte> into) override;
  Result<void> set_xstate(Tid tid, std::span<const std::byte> from) override;
  Result<siginfo_t> siginfo(Tid tid) override;
  Result<void> set_siginfo(Tid tid, const siginfo_t& info) override;
  Result<std::uint64_t> event_message(Tid tid) override;
  Result<std::uint64_t> signal_mask(Tid tid) override;
  Result<void> set_signal_mask(Tid tid, std::uint64_t mask) override;
  bool trap_pending(Tid tid) override { return alive(tid) && at(tid).trap_waiting; }
  bool signal_pending(Tid) override { return false; }
  Result<void> send_signal(Tid tid, int signal) override;
  std::optional<bool> shares_memory(Pid a, Pid b) override;
  std::optional<Address> registered_rseq_area;  // of all threads
  std::optional<Address> rseq_area(Tid) override { return registered_rseq_area; }
  bool suspend_seccomp(Tid, Lifetime, bool) override { return may_suspend_seccomp; }
  std::optional<SyscallDispatch> syscall_dispatch(Tid tid) override {
    const bool has_one = alive(tid) && at(tid).dispatch != SyscallDispatch();
    return has_one ? std::optional(at(tid).dispatch) : std::nullopt;
  }
  std::vector<bool> filters;  // of all threads: whether each looks at addresses
  std::optional<bool> filter_reads_address(Tid, unsigned number) override {
    if (number >= filters.size()) return std::nullopt;
    return filters[number];
  }
  bool shadow_stacks = false;
  bool has_shadow_stack(Tid) override { return shadow_stacks; }
  bool set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) override;
  std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to) override;
  std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from) override;
  bool read_as_program(Pid pid, Address from, std::span<std::byte> to) override;
  bool write_as_program(Pid pid, Address to, std::span<const std::byte> from) override;
  Result<std::vector<Mapping>> mappings(Pid pid) override;
  bool tells_own_pages = true;
  std::optional<bool> is_own_page(Pid pid, Address at) override;
  bool is_fixed_text(Pid, Address, std::uint64_t) override { return text_is_fixed; }
  bool read_pieces(Pid pid, std::span<const Piece> pieces) override;
  void forget_memory(Pid pid) override { handles.erase(pid); }

 private:
  // The thread if it is stopped, else ESRCH; counts the call.
  Result<FakeThread*> stopped(const char* name, Tid tid);
  bool dies_now(Tid tid);
  FakeThread* running(Tid tid);
  void next_signal(Tid tid);

  std::map<Tid, FakeThread> threads_;
  std::map<Pid, std::shared_ptr<FakeMemory>> memories_;
  std::deque<WaitResult> statuses_;
};

}  // namespace stub
