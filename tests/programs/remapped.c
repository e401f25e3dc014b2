// remapped HOW ROUNDS [held]: text of a file, mapped in each round anew at the same place, another
// piece of code each time, as a program does that unloads a library and loads one. HOW it goes:
//   unmap     munmap, then mmap
//   over      mmap over it
//   move      mremap elsewhere, then mmap
//   discard   the file is rewritten and the page given back: the file's text is there again
//   protect   mprotect to nothing and back: it stays
//   storm     over and discard, under the feet of threads that run in it
// One piece in four has an int3 of its own. Before each round it calls mapped(), in the end it
// prints wrong=0. Held, it waits first for a debugger that clears `held`. One that goes away sets
// `leaving`: then it waits for the text to be its own again.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef long Code(long);
#define PLACE ((unsigned char*)0x300000000000)
enum { page = 4096, pieces = 4 };

// lea N(%rdi), %rax; ret
static const struct {
  unsigned char bytes[8];
  int adds;
} text[pieces] = {{{0x48, 0x8d, 0x47, 3, 0xc3}, 3},
                  {{0x48, 0x8d, 0x47, 5, 0xc3}, 5},
                  {{0x55, 0x48, 0x8d, 0x47, 7, 0x5d, 0xc3}, 7},  // push %rbp; ...; pop %rbp
                  {{0xcc, 0x48, 0x8d, 0x47, 9, 0xc3}, 9}};       // int3; ...

static int file;
static volatile long traps;
static void on_trap(int number) {
  (void)number;
  traps++;
}

volatile int held = 1, leaving;  // set before main(), where a debugger may already be there
__attribute__((noinline)) void mapped(int piece) { __asm__ volatile("" ::"r"(piece)); }
__attribute__((noinline)) void unmapped(void) { __asm__ volatile(""); }

static void write_piece(int piece) {
  if (pwrite(file, text[piece].bytes, sizeof text[piece].bytes, 0) < 0) perror("pwrite");
}

static void map_piece(int piece) {
  write_piece(piece);
  void* at = mmap(PLACE, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0);
  if (at != PLACE) perror("mmap");
}

static void change(const char* how, int piece) {
  if (!strcmp(how, "unmap")) {
    munmap(PLACE, page);
    unmapped();
  }
  if (!strcmp(how, "move") &&
      mremap(PLACE, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE + 16 * page) == MAP_FAILED)
    perror("mremap");
  if (!strcmp(how, "protect")) {
    mprotect(PLACE, page, PROT_NONE);
    mprotect(PLACE, page, PROT_READ | PROT_EXEC);
  } else if (!strcmp(how, "discard")) {
    write_piece(piece);
    madvise(PLACE, page, MADV_DONTNEED);
  } else {
    map_piece(piece);
  }
}

static long in_turn(const char* how, int rounds) {
  const int stays = !strcmp(how, "protect");
  long wrong = 0, expected_traps = 0;
  map_piece(0);
  for (int i = 0; i < rounds; i++) {
    const int piece = stays ? 0 : i % pieces;
    if (i) change(how, piece);
    mapped(piece);
    while (leaving && memcmp(PLACE, text[piece].bytes, sizeof text[piece].bytes)) usleep(1000);
    wrong += ((Code*)(uintptr_t)PLACE)(i) != i + text[piece].adds;
    expected_traps += text[piece].bytes[0] == 0xcc;
  }
  printf("traps=%ld of %ld\n", traps, expected_traps);
  return wrong + (traps != expected_traps);
}

static volatile int stop;
static void* call_until_stop(void* wrong) {
  for (long i = 0; !stop; i++) {
    const long adds = ((Code*)(uintptr_t)PLACE)(i)-i;
    *(long*)wrong += adds != text[0].adds && adds != text[1].adds;
  }
  return NULL;
}

// Of the two pieces that differ in a number only, so that a thread in the middle finds its way.
static long storm(int rounds) {
  enum { threads = 3 };
  pthread_t ids[threads];
  long wrong[threads] = {0}, sum = 0;
  map_piece(0);
  mapped(0);
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, call_until_stop, &wrong[i]);
  for (int i = 0; i < rounds; i++) {
    usleep(1000);
    change(i % 3 ? "over" : "discard", i % 2);
  }
  stop = 1;
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum += wrong[i];
  }
  return sum + traps;
}

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "over";
  const int rounds = argc > 2 ? atoi(argv[2]) : 8;
  file = memfd_create("text", 0);
  if (file < 0 || ftruncate(file, page)) perror("memfd");
  signal(SIGTRAP, on_trap);
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  while (argc > 3 && held) usleep(1000);
  long wrong = strcmp(how, "storm") ? in_turn(how, rounds) : storm(rounds);
  printf("wrong=%ld\n", wrong);
  return wrong != 0;
}
