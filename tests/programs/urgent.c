// urgent THREADS HERTZ: THREADS busy threads, each with a timer of its own that sends it SIGURG HERTZ
// times a second, as the Go runtime does to preempt goroutines. A handler counts the signals, work()
// the rounds of the threads. Ends on SIGTERM.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

volatile long urged, rounds;
static volatile sig_atomic_t stop;
static long hertz;

static void on_urgent(int number) {
  (void)number;
  __atomic_add_fetch(&urged, 1, __ATOMIC_RELAXED);
}

static void on_term(int number) {
  (void)number;
  stop = 1;
}

__attribute__((noinline)) long work(long n) {
  __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
  return n * 3 + 1;
}

static void* worker(void* arg) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
  event._sigev_un._tid = gettid();
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  struct itimerspec every = {.it_interval = {.tv_nsec = 1000000000 / hertz},
                             .it_value = {.tv_nsec = 1000000000 / hertz}};
  timer_settime(timer, 0, &every, NULL);
  long n = (long)arg;
  while (!stop) n = work(n);
  return (void*)n;
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 20;
  hertz = argc > 2 ? atol(argv[2]) : 5000;
  signal(SIGURG, on_urgent);
  signal(SIGTERM, on_term);
  setvbuf(stdout, NULL, _IOLBF, 0);
  pthread_t ids[threads];
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, NULL);
  for (long beat = 0; !stop; beat++) {
    printf("beat %ld urged %ld rounds %ld\n", beat, urged, rounds);
    usleep(20000);
  }
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  printf("done urged=%ld rounds=%ld\n", urged, rounds);
  return 0;
}
