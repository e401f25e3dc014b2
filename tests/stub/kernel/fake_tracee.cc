#include "tests/stub/kernel/fake_tracee.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace stub {
namespace {

constexpr int stop_status(int signal, int event = 0) { return event << 16 | signal << 8 | 0x7f; }
constexpr int exit_status(int code) { return code << 8; }

tl::unexpected<Error> gone() { return fail(Errc::thread_gone, "No such process", ESRCH); }

}  // namespace

// ---- memory ------------------------------------------------------------------------------------

void FakeMemory::map(Address from, std::uint64_t size, bool readable, bool writable) {
  for (std::uint64_t at = from.value() / page_size; at <= (from.value() + size - 1) / page_size;
       ++at)
    pages_[at] = {.readable = readable, .writable = writable, .executable = readable && !writable};
}

void FakeMemory::map_file(Address from, std::initializer_list<int> bytes, const char* path) {
  map(from, bytes.size(), true, false);
  put(from, bytes);
  for_each_page(from, bytes.size(), [&](Page& page) {
    page.path = path;
    page.own = false;
  });
}

void FakeMemory::share(Address from, std::uint64_t size) {
  for_each_page(from, size, [](Page& page) { page.shared = true; });
}

void FakeMemory::name(Address from, const char* path) {
  for_each_page(from, 1, [&](Page& page) { page.path = path; });
}

void FakeMemory::protect(Address from, std::uint64_t size, bool readable, bool writable,
                         bool executable) {
  for_each_page(from, size, [&](Page& page) {
    page.readable = readable;
    page.writable = writable;
    page.executable = executable;
  });
}

void FakeMemory::for_each_page(Address from, std::uint64_t size,
                               const std::function<void(Page&)>& visit) {
  for (std::uint64_t at = from.value() / page_size; at <= (from.value() + size - 1) / page_size;
       ++at)
    if (const auto page = pages_.find(at); page != pages_.end()) visit(page->second);
}

// As /proc/PID/maps shows it: neighbours of the same kind are one.
std::vector<Mapping> FakeMemory::mappings() const {
  std::vector<Mapping> all;
  for (const auto& [number, page] : pages_) {
    Mapping next;
    next.start = Address(number * page_size);
    next.read = page.readable;
    next.write = page.writable;
    next.execute = page.executable;
    next.shared = page.shared;
    next.path = page.path;
    next.inode = page.path.starts_with('/') ? 1 : 0;
    if (!all.empty()) next.end = all.back().end, next.start = all.back().start;
    const bool joins =
        !all.empty() && all.back() == next && all.back().end == Address(number * page_size);
    if (!joins) next.start = Address(number * page_size), all.push_back(next);
    all.back().end = Address((number + 1) * page_size);
  }
  return all;
}

bool FakeMemory::is_own(Address at) const {
  const auto page = pages_.find(at.value() / page_size);
  return page != pages_.end() && page->second.own && !page->second.shared;
}

void FakeMemory::unmap(Address from, std::uint64_t size) {
  for (std::uint64_t at = from.value() / page_size; at <= (from.value() + size - 1) / page_size;
       ++at)
    pages_.erase(at);
}

void FakeMemory::put(Address at, std::initializer_list<int> bytes) {
  std::vector<std::byte> image;
  for (const int value : bytes) image.push_back(static_cast<std::byte>(value));
  write(at, image, Rights::debugger);
}

std::uint8_t FakeMemory::byte(Address at) const {
  std::byte value{};
  return read(at, {&value, 1}, Rights::debugger) == 1 ? static_cast<std::uint8_t>(value) : 0;
}

std::size_t FakeMemory::read(Address from, std::span<std::byte> to, Rights rights) const {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::uint64_t at = from.value() + i;
    const auto page = pages_.find(at / page_size);
    if (page == pages_.end() || (rights == Rights::program && !page->second.readable)) return i;
    to[i] = page->second.bytes[at % page_size];
  }
  return to.size();
}

std::size_t FakeMemory::write(Address to, std::span<const std::byte> from, Rights rights) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::uint64_t at = to.value() + i;
    const auto page = pages_.find(at / page_size);
    if (page == pages_.end() || (rights == Rights::program && !page->second.writable)) return i;
    page->second.bytes[at % page_size] = from[i];
    page->second.own = true;
  }
  return from.size();
}

bool FakeMemory::accessible(Address from, std::size_t size, bool writing) const {
  for (std::size_t i = 0; i < size; ++i) {
    const auto page = pages_.find((from.value() + i) / page_size);
    if (page == pages_.end()) return false;
    if (writing ? !page->second.writable : !page->second.readable) return false;
  }
  return true;
}

// ---- the world ---------------------------------------------------------------------------------

