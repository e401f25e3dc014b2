// The debugger proper: processes, threads, breakpoints, and what happens at each stop.
//
// Inside, every thread is on its own (non-stop). A thread's state says what should become of it,
// and one function, settle(), brings the kernel in line with that state: a stopped thread that may
// run is resumed, with its step over a breakpoint where one is due. Each event only changes state
// and settles. All-stop is a gate in front of settle(): when a report is ready, the gate closes,
// the others are interrupted, and the report is handed out when all are at rest. What they ran into
// meanwhile stays queued, in order, until the client resumes them.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "arch/registers.h"
#include "stub/engine/client_interest.h"
#include "stub/engine/condition_evaluator.h"
#include "stub/engine/process_table.h"
#include "stub/engine/report_queue.h"
#include "stub/engine/stop_policy.h"
#include "stub/inferior/inferior.h"
#include "stub/inferior/stop.h"
#include "stub/inferior/thread.h"
#include "stub/kernel/event_inbox.h"
#include "stub/kernel/processor_follower.h"
#include "stub/kernel/tracee.h"
#include "stub/kernel/wait_status.h"
#include "stub/stepping/range_step.h"
#include "stub/stepping/step_over.h"

namespace stub {

// One action of vCont with the threads it is for. No tid: all threads of the process; no pid: all.
struct ResumeAction {
  enum class Kind : std::uint8_t { run, step, range, stop } kind = Kind::run;
  int signal = 0;  // host number, delivered on resuming
  Address range_start{}, range_end{};
  std::optional<Pid> pid{};
  std::optional<Tid> tid{};
};

struct RegisterParts {
  bool xstate = false;  // else general registers only
};

class Engine {
 public:
  explicit Engine(Tracee& tracee);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ---- events ----------------------------------------------------------------------------------
  // Drains wait() and handles what it finds. Called whenever SIGCHLD was seen, and after requests.
  void on_child_event();
  // The next stop to tell the client, oldest first. In all-stop only when every thread is at rest;
  // after it all threads are held until resume().
  std::optional<StopReport> take_report();
  // All-stop, right after take_report(): what other threads stopped for at the same moment, as far
  // as it is a thread's own stop. For a client that looks at all threads at each stop; for others
  // these reports come when their threads are resumed.
  std::vector<StopReport> take_companions();
  ConditionEvaluator& conditions() { return conditions_; }

  // ---- mode and interest -----------------------------------------------------------------------
  bool non_stop() const { return non_stop_; }
  // To all-stop: all threads are stopped without a report, and queued reports are kept.
  void set_non_stop(bool on);
  ClientInterest& interest() { return interest_; }
  // QThreadOptions: bits for the matching threads (no tid: all of the process; no pid: all).
  void set_thread_options(unsigned options, std::optional<Pid> pid, std::optional<Tid> tid);
  // QCatchSyscalls: nullopt is off, an empty set is all.
  Result<void> catch_syscalls(Pid pid, std::optional<std::set<std::uint64_t>> numbers);

  // ---- processes -------------------------------------------------------------------------------
  // Takes over a process that launch() left stopped at its first instruction.
  void adopt_launched(Pid pid);
  // All-stop: returns with every thread stopped. Non-stop: nothing is stopped. Errors: refused,
  // with the sentence for the user; all threads are as they were then.
  Result<void> attach(Pid pid);
  // Sites and area are taken away, each thread leaves with its own PC and signal.
  // `stay_stopped` (LLDB's D1): the process is left with SIGSTOP.
  Result<void> detach(Pid pid, bool stay_stopped = false);
  Result<void> kill(Pid pid);
  // Whatever is still there is detached from first, children that the client does not know of. Then
  // this blocks until nothing of ours is left. As a rule nothing is; but a thread that sleeps
  // uninterruptibly (in vfork, in a driver) gives back debug registers, the trap flag and a place
  // in an area when it wakes up, and would die of them once nobody traces it. SIGCHLD is blocked.
  void wait_for_sleepers();
  // Undoes what a predecessor has left in the processes of its journal, and lets them go. The
  // caller is the predecessor itself after execve (its threads are still traced), or nobody traces
  // them.
  void clean_up_after(const Journal& predecessor);
  // Those the client knows of, in order of arrival.
  std::vector<Pid> processes() const { return processes_.shown_processes(); }
  // Commands of this process's sites are to go on without a client: the client does not know it any
  // more, it runs and gets its signals as if it were not traced, and none of its stops is told.
  Result<void> leave_unattended(Pid pid);
  std::vector<Pid> unattended() const;
  // A new client has them as they are: running.
  void take_back_unattended();
  const Inferior* find(Pid pid) const { return processes_.shown_process(pid); }
  std::vector<Tid> threads(Pid pid) const;  // ascending; without one yet to be told of
  const Thread* find(Tid tid) const { return processes_.shown_thread(tid); }
  std::optional<Pid> process_of(Tid tid) const;

