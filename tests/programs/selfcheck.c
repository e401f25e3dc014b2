// selfcheck THREADS [MILLISECONDS]: every thread computes the same checksum over and over through
// sum_step() and compares; main prints a heartbeat every 20 ms. Ends after MILLISECONDS, or on SIGTERM.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

long wrong, rounds, sum_step_calls;
static volatile sig_atomic_t stop;
static uint64_t reference;

__attribute__((noinline)) uint64_t sum_step(uint64_t sum, uint64_t i) {
  __atomic_add_fetch(&sum_step_calls, 1, __ATOMIC_RELAXED);
  sum ^= i;
  sum *= 0x100000001b3u;
  return sum ^ (sum >> 29);
}

static uint64_t compute(void) {
  uint64_t sum = 0xcbf29ce484222325u;
  for (uint64_t i = 0; i < 1000; i++) sum = sum_step(sum, i);
  return sum;
}

static void* worker(void* arg) {
  while (!stop) {
    if (compute() != reference) __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&rounds, 1, __ATOMIC_SEQ_CST);
  }
  return arg;
}

static void on_term(int number) {
  (void)number;
  stop = 1;
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 4;
  long limit = argc > 2 ? atol(argv[2]) : 0;
  struct sigaction action = {.sa_handler = on_term, .sa_flags = SA_RESTART};
  sigaction(SIGTERM, &action, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  reference = compute();
  pthread_t ids[threads];
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, NULL);
  ready();
  for (long beat = 0; !stop && (!limit || beat * 20 < limit); beat++) {
    printf("beat %ld rounds %ld wrong %ld\n", beat, rounds, wrong);
    usleep(20000);
  }
  stop = 1;
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  printf("done rounds=%ld wrong=%ld checksum=%llx\n", rounds, wrong, (unsigned long long)reference);
  return 0;
}