FakeThread& FakeTracee::add(Pid pid, Tid tid, FakeThread::State state) {
  FakeThread& added = threads_[tid];
  added.pid = pid;
  added.state = state;
  added.regs.cs = 0x33;
  added.regs.ss = 0x2b;
  added.regs.eflags = 0x202;
  added.regs.orig_rax = ~std::uint64_t{0};
  if (!memories_.contains(pid)) memories_[pid] = std::make_shared<FakeMemory>();
  return added;
}

bool FakeTracee::alive(Tid tid) const {
  const auto found = threads_.find(tid);
  return found != threads_.end() && found->second.state != FakeThread::State::dead;
}

void FakeTracee::copy_memory(Pid child, Pid parent) {
  memories_[child] = std::make_shared<FakeMemory>(*memories_.at(parent));
}

FakeThread* FakeTracee::running(Tid tid) {
  const auto found = threads_.find(tid);
  if (found == threads_.end() || found->second.state != FakeThread::State::running) return nullptr;
  return &found->second;
}

// ---- what happens to threads -------------------------------------------------------------------

void FakeTracee::stop(Tid tid, int status) {
  FakeThread* thread = running(tid);
  if (thread == nullptr) return;
  thread->state = FakeThread::State::stopped;
  thread->interrupt_waiting = false;
  // Without a signal it tells the event (kernel/signal.c, ptrace_do_notify).
  if (status >> 16 != 0) {
    thread->info = {};
    thread->info.si_signo = SIGTRAP;
    thread->info.si_code = status >> 8;
  }
  statuses_.push_back({tid, status});
}

void FakeTracee::signal(Tid tid, int signal, int si_code, Address fault) {
  FakeThread* thread = running(tid);
  if (thread == nullptr) return;
  thread->info = {};
  thread->info.si_signo = signal;
  thread->info.si_code = si_code;
  thread->info.si_addr = reinterpret_cast<void*>(fault.value());
  stop(tid, stop_status(signal));
}

void FakeTracee::trap(Tid tid, int si_code) {
  if (FakeThread* thread = running(tid)) signal(tid, SIGTRAP, si_code, thread->regs.pc());
}

void FakeTracee::execute_int3(Tid tid, Address at) {
  FakeThread* thread = running(tid);
  if (thread == nullptr) return;
  if (memory(thread->pid).byte(at) != 0xcc)
    blunders.push_back("the test executes an int3 that is not there");
  thread->regs.rip = at.value() + 1;
  trap(tid, 0x80);
}

void FakeTracee::event(Tid tid, PtraceEvent event, std::uint64_t message) {
  if (FakeThread* thread = running(tid)) thread->message = message;
  stop(tid, stop_status(SIGTRAP, static_cast<int>(event)));
}

void FakeTracee::interrupt_stop(Tid tid) { stop(tid, stop_status(SIGTRAP, 128)); }

void FakeTracee::group_stop(Tid tid, int signal) { stop(tid, stop_status(signal, 128)); }

void FakeTracee::syscall_stop(Tid tid, std::uint64_t number, bool entry) {
  if (FakeThread* thread = running(tid)) {
    thread->regs.orig_rax = number;
    thread->message = entry ? 1 : 2;
  }
  stop(tid, stop_status(SIGTRAP | 0x80));
}

void FakeTracee::exit(Tid tid, int code) {
  if (!alive(tid)) return;
  at(tid).state = FakeThread::State::dead;
  statuses_.push_back({tid, exit_status(code)});
}

// The stop that it was in is not to be waited for any more.
void FakeTracee::die(Tid tid, int signal) {
  if (!alive(tid)) return;
  at(tid).state = FakeThread::State::dead;
  std::erase_if(statuses_, [&](const WaitResult& status) { return status.tid == tid; });
  statuses_.push_back({tid, signal});
}

void FakeTracee::die_all(Pid pid, int signal) {
  std::vector<Tid> members;
  for (const auto& [tid, thread] : threads_)
    if (thread.pid == pid && tid != leader_of(pid)) members.push_back(tid);
  for (const Tid tid : members) die(tid, signal);
  die(leader_of(pid), signal);
}

// ---- what the engine did -----------------------------------------------------------------------

int FakeTracee::count(const std::string& name, Tid tid) const {
  return static_cast<int>(std::count_if(calls.begin(), calls.end(), [&](const FakeCall& call) {
    return call.name == name && call.tid == tid;
  }));
}

const FakeCall* FakeTracee::last(const std::string& name, Tid tid) const {
  const auto found = std::find_if(calls.rbegin(), calls.rend(), [&](const FakeCall& call) {
    return call.name == name && call.tid == tid;
  });
  return found == calls.rend() ? nullptr : &*found;
}

