// storm CREATORS THREADS: each of CREATORS threads creates THREADS short-lived threads one after the
// other; each of those calls visit() once and ends. `storm CREATORS 0` goes on until SIGTERM, and
// prints a line whenever main wakes up.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

long visits, created;
static long per_creator;
static volatile sig_atomic_t stop;

__attribute__((noinline)) void visit(void) { __atomic_add_fetch(&visits, 1, __ATOMIC_SEQ_CST); }

static void* visitor(void* arg) {
  visit();
  return arg;
}

static void* creator(void* arg) {
  for (long i = 0; per_creator ? i < per_creator : !stop; i++) {
    pthread_t id;
    if (pthread_create(&id, NULL, visitor, NULL)) continue;
    __atomic_add_fetch(&created, 1, __ATOMIC_SEQ_CST);
    if (i % 2) {
      pthread_detach(id);  // half of them end when they like
    } else {
      pthread_join(id, NULL);
    }
  }
  return arg;
}

static void on_term(int number) {
  (void)number;
  stop = 1;
}

int main(int argc, char** argv) {
  int creators = argc > 1 ? atoi(argv[1]) : 2;
  per_creator = argc > 2 ? atol(argv[2]) : 100;
  pthread_t ids[creators];
  signal(SIGTERM, on_term);
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 0; i < creators; i++) pthread_create(&ids[i], NULL, creator, NULL);
  while (!per_creator && !stop) {
    printf("visits so far %ld\n", __atomic_load_n(&visits, __ATOMIC_SEQ_CST));
    usleep(50000);
  }
  for (int i = 0; i < creators; i++) pthread_join(ids[i], NULL);
  while (__atomic_load_n(&visits, __ATOMIC_SEQ_CST) < __atomic_load_n(&created, __ATOMIC_SEQ_CST)) usleep(1000);
  printf("created=%ld visits=%ld\n", created, visits);
  return 0;
}
