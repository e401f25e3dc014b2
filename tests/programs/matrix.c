// matrix LANE EVENT NUMBER [NEXT]: LANE is a way of stepping over an instruction (emulate, boost,
// trap, in_place): site_LANE in lane_LANE() is such an instruction (matrix.S). EVENT is what
// happens around it; NEXT is the program for the event exec, this one by default. The program
// checks every result and prints sums.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

typedef long Lane(long);
typedef long Fault(uintptr_t);
extern Lane lane_emulate, lane_boost, lane_trap, lane_in_place;
extern Fault fault_emulate, fault_boost, fault_trap, fault_in_place;
extern char site_emulate[], site_boost[], site_trap[], site_in_place[];
extern char after_emulate[], after_boost[], after_trap[], after_in_place[];
extern char site_fault_emulate[], site_fault_boost[], site_fault_trap[], site_fault_in_place[];
extern long raw_syscall(long number, long a, long b, long c), raw_clone(void*stack);
extern void fill(void* to, int byte, size_t size);
extern char returns_five[], far_landing[];

#ifdef __x86_64__
enum { pc = REG_RIP, sp = REG_RSP, argument = REG_RDI };
#else
enum { pc = REG_EIP, sp = REG_ESP, argument = REG_ECX };
#endif

static const struct Row {
  const char* name;
  Lane* lane;
  Fault* fault;
  char *site, *after, *fault_site;
} rows[] = {
    {"emulate", lane_emulate, fault_emulate, site_emulate, after_emulate, site_fault_emulate},
    {"boost", lane_boost, fault_boost, site_boost, after_boost, site_fault_boost},
    {"trap", lane_trap, fault_trap, site_trap, after_trap, site_fault_trap},
    {"in_place", lane_in_place, fault_in_place, site_in_place, after_in_place,
     site_fault_in_place}};
static const struct Row* row;
static long number;
static volatile long at_site, at_after, stray, handled, wrong;

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static struct Range { unsigned long start, end; } known[32];
static int known_count;

static void learn_text(void) {
  char line[512], permissions[8];
  FILE* maps = fopen("/proc/self/maps", "r");
  while (known_count < 32 && fgets(line, sizeof line, maps)) {
    struct Range* range = &known[known_count];
    known_count += sscanf(line, "%lx-%lx %7s", &range->start, &range->end, permissions) == 3 &&
                   permissions[2] == 'x';
  }
  fclose(maps);
}

