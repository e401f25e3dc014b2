// tls THREADS [SECONDS]: a thread-local variable with a different value in each thread. With SECONDS
// all of them wait for so long once the values are set, and "set" is printed.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__thread int mine = 7;
static pthread_barrier_t together;
static unsigned seconds;

__attribute__((noinline)) void all_set(void) { __asm__ volatile(""); }

static void* worker(void* arg) {
  mine = 100 + (int)(long)arg;
  pthread_barrier_wait(&together);  // every value is set …
  if (mine == 100) {
    all_set();
    if (seconds) puts("set");
    sleep(seconds);
  }
  pthread_barrier_wait(&together);  // … and stays until everybody was looked at
  return (void*)(long)mine;
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 3;
  seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  pthread_t ids[threads];
  pthread_barrier_init(&together, NULL, threads);
  for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, (void*)i);
  long sum = 0;
  for (int i = 0; i < threads; i++) {
    void* value;
    pthread_join(ids[i], &value);
    sum += (long)value;
  }
  printf("main=%d sum=%ld\n", mine, sum);
  return 0;
}
