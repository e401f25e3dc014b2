// ranges MODE THREADS ROUNDS: loops of one line each, to be stepped over as a range.
// MODE: plain; alarms (20 times SIGALRM, every millisecond); forever (main's loop has no end).
// Ends when `stop` is set or after 400 laps and prints what went wrong: every thread compares what
// its loops compute.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

volatile long stop, wrong, alarms, laps;
static long rounds;
static uint64_t reference;

__attribute__((noinline)) uint64_t mix(long n) {
  uint64_t sum = 1, i = 0;                              // mix: first
  while (i < (uint64_t)n) sum = (sum ^ i++) * 0x1b3u;   // mix: loop
  return sum;                                           // mix: after
}

__attribute__((noinline)) void forever(void) {
  while (!stop) laps++;  // forever: loop
  laps = 0;              // forever: after
}

static void on_alarm(int number) {
  const struct itimerval never = {{0, 0}, {0, 0}};
  alarms += number == SIGALRM;
  if (alarms == 20) setitimer(ITIMER_REAL, &never, NULL);
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static void* worker(void* arg) {
  for (int i = 0; i < 400 && !stop; i++)
    if (mix(rounds) != reference) __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
  return arg;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  int threads = atoi(argv[2]);
  rounds = atol(argv[3]);
  reference = mix(rounds);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 1000}, {0, 1000}};
  if (!strcmp(argv[1], "alarms")) setitimer(ITIMER_REAL, &often, NULL);
  ready();
  pthread_t ids[threads];
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, NULL);
  if (!strcmp(argv[1], "forever")) forever();
  else worker(NULL);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  while (!strcmp(argv[1], "alarms") && alarms < 20) usleep(1000);
  printf("wrong=%ld alarms=%ld\n", wrong, alarms);
  return 3;
}
