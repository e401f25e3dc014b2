// spin THREADS MILLISECONDS: THREADS busy threads call hot() in a loop; one innocent thread spins and
// never calls it. At the end the innocent thread prints how often it gave up the processor by its own
// will since it began to spin: being stopped by a tracer counts as that.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

volatile int stop;
long hot_calls;
volatile long innocent_rounds;

__attribute__((noinline)) long hot(long i) {
  __atomic_add_fetch(&hot_calls, 1, __ATOMIC_RELAXED);
  return i * 3;
}

static void* busy(void* arg) {
  (void)arg;
  long sum = 0;
  for (long i = 0; !stop; i++) sum += hot(i);
  return (void*)sum;
}

static long voluntary_switches(void) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", gettid());
  FILE* file = fopen(path, "r");
  long count = -1;
  while (fgets(line, sizeof line, file)) sscanf(line, "voluntary_ctxt_switches: %ld", &count);
  fclose(file);
  return count;
}

__attribute__((noinline)) void go(void) { __asm__ volatile(""); }

static void* innocent(void* arg) {
  (void)arg;
  // Only a loop between the two readings: no system call that could block.
  long before = voluntary_switches();
  while (!stop) innocent_rounds++;
  long after = voluntary_switches();
  return (void*)(after - before);
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 8;
  int milliseconds = argc > 2 ? atoi(argv[2]) : 1000;
  go();  // breakpoints are inserted here, before there are threads
  pthread_t ids[threads], innocent_id;
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, busy, NULL);
  usleep(100000);  // thread creation is over before the innocent one begins to count
  pthread_create(&innocent_id, NULL, innocent, NULL);
  usleep(milliseconds * 1000);
  stop = 1;
  void* switches;
  pthread_join(innocent_id, &switches);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  printf("hot_calls=%ld innocent_rounds=%ld voluntary_switches=%ld\n", hot_calls, innocent_rounds,
         (long)switches);
  return 0;
}
