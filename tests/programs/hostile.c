// hostile MODE: a program that does to its own memory what a debugger would not expect.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int stop;
long hot_calls;
volatile long table[4] = {1, 2, 3, 4};

// Needs a slot: an operand relative to the instruction pointer, and nothing that could be emulated.
__attribute__((noinline)) long hot(long i) {
  __atomic_add_fetch(&hot_calls, 1, __ATOMIC_RELAXED);
  return table[i & 3];
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
__attribute__((noinline)) void rewritten(void) { __asm__ volatile(""); }

extern int changing(void);
__asm__(
    ".text\n.p2align 6\n.globl changing\n.type changing,@function\n"
    "changing: mov $1, %eax\n  ret\n.size changing,.-changing\n");

static void make_writable(void* code) {
  void* page = (void*)((uintptr_t)code & ~4095ul);
  if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) perror("mprotect");
}

// The instruction under a breakpoint is replaced as a whole, as a just-in-time compiler does.
static void rewrite(void) {
  static const unsigned char newer[5] = {0xb8, 2, 0, 0, 0};
  int sum = changing();
  make_writable(changing);
  memcpy((void*)changing, newer, sizeof newer);
  sum = sum * 10 + changing();
  rewritten();
  sum = sum * 10 + changing();
  printf("changing=%d first byte=%02x\n", sum, *(unsigned char*)changing);
}

// Executable memory that belongs to no file and that this program never made.
static int foreign_area(uintptr_t* start, uintptr_t* end) {
  char line[512], permissions[8], path[256];
  unsigned long offset, inode;
  int found = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  while (!found && fgets(line, sizeof line, maps)) {
    path[0] = 0;
    sscanf(line, "%lx-%lx %7s %lx %*s %lu %255s", start, end, permissions, &offset, &inode, path);
    found = permissions[2] == 'x' && !inode && strcmp(path, "[vdso]") && strcmp(path, "[vsyscall]");
  }
  fclose(maps);
  return found;
}

static void* busy(void* arg) {
  long sum = 0;
  for (long i = 0; !stop; i++) sum += hot(i) - table[i & 3];
  return (void*)(sum + (long)arg);
}

// Four threads hit the site all the time while the area with the slots is spoiled again and again.
static void spoil(const char* how) {
  pthread_t ids[4];
  int found = 0;
  uintptr_t start, end;
  for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, busy, NULL);
  for (int round = 0; round < 40; round++) {
    usleep(10000);
    if (!foreign_area(&start, &end)) continue;
    found++;
    if (!strcmp(how, "unmap")) munmap((void*)start, end - start);
    if (!strcmp(how, "protect")) mprotect((void*)start, end - start, PROT_NONE);
  }
  stop = 1;
  long wrong = 0;
  for (int i = 0; i < 4; i++) {
    void* sum;
    pthread_join(ids[i], &sum);
    wrong += (long)sum;
  }
  printf("areas found=%d wrong=%ld\n", found > 0, wrong);
}

// What follows may kill this program, but nothing else.
static void spoil_once(const char* how) {
  fflush(stdout);
  hot(1);
  uintptr_t start = 0, end = 0;
  int found = foreign_area(&start, &end);
  if (found && !strcmp(how, "scribble")) {
    mprotect((void*)start, end - start, PROT_READ | PROT_WRITE | PROT_EXEC);
    memset((void*)start, 0xcc, end - start);
  }
  if (found && !strcmp(how, "jump")) ((void (*)(void))(start + 256))();
  for (int i = 0; i < 100; i++) hot(i);
  printf("survived\n");
}

// A filter that kills on mmap, mprotect and munmap: whoever injects such a call kills us.
static void filtered(void) {
  struct sock_filter program[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
      {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, SYS_mmap},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_mprotect},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_prctl},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  printf("filtered\n");  // the buffer is allocated before mmap is forbidden
  fflush(stdout);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) perror("seccomp");
  ready();
  long sum = 0;
  for (int i = 0; i < 1000; i++) sum += hot(i);
  printf("sum=%ld\n", sum);
}

// A site in the middle of an instruction, and two on neighbouring instructions of one byte.
extern int middle(void);
__asm__(
    ".text\n.globl middle\n.type middle,@function\n"
    "middle: nop\n.globl middle_second\nmiddle_second: nop\n"
    ".globl middle_third\nmiddle_third: mov $0x90909090, %eax\n"
    "  xor $0x90909095, %eax\n  ret\n.size middle,.-middle\n");

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "rewrite";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!strcmp(mode, "filtered")) {
    filtered();
    return 0;
  }
  ready();
  if (!strcmp(mode, "rewrite")) rewrite();
  if (!strcmp(mode, "unmap") || !strcmp(mode, "protect")) spoil(mode);
  if (!strcmp(mode, "scribble") || !strcmp(mode, "jump")) spoil_once(mode);
  if (!strcmp(mode, "middle")) {
    long sum = 0;
    for (int i = 0; i < 100; i++) sum += middle();
    printf("sum=%ld\n", sum);
  }
  return 0;
}
