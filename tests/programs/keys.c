// keys: protection keys (pkeys(7)). Prints PKRU as it finds it at its start, takes the right to
// write from a page, and tells whether PKRU was what it had set, ROUNDS times (default 3).
//   keys [ROUNDS]
// Each round also calls code in execute-only memory, which the processor lets nobody read.
// Exits with 0 when it always was, 1 when not, 2 where there are no protection keys.
#define _GNU_SOURCE
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

volatile unsigned seen, expected;
volatile int *page;

static int have_keys(void) {
  unsigned a, b, c = 0, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 4);  // OSPKE
}

static unsigned rdpkru(void) {
  unsigned value, high;
  __asm__ volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
  return value;
}

__attribute__((noinline)) void set_rights(unsigned value) {
  __asm__ volatile("write_pkru: wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

// x -> 2 * x + 1, by an instruction that is emulated, some that run out of line, and `ret`.
static const unsigned char twice_and_one[] = {
    0x57,                    // push %rdi
    0x48, 0x83, 0xc7, 0x01,  // add $1, %rdi
    0x58,                    // pop %rax
    0x48, 0x01, 0xf8,        // add %rdi, %rax
    0xc3,                    // ret
};
long (*hidden)(long);

static int map_hidden(void) {
  void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 0;
  memcpy(at, twice_and_one, sizeof twice_and_one);
  hidden = (long (*)(long))at;
  return mprotect(at, 4096, PROT_EXEC) == 0;
}

__attribute__((noinline)) void look(void) { seen = rdpkru(); }  // keys: look

__attribute__((noinline)) void ready(void) { seen = 0; }

__attribute__((noinline)) int add(int a, int b) { return a + b; }

int main(int argc, char **argv) {
  if (!have_keys()) return 2;
  unsigned first = rdpkru();
  int rounds = argc > 1 ? atoi(argv[1]) : 3, wrong = 0;
  printf("first=%x\n", first);
  fflush(stdout);
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *page = 4711;
  int key = pkey_alloc(0, 0);
  if (key < 0 || pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key) != 0) return 2;
  if (!map_hidden()) return 2;
  ready();
  for (int i = 0; i < rounds; i++) {
    wrong += hidden(i) != 2 * i + 1;
    unsigned rights = (rdpkru() & ~(3u << 2 * key)) | (i % 3 + 1u) << 2 * key;
    expected = rights;
    set_rights(rights);
    look();                      // keys: called
    wrong += seen != expected;   // keys: compared
  }
  printf("wrong=%d\n", wrong);
  printf("last=%x\n", seen);
  return wrong != 0;
}
