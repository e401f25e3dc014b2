// ends WAY [NUMBER]: the ways a process can end.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number;

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
__attribute__((noinline)) void late(void) { __asm__ volatile(""); }

static void* exits(void* arg) {
  usleep(20000);
  late();
  exit(number);
  return arg;
}

static void* outlives(void* arg) {
  usleep(200000);
  late();
  printf("the leader is gone\n");
  fflush(stdout);
  usleep(50000);
  exit(number);
  return arg;
}

static void* sleeps(void* arg) {
  pause();
  return arg;
}

int main(int argc, char** argv) {
  const char* way = argc > 1 ? argv[1] : "exit";
  number = argc > 2 ? atoi(argv[2]) : 0;
  pthread_t id;
  ready();
  if (!strcmp(way, "signal")) {
    signal(number, SIG_DFL);
    raise(number);
  }
  if (!strcmp(way, "thread")) {  // a thread calls exit while the leader waits
    pthread_create(&id, NULL, exits, NULL);
    pthread_join(id, NULL);
  }
  if (!strcmp(way, "leader")) {  // the leader ends first and stays a zombie
    pthread_create(&id, NULL, outlives, NULL);
    pthread_exit(NULL);
  }
  if (!strcmp(way, "crowd")) {  // the leader ends it while many threads sleep
    for (; number > 0; number--) pthread_create(&id, NULL, sleeps, NULL);
    late();
  }
  if (!strcmp(way, "echo")) {  // echoes its standard input and environment
    char line[256];
    printf("variable=%s arguments=%d\n", getenv("E2E_VARIABLE") ?: "(none)", argc);
    for (int i = 2; i < argc; i++) printf("[%s]\n", argv[i]);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
      printf("read: %s", line);
      fflush(stdout);
      if (!strncmp(line, "end", 3)) break;
    }
    number = 0;
  }
  return number;
}
