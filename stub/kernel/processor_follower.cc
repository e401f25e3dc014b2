#include "stub/kernel/processor_follower.h"

#include <sched.h>

#include <algorithm>

#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

std::uint64_t median(std::array<std::uint64_t, ProcessorFollower::rounds_compared> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// sched_setaffinity(2) for the calling thread. What it may use is read each time: somebody may have
// changed it from outside, and that is to stay.
class LinuxScheduler final : public ProcessorFollower::Scheduler {
 public:
  std::optional<int> processor_of(Tid tid) override {
    const auto core = proc_fs::core(tid);
    return core ? std::optional(*core) : std::nullopt;
  }

  bool restrict_to(int processor) override {
    lift_restriction();
    allowed_ = current();
    if (allowed_.count() < 2 || !allowed_.contains(processor)) return false;
    one_ = Set();
    one_.add(processor);
    restricted_ = sched_setaffinity(0, sizeof one_.bits, one_.bits.data()) == 0;
    return restricted_;
  }

  void lift_restriction() override {
    if (restricted_ && same(current(), one_))
      (void)sched_setaffinity(0, sizeof allowed_.bits, allowed_.bits.data());
    restricted_ = false;
  }

 private:
  struct Set {
    static constexpr int most_processors = 8192;  // the largest CONFIG_NR_CPUS
    std::array<cpu_set_t, most_processors / CPU_SETSIZE> bits{};
    int count() const { return CPU_COUNT_S(sizeof bits, bits.data()); }
    bool contains(int cpu) const { return CPU_ISSET_S(cpu, sizeof bits, bits.data()) != 0; }
    void add(int cpu) { CPU_SET_S(cpu, sizeof bits, bits.data()); }
  };
  static bool same(const Set& a, const Set& b) {
    return CPU_EQUAL_S(sizeof a.bits, a.bits.data(), b.bits.data()) != 0;
  }
  static Set current() {
    Set set;
    (void)sched_getaffinity(0, sizeof set.bits, set.bits.data());
    return set;
  }

  Set allowed_, one_;
  bool restricted_ = false;
};

}  // namespace

std::unique_ptr<ProcessorFollower::Scheduler> ProcessorFollower::linux_scheduler() {
  return std::make_unique<LinuxScheduler>();
}

ProcessorFollower::ProcessorFollower(std::unique_ptr<Scheduler> scheduler)
    : scheduler_(std::move(scheduler)) {}

void ProcessorFollower::on_hit(Tid tid, std::uint64_t now_ns) {
  if (!enabled_) return;
  if (tid != thread_) {
    constexpr unsigned few = round_hits / 8;
    if (++strangers_ > few) begin(tid, now_ns);
    return;
  }
  if (hits_ == 0) round_began_ns_ = now_ns;
  if (hits_++ < round_hits) return;
  end_round((now_ns - round_began_ns_) / round_hits, now_ns);
}

// Another thread, or more than one.
void ProcessorFollower::begin(Tid tid, std::uint64_t now_ns) {
  rest();
  thread_ = tid;
  phase_ = Phase::waiting;
  strangers_ = 0;
  pause_ns_ = shortest_pause_ns;
  next_ns_ = now_ns;
}

void ProcessorFollower::begin_round(std::uint64_t now_ns) {
  hits_ = 1;  // this one, which ended the last round, begins it
  strangers_ = 0;
  round_began_ns_ = now_ns;
}

void ProcessorFollower::end_round(std::uint64_t mean_ns, std::uint64_t now_ns) {
  begin_round(now_ns);
  if (mean_ns > longest_round_ns / round_hits) return rest();
  switch (phase_) {
    case Phase::waiting:
      if (now_ns < next_ns_) return;
      compared_ = 0;
      phase_ = Phase::compare_free;
      return;
    case Phase::compare_free:
      free_ns_[compared_] = mean_ns;
      if (!follow()) return pause(now_ns);
      phase_ = Phase::compare_followed;
      return;
    case Phase::compare_followed:
      followed_ns_[compared_] = mean_ns;
      if (++compared_ == rounds_compared) return decide(now_ns);
      rest();
      phase_ = Phase::compare_free;
      return;
    case Phase::pays:
      if (now_ns < next_ns_) {
        if (!follow()) pause(now_ns);
        return;
      }
      rest();
      compared_ = 0;
      phase_ = Phase::compare_free;
      return;
  }
}

// A tenth is more than what changes by itself from one round to the next.
void ProcessorFollower::decide(std::uint64_t now_ns) {
  if (median(followed_ns_) >= median(free_ns_) / 10 * 9) return pause(now_ns);
  phase_ = Phase::pays;
  pause_ns_ = shortest_pause_ns;
  next_ns_ = now_ns + review_after_ns;
}

void ProcessorFollower::pause(std::uint64_t now_ns) {
  rest();
  phase_ = Phase::waiting;
  next_ns_ = now_ns + pause_ns_;
  pause_ns_ = std::min(2 * pause_ns_, longest_pause_ns);
}

// To where the thread is now; it may have moved since.
bool ProcessorFollower::follow() {
  const auto processor = scheduler_->processor_of(thread_);
  if (!processor) return false;
  if (restricted_ && *processor == processor_) return true;
  restricted_ = scheduler_->restrict_to(*processor);
  processor_ = *processor;
  return restricted_;
}

// The round that is interrupted says nothing.
void ProcessorFollower::rest() {
  hits_ = 0;
  if (!restricted_) return;
  scheduler_->lift_restriction();
  restricted_ = false;
  if (phase_ == Phase::compare_followed) phase_ = Phase::compare_free;
}

void ProcessorFollower::enable(bool on) {
  rest();
  enabled_ = on;
  phase_ = Phase::waiting;
  next_ns_ = 0;
}

}  // namespace stub