  // ---- running and stopping --------------------------------------------------------------------
  // vCont. Leftmost match wins; threads without a match stay as they are. All-stop: when a matching
  // thread has a stop queued already, or the end of a process or thread is still to be told,
  // nothing moves and that is the next report. Non-stop: threads of stops that the client has not
  // acknowledged yet, those in `on_their_way` and those still queued here, and the children that
  // such a stop tells of, stay as they are (GDB manual, "Packets", vCont: a thread counts as
  // running until its stop has been taken with vStopped).
  Result<void> resume(std::span<const ResumeAction> actions,
                      const std::deque<StopReport>& on_their_way = {});
  // Ctrl-C: one running thread is stopped and reported with SIGINT, without any signal being sent.
  // Prefers `prefer` when that thread runs. A program that is at rest stops with SIGINT at its next
  // resume. All-stop: owed to the client until a stop of its own is reported.
  Result<void> interrupt(std::optional<Tid> prefer);
  void forget_interrupt() { interrupt_owed_ = false; }  // whoever asked for it has left
  bool any_resumed() const;                             // some thread runs, in the client's eyes

  // ---- state of threads ------------------------------------------------------------------------
  // Errors: thread_gone; refused when the thread runs.
  Result<x86::RegisterFile> read_registers(Tid tid, RegisterParts parts);
  // The registers of a stopped thread; of one that runs those that it was let go with last. For
  // what rarely changes, as the thread pointer does: a program sets it when a thread begins
  // (CLONE_SETTLS) and a coroutine runtime may set it later (arch_prctl(2), wrfsbase). A thread
  // that has never stopped is stopped for a moment. Errors: thread_gone; refused if it does not
  // stop in that time.
  Result<x86::GeneralRegisters> last_registers(Tid tid);
  // A changed PC means the thread hits a breakpoint that is there.
  Result<void> write_registers(Tid tid, const x86::RegisterFile& file, RegisterParts parts);
  // The thread counts as stopped for that again, whatever it has stopped for since: an expression
  // of LLDB's has been undone. A signal that came meanwhile is forgotten.
  void restore_stop(Tid tid, const std::optional<Stop>& stop);
  // The signal that the thread's stop was told with goes to the program only if the client sends it
  // (ResumeAction::signal), not with detach().
  void withhold_signal(Tid tid);
  // As far as the kernel's is not that of the stop the client was told: told_siginfo.h. What the
  // client has written is what it reads until the thread is resumed, and the kernel gets it where a
  // signal can be delivered with it. Errors: thread_gone.
  Result<siginfo_t> siginfo(Tid tid);
  Result<void> set_siginfo(Tid tid, const siginfo_t& info);
  x86::Mode mode(Pid pid) const;

  // ---- memory ----------------------------------------------------------------------------------
  // Bytes moved from the front; the program's own bytes, never ours. Works while threads run.
  std::size_t read_memory(Pid pid, Address from, std::span<std::byte> to);
  std::size_t write_memory(Pid pid, Address to, std::span<const std::byte> from);

  // Has a stopped thread map memory (PROT_ bits), and unmap what was mapped so. Errors: refused (no
  // thread can be made to), system (the kernel said no), bad_address (not mapped by this).
  Result<Address> allocate_memory(Pid pid, std::uint64_t size, int protection);
  Result<void> free_memory(Pid pid, Address start);

  // ---- points ----------------------------------------------------------------------------------
  // Z0/z0: idempotent; a second insert replaces conditions and commands. Nobody is stopped.
  Result<void> insert_breakpoint(Pid pid, Address at, SiteProgram program);
  Result<void> remove_breakpoint(Pid pid, Address at);
  // `monitor condition`: what else has to hold for a hit at this address, whenever there is a
  // breakpoint; nullopt: nothing any more.
  Result<void> set_filter(Pid pid, Address at, std::optional<SiteFilter> filter);
  // A new client: filters without a breakpoint are the last one's.
  void drop_idle_filters();
  // Z1-Z4, at most four slices of 1 to 8 bytes. Running threads are interrupted for a moment, since
  // debug registers can only be set in a stopped one.
  Result<void> insert_hardware(Pid pid, rsp::PointType type, Address at, std::uint64_t length,
                               SiteProgram program);
  Result<void> remove_hardware(Pid pid, rsp::PointType type, Address at, std::uint64_t length);

  Tracee& tracee() { return tracee_; }

