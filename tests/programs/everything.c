// everything MILLISECONDS: 32 threads call 16 functions, short-lived threads call them too, a timer
// sends signals every millisecond, and children are forked a hundred times a second, all at once.
// Every function counts its calls, and those whose argument is a multiple of 256.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { functions = 16, threads = 32 };
volatile int stop;
long calls[functions], multiples[functions];
volatile long signals;
static long short_lived, children, bad_children;

#define FUNCTION(n)                                                          \
  __attribute__((noinline)) long work##n(long i) {                           \
    __atomic_add_fetch(&calls[n], 1, __ATOMIC_RELAXED);                      \
    if ((i & 255) == 0) __atomic_add_fetch(&multiples[n], 1, __ATOMIC_RELAXED); \
    return i * (n + 1);                                                      \
  }
FUNCTION(0) FUNCTION(1) FUNCTION(2) FUNCTION(3) FUNCTION(4) FUNCTION(5) FUNCTION(6) FUNCTION(7)
FUNCTION(8) FUNCTION(9) FUNCTION(10) FUNCTION(11) FUNCTION(12) FUNCTION(13) FUNCTION(14) FUNCTION(15)
static long (*const all[functions])(long) = {work0,  work1,  work2,  work3, work4,  work5,
                                             work6,  work7,  work8,  work9, work10, work11,
                                             work12, work13, work14, work15};

static void on_signal(int number) {
  (void)number;
  signals++;
}

static void* worker(void* arg) {
  long wrong = 0, n = (long)arg;
  for (long i = 1; !stop; i++) {
    long which = (i + n) % functions;
    wrong += all[which](i) != i * (which + 1);
  }
  return (void*)wrong;
}

static void* visitor(void* arg) {
  return (void*)(all[(long)arg % functions](512) - 512 * ((long)arg % functions + 1));
}

static void* creator(void* arg) {
  long wrong = 0;
  while (!stop) {
    pthread_t id;
    void* result;
    if (pthread_create(&id, NULL, visitor, (void*)short_lived)) continue;
    short_lived++;
    pthread_join(id, &result);
    wrong += (long)result;
    usleep(1000);
  }
  return (void*)(wrong + (long)arg);
}

static void* forker(void* arg) {
  while (!stop) {
    pid_t child = fork();
    if (child == 0) _exit(all[children % functions](3) == 3 * (children % functions + 1) ? 0 : 1);
    int status;
    while (waitpid(child, &status, 0) != child) continue;
    if (status) bad_children++;
    children++;
    usleep(10000);
  }
  return arg;
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

int main(int argc, char** argv) {
  long milliseconds = argc > 1 ? atol(argv[1]) : 1000, wrong = 0;
  pthread_t ids[threads + 2];
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  ready();
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, (void*)i);
  pthread_create(&ids[threads], NULL, creator, NULL);
  pthread_create(&ids[threads + 1], NULL, forker, NULL);
  struct timeval now, end;
  gettimeofday(&end, NULL);
  end.tv_sec += milliseconds / 1000;
  end.tv_usec += milliseconds % 1000 * 1000;
  do {
    usleep(5000);
    gettimeofday(&now, NULL);
  } while (timercmp(&now, &end, <));
  stop = 1;
  for (int i = 0; i < threads + 2; i++) {
    void* result;
    pthread_join(ids[i], &result);
    wrong += (long)result;
  }
  timer.it_value.tv_usec = timer.it_interval.tv_usec = 0;
  setitimer(ITIMER_REAL, &timer, NULL);
  long sum = 0;
  for (int n = 0; n < functions; n++) sum += multiples[n];
  printf("multiples=%ld wrong=%ld bad_children=%ld signals=%d short_lived=%d children=%d\n", sum, wrong,
         bad_children, signals > 0, short_lived > 0, children > 0);
  return 0;
}
