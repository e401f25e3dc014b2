// An int3 of the program's own, which a debugger also has a breakpoint on ("permanent", in gdb's
// terms): run in a loop, in a signal handler, and with a handler for the trap.
#include <signal.h>
#include <stdio.h>
#include <string.h>

volatile int passed, trapped;

__attribute__((noinline)) void permanent(void) {
  __asm__ volatile(
      ".globl own_int3, behind_int3\n"
      "own_int3: int3\n"
      "behind_int3: nop\n");
  passed++;
}
__attribute__((noinline)) void done(void) {}

static void on_usr1(int signal) {
  (void)signal;
  permanent();
}
static void on_trap(int signal) {
  (void)signal;
  trapped++;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_trap};
  sigaction(SIGTRAP, &action, NULL);
  action.sa_handler = on_usr1;
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < 3; i++) permanent();
  raise(SIGUSR1);
  done();
  printf("passed %d trapped %d\n", passed, trapped);
  return 0;
}
