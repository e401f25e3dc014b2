// asleep: at each SIGUSR2 its main thread calls vfork, and is uninterruptibly asleep until the next one
// ends the child. Another thread works, prints heartbeats and counts the SIGRTMINs it gets.
// asleep second: with the parts exchanged.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t asked, got;
volatile int watched;
long wrong, woken;

__attribute__((noinline)) long step(long x) { return x * 3 + 1; }

static void on_signal(int number) {
  if (number == SIGUSR2) asked++;
  if (number == SIGRTMIN) got++;
}

static void* work(void* unused) {
  (void)unused;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGRTMIN);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  for (long beat = 0;; beat++) {
    for (long i = 0; i < 1000; i++) wrong += step(i) != i * 3 + 1;
    printf("beat %ld got %d woken %ld wrong %ld\n", beat, (int)got, woken, wrong);
    usleep(2000);
  }
  return NULL;
}

// The child runs on this very stack, so nothing is called but the kernel.
__attribute__((noinline)) static void sleep_in_vfork(void) {
  const struct timespec pause = {0, 1000000};
  register long result __asm__("rax") = SYS_vfork;
  __asm__ volatile(".globl vfork_call\nvfork_call: syscall" : "+a"(result) : : "rcx", "r11", "memory");
  if (result != 0) return;
  while (asked % 2 == 1) {
    register long number __asm__("rax") = SYS_nanosleep;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(&pause), "S"(0)
                     : "rcx", "r11", "memory");
  }
  __asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0));
  __builtin_unreachable();
}

static void* sleep_when_asked(void* unused) {
  (void)unused;
  while (1) {
    while (asked % 2 == 0) usleep(1000);
    sleep_in_vfork();
    watched++;
    woken++;
  }
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR2, &action, NULL);
  sigaction(SIGRTMIN, &action, NULL);
  signal(SIGCHLD, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  pthread_t other;
  pthread_create(&other, NULL, argc > 1 ? sleep_when_asked : work, NULL);
  (argc > 1 ? work : sleep_when_asked)(NULL);
}
