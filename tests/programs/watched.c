// watched: variables that change at known moments, in one thread and in several.
#include <pthread.h>
#include <stdio.h>

volatile int watched;
volatile int shared_counter;
volatile char bytes[8];
volatile long wide;
long executed;

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

__attribute__((noinline)) int executed_here(int i) {
  executed++;
  return i;
}

static void* bump(void* arg) {
  for (int i = 0; i < 5; i++) shared_counter++;
  return arg;
}

int main(void) {
  int sum = 0;
  ready();
  for (int i = 1; i <= 5; i++) {
    watched = i * 10;  // watched: write
    sum += executed_here(i);
  }
  sum += watched;  // watched: read
  bytes[3] = 1;    // watched: one byte
  wide = 1L << 40;
  for (int i = 0; i < 2; i++) {
    pthread_t id;
    pthread_create(&id, NULL, bump, NULL);
    pthread_join(id, NULL);
  }
  printf("sum=%d shared=%d executed=%ld wide=%lx\n", sum, shared_counter, executed, wide);
  return 0;
}
