// signals MODE [COUNT]: signals of all kinds, counted by the program itself.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long got_usr1, got_usr2, got_rt, got_segv, got_other, last_value = -1, disorder, got_alarm;
volatile long work_done;
static long count;
static sigjmp_buf escape;

__attribute__((noinline)) void on_signal(int number, siginfo_t* info, void* context) {
  (void)context;
  if (number == SIGUSR1) {
    got_usr1++;
  } else if (number == SIGUSR2) {
    got_usr2++;
  } else if (number == SIGALRM) {
    got_alarm++;
  } else if (number >= SIGRTMIN) {
    got_rt++;
    if (info->si_value.sival_int != last_value + 1) disorder++;
    last_value = info->si_value.sival_int;
  } else {
    got_other++;
  }
}

__attribute__((noinline)) void on_segv(int number) {
  (void)number;
  got_segv++;
  siglongjmp(escape, 1);
}

static void handle(int number) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(number, &action, NULL);
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static void handled(void) {
  handle(SIGUSR1);
  handle(SIGUSR2);
  handle(SIGRTMIN + 3);
  ready();
  for (long i = 0; i < count; i++) {
    raise(SIGUSR1);
    raise(SIGUSR2);
    union sigval value = {.sival_int = (int)i};
    sigqueue(getpid(), SIGRTMIN + 3, value);
  }
}

__attribute__((noinline)) int touch(volatile int* where) {
  return *where;  // touch: fault
}

static void faults(void) {
  signal(SIGSEGV, on_segv);
  ready();
  for (long i = 0; i < count; i++) {
    if (!sigsetjmp(escape, 1)) touch((int*)16);
    work_done++;
  }
}

static void* sender(void* target) {
  for (int i = 0; i < count; i++) {
    union sigval value = {.sival_int = i};
    pthread_sigqueue(*(pthread_t*)target, SIGRTMIN + 3, value);
    usleep(1000);
  }
  return NULL;
}

__attribute__((noinline)) long stepped(long rounds) {
  long sum = 0;
  for (long i = 0; i < rounds; i++) {  // stepped: head
    sum += i;                          // stepped: body
    work_done++;                       // stepped: count
  }
  return sum;
}

// Queued signals, 1,000 a second, while somebody single-steps the thread that gets them.
static void storm(void) {
  handle(SIGRTMIN + 3);
  pthread_t self = pthread_self(), id;
  pthread_create(&id, NULL, sender, &self);
  ready();
  while (got_rt < count) stepped(10);
  pthread_join(id, NULL);
}

// An interval timer while a hot function is called: handlers run between any two instructions.
static void alarms(void) {
  handle(SIGALRM);
  struct timespec interval = {0, 1000000};
  timer_t timer;
  struct itimerspec every = {interval, interval};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  ready();
  timer_settime(timer, 0, &every, NULL);
  long sum = 0;
  while (got_alarm < count) sum += stepped(5);
  timer_delete(timer);
}

static void spin(void) {
  ready();
  for (;;) work_done++;
}

// Its own process group's other members must not suffer from a Ctrl-C in the debugger.
static void family(void) {
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 6000; i++) usleep(10000);
    _exit(0);
  }
  printf("child %d\n", child);
  fflush(stdout);
  ready();
  for (int i = 0; i < 6000; i++) {
    if (waitpid(child, NULL, WNOHANG) == child) {
      printf("the child died\n");
      fflush(stdout);
      return;
    }
    usleep(10000);
  }
}

// Waiting in system calls: an interruption by the debugger must not show.
static void sleeping(void) {
  int ends[2], bad = 0;
  char byte = 0;
  pipe(ends);
  ready();
  for (int i = 0; i < 20; i++) {
    struct timespec duration = {0, 100000000};
    if (nanosleep(&duration, NULL)) bad++;
    work_done++;
  }
  write(ends[1], "x", 1);
  if (read(ends[0], &byte, 1) != 1) bad++;
  printf("interrupted=%d byte=%c\n", bad, byte);
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "handled";
  count = argc > 2 ? atol(argv[2]) : 10;
  sigset_t set;
  sigemptyset(&set);
  if (!strcmp(mode, "handled")) handled();
  if (!strcmp(mode, "faults")) faults();
  if (!strcmp(mode, "storm")) storm();
  if (!strcmp(mode, "alarms")) alarms();
  if (!strcmp(mode, "spin")) spin();
  if (!strcmp(mode, "family")) family();
  if (!strcmp(mode, "sleeping")) sleeping();
  if (!strcmp(mode, "blocked")) {
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    spin();
  }
  if (!strcmp(mode, "ignored")) {
    signal(SIGINT, SIG_IGN);
    spin();
  }
  if (!strcmp(mode, "crash")) {
    ready();
    touch(NULL);
  }
  printf("usr1=%ld usr2=%ld rt=%ld segv=%ld other=%ld alarm=%d disorder=%ld\n", got_usr1, got_usr2,
         got_rt, got_segv, got_other, got_alarm >= count, disorder);
  return 0;
}
