// kin: works and prints heartbeats with how many SIGUSR1 it has got; SIGUSR2 makes it fork, and both
// go on so. The child ends with its parent.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t got, wanted;
static const char* who = "parent";
long wrong;

__attribute__((noinline)) long kin_step(long x) { return x * 3 + 1; }

static void on_signal(int number) {
  if (number == SIGUSR1) got++;
  if (number == SIGUSR2) wanted = 1;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  for (long beat = 0;; beat++) {
    for (long i = 0; i < 1000; i++) wrong += kin_step(i) != i * 3 + 1;
    printf("%s beat %ld got %d wrong %ld\n", who, beat, (int)got, wrong);
    usleep(2000);
    if (!wanted) continue;
    wanted = 0;
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    who = "child";
  }
}
