// crashes MODE: what a debugger's user wants explained, or called by hand.
//   fault null|constant|canonical|illegal|divide|bus   dies of that
//   wait                                               until SIGTERM; SIGINT is counted
//   read                                               reads a variable
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__thread int in_thread = 7;
volatile long shared_word = 5;
static volatile sig_atomic_t interrupted, ended;
static const char constant[] = "constant";

// Called by the debugger only.
__attribute__((used, noinline)) int read_int(int* from) { return *from; }
__attribute__((used, noinline)) int add_up(int a, int b) { return a + b; }

__attribute__((noinline)) long look(void) {
  long word = shared_word;  // crashes: read
  return word;
}

static void on_interrupt(int number) {
  (void)number;
  interrupted = interrupted + 1;
}

static void on_end(int number) {
  (void)number;
  ended = 1;
}

static char* beyond_the_file(void) {
  char name[] = "/tmp/crashes-XXXXXX";
  int fd = mkstemp(name);
  if (fd < 0) exit(3);
  unlink(name);
  return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void fault(const char* how) {
  volatile int zero = 0;
  if (!strcmp(how, "null")) *(volatile int*)0x1234 = 1;
  if (!strcmp(how, "constant")) *(volatile char*)constant = 1;
  if (!strcmp(how, "canonical")) *(volatile char*)0x8000123400000000 = 1;
  if (!strcmp(how, "illegal")) __asm__ volatile("ud2");
  if (!strcmp(how, "divide")) zero = 77 / zero;
  if (!strcmp(how, "bus")) *(volatile char*)beyond_the_file() = 1;
}

int main(int argc, char** argv) {
  setbuf(stdout, NULL);
  const char* mode = argc > 1 ? argv[1] : "read";
  if (!strcmp(mode, "fault")) fault(argc > 2 ? argv[2] : "null");
  if (!strcmp(mode, "wait")) {
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_end);
    printf("waiting in_thread=%d\n", in_thread);  // crashes: handlers are set
    for (unsigned long turn = 0; !ended; turn++)
      if (turn % 50000000 == 0) printf("beat %lu\n", turn / 50000000);
    printf("done interrupted=%d\n", (int)interrupted);
    return 0;
  }
  look();
  return in_thread - 7;
}
