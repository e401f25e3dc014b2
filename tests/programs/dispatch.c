// dispatch MODE: a program that has system calls sent to itself (prctl(2),
// PR_SET_SYSCALL_USER_DISPATCH) as Wine does, by the address they are made from. MODE 1: from outside
// a range; 2: from inside.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

long work(long);
long direct(long), caught(long);
extern char range[], range_end[], other_range[], other_range_end[];
__asm__(
    ".text\n.globl work, work_site, direct, direct_site, caught, caught_site\n"
    ".globl range, range_end, other_range, other_range_end\n"
    "work: mov %rdi, %rax\n"
    "work_site: add $1, %rax\n"
    "ret\n"
    "range: direct: mov %rdi, %rax\n"
    "direct_site: syscall\n"
    "ret\n"
    "range_end:\n"
    "other_range: caught: mov %rdi, %rax\n"
    "caught_site: syscall\n"
    "ret\n"
    "other_range_end:\n");

enum { answer = -77 };
static volatile char selector;
static volatile int times, places;

static void on_sigsys(int signal, siginfo_t* info, void* context) {
  extern char caught_site[];
  (void)signal;
  selector = 0;
  times++;
  places += (char*)info->si_call_addr == caught_site + 2;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = answer;
}

int main(int argc, char** argv) {
  const long mode = argc > 1 ? atol(argv[1]) : 1;
  char* start = mode == 1 ? range : other_range;
  char* end = mode == 1 ? range_end : other_range_end;
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  if (prctl(59, mode, start, end - start, &selector)) {
    puts("no dispatch");
    return 0;
  }
  long sum = 0;
  int right = 0;
  for (int i = 0; i < 10; i++) {
    selector = 1;
    sum += work(i);
    const long parent = direct(SYS_getppid);
    const long refused = caught(SYS_getppid);
    selector = 0;
    right += parent == getppid() && refused == answer;
  }
  printf("sum=%ld right=%d caught=%d places=%d\n", sum, right, times, places);
  return 0;
}
