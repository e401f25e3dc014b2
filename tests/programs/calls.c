// System calls that a debugger interrupts, has the thread call `errand` in, and puts back. Each is to
// give what it gives undisturbed.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

volatile int errands;

// Makes a system call of its own, which leaves its mark in rax and orig_rax.
__attribute__((noinline)) void errand_over(void) { errands++; }
__attribute__((noinline)) void errand(void) {
  syscall(SYS_getpid);
  errand_over();
}

static void on_alarm(int signal) { (void)signal; }

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int child_after(int milliseconds, int fd) {
  const pid_t child = fork();
  if (child == 0) {
    usleep((useconds_t)milliseconds * 1000);
    _exit(write(fd, "x", 1) != 1);
  }
  return child;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  int ends[2];
  if (pipe(ends) != 0) return 2;
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  long result = -1;
  const double begun = seconds();
  errno = 0;
  if (strcmp(what, "nanosleep") == 0) {
    const struct timespec time = {.tv_sec = 1, .tv_nsec = 500 * 1000 * 1000};
    result = nanosleep(&time, NULL);
    if (seconds() - begun < 1.4) errno = ETIME;
  } else if (strcmp(what, "poll") == 0) {
    result = poll(NULL, 0, 1500);
    if (seconds() - begun < 1.4) errno = ETIME;
  } else if (strcmp(what, "read") == 0) {
    child_after(1500, ends[1]);
    char byte;
    result = read(ends[0], &byte, 1);
  } else if (strcmp(what, "wait") == 0) {
    const pid_t child = child_after(1500, ends[1]);
    result = wait(NULL) == child;
  } else if (strcmp(what, "pause") == 0) {
    const struct itimerval each = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    setitimer(ITIMER_REAL, &each, NULL);
    result = pause();
  } else if (strcmp(what, "fork") == 0) {
    // Large, so that an interrupt finds it in the middle.
    const size_t size = 64u << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, size);
    result = 0;
    for (int i = 0; i < 200; i++) {
      const pid_t child = i % 2 ? fork() : vfork();
      if (child == 0) _exit(0);
      result += child < 0 || waitpid(child, NULL, 0) != child;
    }
  }
  printf("%s %ld %s errands %d\n", what, result, errno ? strerror(errno) : "-", errands);
  return 0;
}