bool FakeTracee::dies_now(Tid tid) {
  if (calls_counted++ != fatal_call) return false;
  if (mortal) mortal(tid);
  return true;
}

Result<FakeThread*> FakeTracee::stopped(const char* name, Tid tid) {
  if (dies_now(tid)) return gone();
  const auto found = threads_.find(tid);
  if (found == threads_.end()) {
    blunders.push_back(std::string(name) + ": no such thread was ever announced");
    return gone();
  }
  if (found->second.state != FakeThread::State::stopped) return gone();
  return &found->second;
}

// ---- Tracee ------------------------------------------------------------------------------------

Result<void> FakeTracee::seize(Tid tid, Lifetime) {
  calls.push_back({"seize", tid});
  if (dies_now(tid) || !alive(tid)) return gone();
  return {};
}

Result<void> FakeTracee::interrupt(Tid tid) {
  calls.push_back({"interrupt", tid});
  if (!knows(tid)) blunders.push_back("interrupt: no such thread was ever announced");
  if (dies_now(tid) || !alive(tid)) return gone();
  FakeThread& thread = at(tid);
  thread.interrupt_waiting = true;
  if (thread.state == FakeThread::State::running && answers_interrupts && !thread.deaf)
    interrupt_stop(tid);
  return {};
}

Result<void> FakeTracee::resume(Tid tid, ResumeHow how, int signal) {
  const auto thread = stopped("resume", tid);
  if (!thread) {
    if (running(tid)) blunders.push_back("resume: the thread runs already");
    return tl::unexpected(thread.error());
  }
  FakeThread& resumed = **thread;
  calls.push_back({"resume", tid, how, signal, resumed.regs.rip});
  if (wait_for(tid)) blunders.push_back("resume: past a stop that nobody has seen");
  resumed.state = FakeThread::State::running;
  if (std::exchange(resumed.trap_waiting, false))
    trap(tid, 0x80);
  else if (!resumed.signals_waiting.empty())
    next_signal(tid);
  else if (resumed.interrupt_waiting && answers_interrupts && !resumed.deaf)
    interrupt_stop(tid);
  if (resumed.state == FakeThread::State::running && on_resume) on_resume(tid, how, signal);
  return {};
}

Result<void> FakeTracee::detach(Tid tid, int signal) {
  const auto thread = stopped("detach", tid);
  if (!thread) {
    if (running(tid)) blunders.push_back("detach: the thread runs");
    return tl::unexpected(thread.error());
  }
  calls.push_back({"detach", tid, {}, signal, (*thread)->regs.rip});
  (*thread)->state = FakeThread::State::dead;
  return {};
}

Result<void> FakeTracee::kill(Pid pid) {
  calls.push_back({"kill", leader_of(pid)});
  if (!knows(leader_of(pid))) blunders.push_back("kill: no such process");
  die_all(pid);
  return {};
}

std::optional<WaitResult> FakeTracee::wait() {
  if (statuses_.empty()) return std::nullopt;
  const WaitResult first = statuses_.front();
  statuses_.pop_front();
  return first;
}

std::optional<WaitResult> FakeTracee::wait_for(Tid tid) {
  const auto found = std::find_if(statuses_.begin(), statuses_.end(),
                                  [&](const WaitResult& status) { return status.tid == tid; });
  if (found == statuses_.end()) return std::nullopt;
  const WaitResult result = *found;
  statuses_.erase(found);
  return result;
}

Result<x86::GeneralRegisters> FakeTracee::registers(Tid tid) {
  const auto thread = stopped("registers", tid);
  if (!thread) return tl::unexpected(thread.error());
  return (*thread)->regs;
}

Result<void> FakeTracee::set_registers(Tid tid, const x86::GeneralRegisters& regs) {
  const auto thread = stopped("set_registers", tid);
  if (!thread) return tl::unexpected(thread.error());
  calls.push_back({"set_registers", tid, {}, 0, regs.rip});
  (*thread)->regs = regs;
  return {};
}

Result<void> FakeTracee::change_registers(Tid tid, const x86::GeneralRegisters& before,
                                          const x86::GeneralRegisters& after) {
  if (alive(tid) && at(tid).regs != before) blunders.push_back("registers changed behind our back");
  return set_registers(tid, after);
}

Result<std::uint64_t> FakeTracee::peek_user(Tid tid, std::size_t offset) {
  const auto thread = stopped("peek_user", tid);
  if (!thread) return tl::unexpected(thread.error());
  return (*thread)->user[offset];
}

Result<void> FakeTracee::poke_user(Tid tid, std::size_t offset, std::uint64_t value) {
  const auto thread = stopped("poke_user", tid);
  if (!thread) return tl::unexpected(thread.error());
  (*thread)->user[offset] = value;
  return {};
}