static void note_place(void* context) {
  uintptr_t at = (uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[pc];
  int found = 0;
  for (int i = 0; i < known_count; i++) found |= known[i].start <= at && at < known[i].end;
  if (!found) stray++;
  if (at == (uintptr_t)row->site) at_site++;
  if (at == (uintptr_t)row->after) at_after++;
}

static void on_signal(int n, siginfo_t* info, void* context) {
  (void)n, (void)info;
  note_place(context);
  handled++;
}

static long calls(long count) {
  long bad = 0;
  for (long i = 0; i < count; i++) bad += row->lane(i) != i + 5;
  return bad;
}

static volatile int stop;
static void on_stop(int n) {
  (void)n;
  stop = 1;
}

static void* loop(void* unused) {
  (void)unused;
  long bad = 0;
  while (!stop) bad += calls(20);
  __atomic_add_fetch(&wrong, bad, __ATOMIC_RELAXED);
  return NULL;
}

static pthread_t ids[3];
static void start_loops(int count) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  for (int i = 0; i < count; i++) pthread_create(&ids[i], NULL, loop, NULL);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void end_loops(int count) {
  stop = 1;
  for (int i = 0; i < count; i++) pthread_join(ids[i], NULL);
}

// ---- events ------------------------------------------------------------------------------------

static void plain(void) { wrong += calls(number); }

static void* send_signals(void* target) {
  while (!stop) {
    pthread_kill(*(pthread_t*)target, SIGUSR1);
    usleep(150);
  }
  return NULL;
}

static void during(void) {
  pthread_t self = pthread_self();
  static unsigned char big[1 << 18];
  struct timespec moment = {0, 300000};
  pthread_create(&ids[0], NULL, send_signals, &self);
  for (long i = 0; i < number; i++) {
    wrong += calls(10);
    fill(big, (int)i, sizeof big);
    wrong += big[0] != (unsigned char)i || big[sizeof big - 1] != (unsigned char)i;
    long result = raw_syscall(SYS_nanosleep, (long)&moment, 0, 0);
    wrong += result != 0 && result != -EINTR;
  }
  end_loops(1);
}

static uintptr_t good[4];
static void on_fault(int n, siginfo_t* info, void* context) {
  (void)n;
  greg_t* regs = ((ucontext_t*)context)->uc_mcontext.gregs;
  handled++;
  wrong += regs[pc] != (greg_t)row->fault_site;
  wrong += (uintptr_t)info->si_addr > 16;
  wrong += (regs[REG_EFL] & 0x100) != 0;
  if (row->lane == lane_emulate || row->lane == lane_in_place) {
    regs[sp] = (greg_t)&good[2];
  } else {
    regs[argument] = (greg_t)good;
  }
}

static void fault(void) {
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  uint16_t code_segment;
  __asm__("mov %%cs, %0" : "=r"(code_segment));
  for (long i = 0; i < number; i++) {
    good[0] = row->lane == lane_trap ? (uintptr_t)returns_five : 5;
    good[2] = (uintptr_t)far_landing;
    good[3] = code_segment;
    wrong += row->fault(8) != 5;
  }
}

static void check_child(long pid) {
  int status = 0;
  if (pid < 0 || waitpid((pid_t)pid, &status, 0) != pid || !WIFEXITED(status) ||
      WEXITSTATUS(status) != 7)
    wrong++;
}

static void forks(void) {
  start_loops(2);
  for (long i = 0; i < number; i++) {
    long pid = raw_syscall(SYS_fork, 0, 0, 0);
    if (pid == 0) _exit(calls(10) ? 1 : 7);
    check_child(pid);
    wrong += calls(3);
  }
  end_loops(2);
}

static void vforks(void) {
  start_loops(2);
  for (long i = 0; i < number; i++) {
    pid_t pid = vfork();
    if (pid == 0) _exit(calls(10) ? 1 : 7);
    check_child(pid);
    wrong += calls(3);
  }
  end_loops(2);
}

static volatile long finished;
static void cloned(void) {
  long bad = calls(10);
  __atomic_add_fetch(&wrong, bad, __ATOMIC_RELAXED);
  __atomic_add_fetch(&finished, 1, __ATOMIC_RELAXED);
}

static void clones(void) {
  enum { most = 64, size = 16384 };
  static char stacks[most][size] __attribute__((aligned(16)));
  for (long i = 0; i < number && i < most; i++) {
    void** top = (void**)&stacks[i][size - 32];
    *top = (void*)(uintptr_t)cloned;
    wrong += raw_clone(top) <= 0;
    wrong += calls(3);
  }
  while (finished < number) usleep(1000);
}

static char** arguments;
static void* exec_again(void* unused) {
  (void)unused;
  char left[24];
  snprintf(left, sizeof left, "%ld", number - 1);
  char* program = arguments[4] ? arguments[4] : arguments[0];
  char* next[] = {program, arguments[1], arguments[2], left, arguments[4] ? arguments[0] : NULL,
                  NULL};
  if (wrong) puts("wrong before exec");
  fflush(stdout);
  raw_syscall(SYS_execve, (long)program, (long)next, (long)environ);
  return NULL;
}

static void execs(void) {
  wrong += calls(20);
  if (number == 0) return;
  start_loops(2);
  usleep(3000);
  if (number % 2 == 0) exec_again(NULL);
  pthread_create(&ids[2], NULL, exec_again, NULL);
  pause();
}

static void ends(void) {
  start_loops(3);
  usleep(20000);
  fflush(stdout);
  raw_syscall(SYS_exit_group, 7, 0, 0);
}

static void loops(void) {
  start_loops(3);
  for (long i = 0; i < number && !stop; i++) usleep(1000);
  end_loops(3);
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } events[] = {{"plain", plain}, {"during", during}, {"fault", fault},
                {"fork", forks},  {"vfork", vforks},  {"clone", clones},
                {"exec", execs},  {"exit", ends},     {"loop", loops}};
  if (argc < 4) return 2;
  arguments = argv;
  number = atol(argv[3]);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(argv[1], rows[i].name)) row = &rows[i];
  if (!row) return 2;
  learn_text();
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  signal(SIGUSR2, on_stop);
  ready();
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (!strcmp(argv[2], events[i].name)) events[i].run();
  printf("handled=%ld at_site=%ld at_after=%ld stray=%ld wrong=%ld\n", handled, at_site, at_after,
         stray, wrong);
  return wrong || stray ? 1 : 0;
}
