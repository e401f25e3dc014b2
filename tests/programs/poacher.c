// poacher TID: traces that thread, prints "has it", and keeps it until the end.
// poacher PID any: takes one thread of the process after the other and lets it go again at once; at
// SIGTERM it prints how often. A thread that somebody else has is passed over.
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t done;

static void on_term(int number) { done = number; }

// A stop for a signal comes first, now and then, and the signal goes on with the thread.
static int take_and_let_go(pid_t tid) {
  int status = 0;
  if (ptrace(PTRACE_SEIZE, tid, 0, 0) != 0) return 0;
  if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0) return 0;
  if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) return 0;
  const int event = status >> 16;
  ptrace(PTRACE_DETACH, tid, 0, event != 0 ? 0 : WSTOPSIG(status));
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  const pid_t id = atoi(argv[1]);
  if (argc == 2) {
    if (ptrace(PTRACE_SEIZE, id, 0, 0) != 0) {
      perror("PTRACE_SEIZE");
      return 1;
    }
    puts("has it");
    while (1) {  // as strace would, it lets signals pass
      int status = 0;
      const pid_t tid = waitpid(-1, &status, __WALL);
      if (tid < 0) return 0;
      if (WIFSTOPPED(status)) ptrace(PTRACE_CONT, tid, 0, status >> 16 ? 0 : WSTOPSIG(status));
    }
  }
  signal(SIGTERM, on_term);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", id);
  long taken = 0;
  puts("begins");
  while (!done) {
    DIR* directory = opendir(path);
    if (directory == NULL) break;
    for (struct dirent* entry = readdir(directory); entry != NULL && !done; entry = readdir(directory))
      if (atoi(entry->d_name) > 0) taken += take_and_let_go(atoi(entry->d_name));
    closedir(directory);
    usleep(1000);
  }
  printf("taken %ld\n", taken);
  return 0;
}