Result<std::size_t> FakeTracee::xstate(Tid tid, std::span<std::byte> into) {
  const auto thread = stopped("xstate", tid);
  if (!thread) return tl::unexpected(thread.error());
  const std::size_t size = std::min(into.size(), (*thread)->xstate.size());
  std::copy_n((*thread)->xstate.begin(), size, into.begin());
  return size;
}

Result<void> FakeTracee::set_xstate(Tid tid, std::span<const std::byte> from) {
  const auto thread = stopped("set_xstate", tid);
  if (!thread) return tl::unexpected(thread.error());
  (*thread)->xstate.assign(from.begin(), from.end());
  return {};
}

Result<siginfo_t> FakeTracee::siginfo(Tid tid) {
  const auto thread = stopped("siginfo", tid);
  if (!thread) return tl::unexpected(thread.error());
  return (*thread)->info;
}

Result<void> FakeTracee::set_siginfo(Tid tid, const siginfo_t& info) {
  const auto thread = stopped("set_siginfo", tid);
  if (!thread) return tl::unexpected(thread.error());
  (*thread)->info = info;
  return {};
}

Result<std::uint64_t> FakeTracee::event_message(Tid tid) {
  const auto thread = stopped("event_message", tid);
  if (!thread) return tl::unexpected(thread.error());
  return (*thread)->message;
}

Result<void> FakeTracee::send_signal(Tid tid, int signal) {
  calls.push_back({"send_signal", tid, {}, signal});
  if (dies_now(tid) || !alive(tid)) return gone();
  at(tid).signals_waiting.push_back(signal);
  if (running(tid)) next_signal(tid);
  return {};
}

void FakeTracee::next_signal(Tid tid) {
  const int number = at(tid).signals_waiting.front();
  at(tid).signals_waiting.pop_front();
  if (std::exchange(at(tid).in_sigwait, false)) return;
  signal(tid, number, SI_TKILL);
  at(tid).info.si_pid = getpid();
}

std::optional<bool> FakeTracee::shares_memory(Pid a, Pid b) {
  const auto first = memories_.find(a), second = memories_.find(b);
  return first != memories_.end() && second != memories_.end() && first->second == second->second;
}

Result<std::uint64_t> FakeTracee::signal_mask(Tid tid) {
  const auto thread = stopped("signal_mask", tid);
  if (!thread) return tl::unexpected(thread.error());
  return (*thread)->mask;
}

Result<void> FakeTracee::set_signal_mask(Tid tid, std::uint64_t mask) {
  const auto thread = stopped("set_signal_mask", tid);
  if (!thread) return tl::unexpected(thread.error());
  (*thread)->mask = mask;
  return {};
}

bool FakeTracee::set_syscall_dispatch(Tid tid, const SyscallDispatch& dispatch) {
  const auto thread = stopped("set_syscall_dispatch", tid);
  if (!thread || (dispatch != SyscallDispatch() && !may_arm_dispatch)) return false;
  (*thread)->dispatch = dispatch;
  return true;
}

std::size_t FakeTracee::read_memory(Pid pid, Address from, std::span<std::byte> to) {
  handles.insert(pid);
  const auto found = memories_.find(pid);
  if (found == memories_.end()) return 0;
  return found->second->read(from, to, FakeMemory::Rights::debugger);
}

std::size_t FakeTracee::write_memory(Pid pid, Address to, std::span<const std::byte> from) {
  handles.insert(pid);
  const auto found = memories_.find(pid);
  if (found == memories_.end()) return 0;
  return found->second->write(to, from, FakeMemory::Rights::debugger);
}

bool FakeTracee::read_as_program(Pid pid, Address from, std::span<std::byte> to) {
  const auto found = memories_.find(pid);
  return found != memories_.end() && found->second->accessible(from, to.size(), false) &&
         read_memory(pid, from, to) == to.size();
}

bool FakeTracee::write_as_program(Pid pid, Address to, std::span<const std::byte> from) {
  const auto found = memories_.find(pid);
  return found != memories_.end() && found->second->accessible(to, from.size(), true) &&
         write_memory(pid, to, from) == from.size();
}

Result<std::vector<Mapping>> FakeTracee::mappings(Pid pid) {
  const auto found = memories_.find(pid);
  if (found == memories_.end()) return gone();
  return found->second->mappings();
}

std::optional<bool> FakeTracee::is_own_page(Pid pid, Address at) {
  handles.insert(pid);
  const auto found = memories_.find(pid);
  if (found == memories_.end() || !tells_own_pages) return std::nullopt;
  return found->second->is_own(at);
}

bool FakeTracee::read_pieces(Pid pid, std::span<const Piece> pieces) {
  return std::all_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return read_memory(pid, piece.from, std::as_writable_bytes(piece.to)) == piece.to.size();
  });
}

}  // namespace stub
