// hits THREADS ROUNDS: every thread calls alpha, beta and gamma ROUNDS times, all starting at once.
// The program counts by itself what a debugger should see, and prints it at the end.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

long alpha_calls, beta_calls, sevenths;
static pthread_barrier_t start;
static long rounds;

__attribute__((noinline)) uint64_t alpha(long i, uint64_t sum) {
  __atomic_add_fetch(&alpha_calls, 1, __ATOMIC_RELAXED);
  if (i % 7 == 3) __atomic_add_fetch(&sevenths, 1, __ATOMIC_RELAXED);
  return sum * 31 + i;
}

__attribute__((noinline)) uint64_t beta(uint64_t sum) {
  __atomic_add_fetch(&beta_calls, 1, __ATOMIC_RELAXED);
  return sum ^ (sum >> 7);
}

__attribute__((noinline)) void finished(uint64_t checksum) {
  printf("alpha=%ld beta=%ld sevenths=%ld checksum=%llx\n", alpha_calls, beta_calls, sevenths,
         (unsigned long long)checksum);
}

static void* worker(void* arg) {
  uint64_t sum = (uintptr_t)arg;
  pthread_barrier_wait(&start);
  for (long i = 0; i < rounds; i++) sum = beta(alpha(i, sum));
  return (void*)(uintptr_t)sum;
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  rounds = argc > 2 ? atol(argv[2]) : 10;
  pthread_t ids[threads];
  pthread_barrier_init(&start, NULL, threads);
  for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, (void*)i);
  uint64_t checksum = 0;
  for (int i = 0; i < threads; i++) {
    void* sum;
    pthread_join(ids[i], &sum);
    checksum += (uintptr_t)sum;
  }
  finished(checksum);
  return 0;
}
