// idle THREADS: threads that wait in a system call, and main that prints a heartbeat.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int never[2];
long woken;

static void* waiter(void* arg) {
  char byte;
  if (read(never[0], &byte, 1) != 1) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
  return arg;
}

__attribute__((noinline)) void tick(long beat) {
  printf("beat %ld woken %ld\n", beat, woken);
  fflush(stdout);
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 100;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  if (pipe(never)) return 1;
  pthread_t id;
  for (int i = 0; i < threads; i++)
    if (pthread_create(&id, &attributes, waiter, NULL)) return 1;
  for (long beat = 0;; beat++) {
    tick(beat);
    usleep(20000);
  }
}
