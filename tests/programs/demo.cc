// What cmake/quickstart debugs: four threads that call one hot function all the time, and a fifth
// that has nothing to do with it and watches whether anybody stops it.
#include <sys/resource.h>

#include <cstdint>
#include <thread>
#include <vector>

// Read by the debugger, hence plain integers; written with relaxed atomic operations.
std::uint64_t calls;  // of hot(), by all workers together
struct {
  std::uint64_t rounds;
  // Its own context switches, as getrusage(2) counts them: a voluntary one is a wait, and a thread
  // that only computes waits for nothing but a debugger that stops it. Involuntary ones are the
  // scheduler giving the processor to others.
  long voluntary;
  long involuntary;
} innocent;

extern "C" [[gnu::noinline]] std::uint64_t hot(std::int64_t n) {
  asm volatile("" : "+r"(n));  // the call must stay a call
  return static_cast<std::uint64_t>(n) * 2654435761u >> 7;
}

extern "C" [[gnu::noinline]] void ready() { asm volatile(""); }

namespace {

constexpr int worker_count = 4;

void work() {
  std::uint64_t sum = 0;
  for (std::int64_t n = 0;; ++n) {
    sum += hot(n);
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    asm volatile("" : : "r"(sum));
  }
}

void compute() {
  constexpr std::uint64_t rounds_between_looks = 1 << 16;
  while (true) {
    for (std::uint64_t i = 0; i < rounds_between_looks; ++i) asm volatile("");
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    __atomic_store_n(&innocent.voluntary, usage.ru_nvcsw, __ATOMIC_RELAXED);
    __atomic_store_n(&innocent.involuntary, usage.ru_nivcsw, __ATOMIC_RELAXED);
    __atomic_fetch_add(&innocent.rounds, rounds_between_looks, __ATOMIC_RELAXED);
  }
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  threads.emplace_back(compute);
  for (int i = 0; i < worker_count; ++i) threads.emplace_back(work);
  while (__atomic_load_n(&innocent.rounds, __ATOMIC_RELAXED) == 0) std::this_thread::yield();
  ready();
  for (std::thread& thread : threads) thread.join();
}
