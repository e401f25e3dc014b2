// memory: mappings with ends, holes and protections for a debugger to read and write.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char buffer[4096] = "the quick brown fox jumps over the lazy dog";
unsigned char* edge;      // one page of 0x5a, then nothing
unsigned char* hidden;    // one page of 0x5b, PROT_NONE
unsigned char* untouched; // 16 pages never written: read as zero
unsigned char* read_only; // one page of 0x5c, PROT_READ
unsigned char* big;       // 4 MiB, byte i = (i * 7) & 255
volatile int answer = 42;

// Breakpoints are set here, over and over; what it computes must stay the same.
__attribute__((noinline)) int patched(int x) {
  int y = x + 1;
  y *= 3;
  return y - 2;
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
__attribute__((noinline)) void again(void) { __asm__ volatile(""); }

static unsigned char* pages(int count, int fill) {
  unsigned char* at =
      mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fill) memset(at, fill, count * 4096);
  return at;
}

int main(void) {
  edge = pages(2, 0x5a);
  hidden = pages(1, 0x5b);
  mprotect(hidden, 4096, PROT_NONE);
  untouched = pages(16, 0);
  read_only = pages(1, 0x5c);
  mprotect(read_only, 4096, PROT_READ);
  big = pages(1024, 1);
  for (int i = 0; i < 4 << 20; i++) big[i] = (unsigned char)(i * 7);
  munmap(edge + 4096, 4096);  // last, so that no other mapping takes the place
  ready();
  printf("buffer=%.43s answer=%d edge=%02x read_only=%02x patched=%d\n", buffer, answer, edge[4095],
         read_only[0], patched(5));
  again();
  uint32_t sum = 0;
  for (int i = 0; i < 4 << 20; i++) sum = sum * 31 + big[i];
  printf("big=%x patched=%d\n", sum, patched(7));
  return 0;
}
