// sharedtext: calls code in a shared, executable view of a file that was opened for reading only, so
// that nobody can write to it, a debugger neither.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int (*view)(void);

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

int main(void) {
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret
  char path[] = "/tmp/sidestep-sharedtext-XXXXXX";
  int out = mkstemp(path);
  if (out < 0 || write(out, code, sizeof code) != sizeof code) return 1;
  int in = open(path, O_RDONLY);
  unlink(path);
  close(out);
  void* mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, in, 0);
  if (mapped == MAP_FAILED) return 2;
  view = (int (*)(void))mapped;
  ready();
  printf("%d\n", view());
  return 0;
}
