// forks MODE [COUNT]: fork, vfork, exec, with a function that both sides call.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

long calls;
static char* self;

__attribute__((noinline)) int shared(int x) {
  calls++;
  return x * 2;
}

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
__attribute__((noinline)) void child_here(void) { __asm__ volatile(""); }
__attribute__((noinline)) void parent_here(void) { __asm__ volatile(""); }
__attribute__((noinline)) void after_exec(void) { __asm__ volatile(""); }

// A child that sees a breakpoint byte dies of SIGTRAP, and the parent says so. The byte at the start
// of shared() is also compared with what it was.
static volatile unsigned char first_byte;

static int child_work(void) {
  child_here();
  int bad = *(volatile unsigned char*)shared != first_byte;
  for (int i = 0; i < 10; i++) bad += shared(i) != 2 * i;
  return bad ? 99 : 23;
}

static int cloned_child(void* arg) {
  (void)arg;
  signal(SIGUSR1, SIG_IGN);
  syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
  return child_work();
}

static int collect(pid_t child) {
  int status;
  if (waitpid(child, &status, __WALL) != child) return 0;
  if (WIFSIGNALED(status)) {
    printf("child died of signal %d\n", WTERMSIG(status));
    return 0;
  }
  if (WEXITSTATUS(status) != 23) printf("child ended with %d\n", WEXITSTATUS(status));
  return WEXITSTATUS(status) == 23;
}

static void run_exec(const char* mode) {
  char* argv[] = {self, (char*)mode, NULL};
  execv(self, argv);
  _exit(98);
}

static int cloned_exec(void* arg) {
  (void)arg;
  signal(SIGUSR1, SIG_IGN);
  syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
  run_exec("exec-target");
  return 98;
}

static void* exec_from_thread(void* arg) {
  run_exec("exec-target");
  return arg;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "fork";
  int count = argc > 2 ? atoi(argv[2]) : 1, good = 0;
  self = argc > 3 ? argv[3] : argv[0];
  if (!strcmp(mode, "exec-target")) {
    after_exec();
    printf("executed %d\n", shared(21));
    return 23;
  }
  first_byte = *(volatile unsigned char*)shared;
  ready();
  for (int i = 0; i < count; i++) {
    fflush(stdout);
    if (!strcmp(mode, "fork")) {
      pid_t child = fork();
      if (child == 0) _exit(child_work());
      shared(i);
      good += collect(child);
    } else if (!strcmp(mode, "vfork")) {
      // The child shares our memory: it may only call shared() and end.
      pid_t child = vfork();
      if (child == 0) {
        child_here();
        _exit(shared(4) == 8 ? 23 : 99);
      }
      good += collect(child);
    } else if (!strcmp(mode, "vfork-nested")) {  // the child calls vfork itself
      pid_t child = vfork();
      if (child == 0) {
        volatile pid_t grandchild = vfork();
        if (grandchild == 0) _exit(shared(4) == 8 ? 23 : 99);
        int status;
        waitpid(grandchild, &status, 0);
        child_here();
        _exit(WEXITSTATUS(status));
      }
      good += collect(child);
    } else if (!strcmp(mode, "vfork-killed")) {
      pid_t child = vfork();
      if (child == 0) {
        child_here();
        raise(SIGKILL);
        _exit(99);
      }
      int status;
      good += waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
              WTERMSIG(status) == SIGKILL;
    } else if (!strcmp(mode, "vfork-copy")) {  // the parent sleeps, the memory is a copy
      pid_t child = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
      if (child == 0) {
        child_here();
        _exit(shared(4) == 8 ? 23 : 99);
      }
      good += collect(child);
    } else if (!strncmp(mode, "clone", 5)) {  // neither a thread nor a fork to a tracer
      static char stack[65536];
      pid_t child = clone(strcmp(mode, "clone-exec") ? cloned_child : cloned_exec,
                          stack + sizeof stack, CLONE_FILES, NULL);
      shared(i);
      good += collect(child);
    } else if (!strcmp(mode, "fork-exec") || !strcmp(mode, "vfork-exec")) {
      pid_t child = mode[0] == 'v' ? vfork() : fork();
      if (child == 0) run_exec("exec-target");
      good += collect(child);
    } else if (!strcmp(mode, "exec")) {
      run_exec("exec-target");
    } else if (!strcmp(mode, "thread-exec")) {
      pthread_t id;
      pthread_create(&id, NULL, exec_from_thread, NULL);
      pthread_join(id, NULL);
    }
    parent_here();
  }
  printf("children=%d good=%d calls=%ld\n", count, good, calls);
  return 5;
}
