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

// Sites of each kind, in what the survivor calls.
long work(long);
__asm__(
    ".text\n.globl work, work_emulated, work_boosted, work_trapped\n"
    "work:\n"
    "work_emulated: push %rdi\n"
    "work_boosted: add $1, %rdi\n"
    "pop %rax\n"
    "add %rdi, %rax\n"
    "pushf\n"
    "work_trapped: popf\n"
    "ret\n");

static pthread_t leader;

static int leader_is_a_zombie(void) {
  char text[512] = "";
  FILE* file = fopen("/proc/self/stat", "r");
  size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file) fclose(file);
  text[size] = 0;
  const char* name_end = strrchr(text, ')');
  return name_end && name_end[1] == ' ' && name_end[2] == 'Z';
}

static void* survives(void* arg) {
  pthread_join(leader, NULL);
  while (!leader_is_a_zombie()) usleep(100);
  raise(SIGUSR1);  // to a debugger: now
  long sum = 0;
  for (int i = 0; i < 100; i++) sum += work(i);
  printf("sum=%ld\n", sum);
  fflush(stdout);
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
  if (!strcmp(way, "survivor")) {  // the same; the survivor says when, and has work to do
    signal(SIGUSR1, SIG_IGN);
    leader = pthread_self();
    pthread_create(&id, NULL, sleeps, NULL);
    pthread_create(&id, NULL, survives, NULL);
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