  // Told of a process of the client's that has ended, is let go or runs another program now, while
  // its sites are still in the table.
  void set_departure_observer(std::function<void(const Inferior&)> observer) {
    departure_observer_ = std::move(observer);
  }

  // Told of each hit that is passed over; null: nobody is.
  void set_follower(ProcessorFollower* follower) { follower_ = follower; }
  ProcessorFollower* follower() { return follower_; }

  // When on_child_event() wants to be called again without SIGCHLD: at once while there is more to
  // drain than is done in one call; soon while it waits for something that no signal announces (a
  // leader that has become a zombie while its threads live on).
  std::optional<std::chrono::milliseconds> poll_after() const;

 private:
  // engine.cc: events in, state settled.
  void on_wait(const WaitResult& result);
  void on_unknown(const WaitResult& result);
  void handle_deaths();
  bool lane_is_busy() const;
  bool a_leader_runs_alone() const;
  bool a_leader_is_watched() const;
  void settle(Thread& thread);
  void settle_all();
  void go_on(Thread& thread);  // settle() for the thread whose stop is being dealt with
  bool replaced_by_exec(const Thread& thread);
  void park(Thread& thread);
  bool may_run(const Thread& thread) const;
  void start(Thread& thread);
  void resume_in_kernel(Thread& thread, ResumeHow how);
  static void expect_restart(Thread& thread);
  int signal_to_give(Thread& thread);
  void request_interrupt(Thread& thread);
  ResumeHow how_wanted(const Thread& thread);
  static ResumeHow how_to_run(const Thread& thread);

  // engine_stops.cc: what a stop means, and doing what the policy says.
  void on_stop(Thread& thread, const WaitStatus& status);
  void handle_stop(Thread& thread, const WaitStatus& status);
  bool trap_comes_first(Thread& thread, const WaitStatus& status);
  bool finish_in_slot(Thread& thread);
  static void recall_passed(Thread& thread, const PassedNext& next, StopFacts& facts);
  void watch_returns(Thread& thread);
  void go_on_in_call(Thread& thread);
  void reset_after_stop(Thread& thread, const WaitStatus& status);
  bool make_canonical(Thread& thread, const WaitStatus& status, StopFacts& facts);
  bool slot_was_taken_away(const Thread& thread, Address slot_pc);
  void repair_siginfo(Thread& thread, Address slot_pc);
  bool hides_our_trap(Thread& thread, const StopFacts& facts, bool was_in_slot);
  void keep_pending(Thread& thread);
  void restore_mask(Thread& thread);
  void gather_trap_facts(Thread& thread, StopFacts& facts, bool was_in_slot);
  SiteAt what_trapped(const Inferior& process, Address at);
  bool is_sent_signal(const Thread& thread);
  void gather_facts(Thread& thread, StopFacts& facts);
  bool is_breakpoint_fault(const Thread& thread, const StopFacts& facts);
  void perform(Thread& thread, const StopFacts& facts, Action action);
  void hit_site(Thread& thread);
  void pass_over(Thread& thread, Site& site);
  void finish_slot(Thread& thread);
  void count_passed_hit(Thread& thread);
  void pass_site(Thread& thread);
  void finish_step(Thread& thread);
  void report_syscall(Thread& thread);
  bool inside_range(const Thread& thread, Address pc) const;

  // engine_events.cc: threads and processes come and go.
  void on_event(Thread& thread, PtraceEvent event);
  void on_clone(Thread& parent, Tid child);
  void on_fork(Thread& parent, Pid child, bool vfork);
  std::shared_ptr<AddressSpace> copied_space(const Thread& parent, Pid child);
  Inferior& set_apart(Thread& member);
  void on_exec(Thread& thread);
  void on_exit(Thread& thread, const WaitStatus& status);
  void forget_exited(Thread& thread, const WaitStatus& status);
  void on_thread_gone(Thread& gone, std::optional<int> code);
  void on_process_exit(Inferior& process, const WaitStatus& status);
  void remove_thread(Thread& thread);
  void remove_process(Inferior& process);
  void forget(Tid tid, AddressSpace& space);
  void check_zombie_leaders();
  bool is_outlived(const Thread& leader);
  void dispatch_early(Tid tid, bool wait);
  void deaths_or_stop(const WaitResult& result);

  // engine_vfork.cc: threads asleep until their child execs or ends.
  ResumeHow prepare_for_vfork(Thread& parent, ResumeHow how);
  void wake_vfork_parent(Pid child);
  void on_vfork_done(Thread& parent);

  void hide(Inferior& process);  // engine_unattended.cc

