// traps MODE [NUMBER]: MODE is workers, wait, step, pending or long. What breakpoints do to a
// program that has SIGTRAP blocked, ignored or pending. Prints, after NUMBER calls of passed(),
// what the program finds of its own settings.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

extern long passed(long i);
__asm__(
    ".globl passed\n.type passed,@function\n"
    "passed: push %rbx\n  lea 3(%rdi), %rax\n  pushf\n  popf\n  jmp 1f\n1: pop %rbx\n  ret\n"
    ".size passed,.-passed\n");

static volatile sig_atomic_t handled;
static void on_trap(int number) { handled += number == SIGTRAP; }

static long number = 10, wrong;
static void pass(void) {
  for (long i = 0; i < number; i++) wrong += passed(i) != i + 3;
}

static void show(const char* what) {
  sigset_t mask, waiting;
  struct sigaction action;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  sigpending(&waiting);
  sigaction(SIGTRAP, NULL, &action);
  printf("%s: blocked=%d pending=%d action=%s handled=%d wrong=%ld\n", what,
         sigismember(&mask, SIGTRAP), sigismember(&waiting, SIGTRAP),
         action.sa_handler == SIG_IGN   ? "ignore"
         : action.sa_handler == on_trap ? "handler"
                                        : "default",
         (int)handled, wrong);
}

static void block(int only_trap) {
  sigset_t set;
  if (only_trap) {
    sigemptyset(&set);
    sigaddset(&set, SIGTRAP);
  } else {
    sigfillset(&set);
  }
  pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock(void) {
  sigset_t set;
  sigfillset(&set);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_alarm(int n) { (void)n; }
static void wait_for_alarm(void) {
  block(1);
  signal(SIGALRM, on_alarm);
  alarm(1);
  puts("waiting");
  pause();
}

// The program single-steps itself.
static volatile long steps, places;
static void on_step(int n, siginfo_t* info, void* context) {
  (void)n;
  long at = (long)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] - (long)passed;
  steps++;
  if (at < 0 || at > 16) return;
  places = places * 31 + at + info->si_code;
}
static void step(void) {
  struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  for (long i = 0; i < 3; i++) {
    long result;
    __asm__ volatile(
        "mov %1, %%rdi\n pushf\n orl $0x100, (%%rsp)\n popf\n call passed\n pushf\n"
        "andl $~0x100, (%%rsp)\n popf\n mov %%rax, %0"
        : "=r"(result)
        : "r"(i)
        : "rax", "rdi", "memory", "cc");
    wrong += result != i + 3;
  }
  printf("steps=%ld places=%lx\n", steps, places);
}

// int3 in two bytes.
static volatile long behind;
static void on_long(int n, siginfo_t* info, void* context) {
  extern char after_long[];
  (void)n;
  (void)info;
  handled++;
  behind = (long)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] - (long)after_long;
}
static void long_form(void) {
  struct sigaction action = {.sa_sigaction = on_long, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  __asm__ volatile(".byte 0xcd, 3\n .globl after_long\nafter_long: nop");
  printf("handled=%d, %ld bytes behind it\n", (int)handled, behind);
}

static void* worker(void* unused) {
  (void)unused;
  pass();
  show("worker");
  return NULL;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "workers";
  if (argc > 2) number = atol(argv[2]);
  pthread_t id;
  setvbuf(stdout, NULL, _IONBF, 0);
  if (!strcmp(mode, "workers")) block(0);
  if (!strcmp(mode, "pending")) {
    block(1);
    raise(SIGTRAP);
  }
  if (!strcmp(mode, "wait")) wait_for_alarm();
  if (!strcmp(mode, "step")) step();
  if (!strcmp(mode, "long")) long_form();
  pass();
  show("main");
  if (!strcmp(mode, "workers")) {
    pthread_create(&id, NULL, worker, NULL);
    pthread_join(id, NULL);
  }
  if (!strcmp(mode, "pending")) {
    signal(SIGTRAP, on_trap);
    unblock();
    show("unblocked");
  }
  return wrong != 0;
}