  // engine_departure.cc: processes that are let go.
  void let_go(Inferior& process);
  void release(Thread& thread, const WaitStatus& status);
  void release_orphans(const AddressSpace& space);
  void release_orphan(Tid tid, Pid pid, const AddressSpace& space);
  void tell_departure(const Inferior& process);
  int signal_to_leave_with(const Thread& thread) const;
  bool detach_thread(Thread& thread);
  bool stop_all_with(Pid leaving, const AddressSpace& space);
  void release_guests(const AddressSpace& space, bool needed);
  void remove_areas(AddressSpace& space);
  void note_trap_action(Inferior& process);
  void restore_trap_action(Inferior& process);
  Thread* sleeper();

  // engine_step.cc: over a site.
  void step_over_site(Thread& thread, Site& site);
  void begin_in_place(Thread& thread, Site& site);
  void advance_in_place(AddressSpace& space);
  void end_in_place(Thread& thread);
  void finish_emulated_step(Thread& thread);
  bool stop_others(AddressSpace& space, const Thread& stepping);
  std::size_t count_threads(const AddressSpace& space) const;

  // engine_hardware.cc: debug registers.
  void load_hardware(Thread& thread);
  void unload_hardware(Thread& thread);
  bool hardware_triggered(const Thread& thread);
  void hit_hardware(Thread& thread);
  void reload_hardware(AddressSpace& space);

  // engine_resume.cc: the client's side of running.
  void apply(const ResumeAction& action, Thread& thread);
  void ask_to_stop(Thread& thread, int signal);
  void release_bystanders();

  // engine_reports.cc: stops on their way to the client.
  void queue_stop(Thread& thread, Stop stop);
  // All-stop: an event of another thread would end the client's step command.
  bool steps_come_first() const { return !non_stop_; }
  bool forget_end(Pid pid);
  void drop_reports(Tid tid);
  void disown_child(const Stop& stop);
  bool still_valid(const StopReport& report);
  void close_gate();
  void hurry_steps();
  void interrupt_all(const std::function<bool(const Thread&)>& chosen);
  bool at_rest() const;
  void hold_after(const StopReport& report, Thread* stopped);
  void end_idle_ranges();
  std::set<Tid> unacknowledged(const std::deque<StopReport>& on_their_way) const;
  void report_if_none_resumed();
  bool none_resumed();
  bool any_still_to_stop() const;

  // engine_recovery.cc
  void inherit_spaces(const Journal& predecessor);
  bool inherit_threads(Inferior& process, std::uint64_t patient_until);
  void give_back(const BorrowedRow& row);
  void inherit_settled(const SettledRow& row);
  void inherit_stops();

  // engine_attach.cc
  Result<void> seize_all(Inferior& process);
  Result<void> take_over(Inferior& attached);
  void give_up(Pid pid);
  void adopt_signal(Thread& leader);

  // engine_process.cc
  bool is_zombie_leader(const Thread& thread) const;
  Thread& add_thread(Inferior& process, Tid tid);
  std::shared_ptr<AddressSpace> new_space(x86::Mode mode);
  bool pump(const std::function<bool()>& done, int milliseconds);
  Thread* thread(Tid tid) const { return processes_.thread(tid); }
  Inferior* process(Pid pid) const { return processes_.process(pid); }

  // engine_registers.cc
  Result<x86::GeneralRegisters*> general(Thread& thread);
  std::optional<std::uint64_t> result_of_fork(const Thread& thread);
  Result<void> flush(Thread& thread);

  static Thread* stopped_thread(Inferior& process);  // engine_memory.cc

  Tracee& tracee_;
  EventInbox inbox_;
  StepOver step_over_;
  RangeStepper ranges_;
  ConditionEvaluator conditions_;
  ProcessorFollower* follower_ = nullptr;
  std::function<void(const Inferior&)> departure_observer_;
  std::uint64_t stop_seen_ns_ = 0;  // when the stop being dealt with was seen
  ProcessTable processes_;
  std::vector<Tid> orphaned_;  // children disowned; looked at when nothing is being walked
  // Of the process that ended last: what an orphan has a copy of.
  std::shared_ptr<AddressSpace> last_space_;

  std::set<Tid> let_go_;  // whose ends are nobody's business but still come to us

  bool non_stop_ = false;
  bool gate_ = false;  // all-stop: a report is ready or being made ready, nothing is resumed
  std::uint64_t gate_closed_ns_ = 0;
  bool attaching_ = false;       // all-stop: to a process whose threads are being stopped
  bool interrupt_owed_ = false;  // a Ctrl-C waits for the next resume, see interrupt()
  ReportQueue reports_{processes_};
  ClientInterest interest_;
};

}  // namespace stub
