// intruder MODE [ARGUMENT [held]]: programs that make it hard for whoever has breakpoints in them: they
// change their text, meddle with executable memory they never mapped, run out of memory, forbid
// system calls, or have code in odd places. Held, they wait first for a debugger that clears `held`;
// one that goes away sets `leaving`, then they wait for their text to be their own again.
// With SIDESTEP_LONG=N it does so N times as long. Where
// the program itself is in order it prints wrong=0.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// An instruction for every way of stepping over, 3 * i + 1234568 in all; and one-byte instructions
// side by side, that leave i + 2.
extern long visited(long i), neighbours(long i);
extern int changing(void);
__asm__(
    ".data\naddend: .quad 1234567\npointer: .quad increment\n.text\n"
    ".globl increment\nincrement: inc %rax\n  ret\n"
    ".p2align 4\n.globl visited\n.type visited,@function\n"
    "visited: push %rbx\n  mov %rdi, %rbx\n  lea (%rbx, %rbx, 2), %rax\n"
    "  add addend(%rip), %rax\n  pushf\n  popf\n  call *pointer(%rip)\n"
    "  test %rdi, %rdi\n  js 2f\n  jmp 1f\n2: nop\n1: pop %rbx\n  ret\n.size visited,.-visited\n"
    ".p2align 4\n.globl neighbours\n.type neighbours,@function\n"
    "neighbours: push %rbp\n  push %rdi\n  nop\n  cld\n  clc\n  cmc\n  lahf\n  sahf\n  pop %rax\n"
    "  adc $0, %al\n  nop\n  push %rax\n  pop %rdx\n  xchg %rdx, %rax\n  stc\n  adc $0, %rax\n"
    "  nop\n  pop %rbp\n  ret\n.size neighbours,.-neighbours\n"
    ".p2align 6\n.globl changing\n.type changing,@function\n"
    "changing: mov $1, %eax\n  ret\n.size changing,.-changing\n.p2align 6\n");

static int factor = 1;  // of all rounds
volatile int held = 1, leaving;  // set before main(), where a debugger may already be there

static long expected(long i) { return 3 * i + 1234568; }

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static long visit(long times) {
  long wrong = 0;
  for (long i = 0; i < times; i++) wrong += visited(i) != expected(i);
  return wrong;
}

// ---- text that changes -------------------------------------------------------------------------

static void make_writable(void* code) {
  if (mprotect((void*)((uintptr_t)code & ~4095ul), 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
    perror("mprotect");
}

// from = 0: the whole instruction, 1: only the bytes behind its first. Through a volatile pointer,
// a byte at a time, so that it is done here and now.
static long rewrite(int from, int times) {
  long wrong = 0;
  volatile unsigned char* code = (unsigned char*)changing;
  make_writable((void*)changing);
  for (int i = 0; i < times; i++) {
    const unsigned char newer[5] = {0xb8, (unsigned char)i, (unsigned char)(i >> 8), 0, 0};
    for (int at = from; at < 5; at++) code[at] = newer[at];
    wrong += changing() != i;
  }
  return wrong;
}

// mov $imm, %eax becomes other instructions of other lengths and back.
static long reshape(int times) {
  static const struct {
    unsigned char bytes[6];
    int result;
  } forms[] = {{{0xb8, 7, 0, 0, 0, 0xc3}, 7},               // mov $7, %eax; ret
               {{0x31, 0xc0, 0xff, 0xc0, 0xc3, 0x90}, 1},   // xor %eax, %eax; inc %eax; ret
               {{0x6a, 0x09, 0x58, 0xc3, 0x90, 0x90}, 9},   // push $9; pop %rax; ret
               {{0x90, 0x31, 0xc0, 0xc3, 0x90, 0x90}, 0},   // nop; xor %eax, %eax; ret
               {{0xeb, 0x00, 0x6a, 0x05, 0x58, 0xc3}, 5}};  // jmp .+2; push $5; pop %rax; ret
  long wrong = 0;
  make_writable((void*)changing);
  for (int i = 0; i < times; i++) {
    memcpy((void*)changing, forms[i % 5].bytes, 6);
    wrong += changing() != forms[i % 5].result;
  }
  return wrong;
}

// ---- executable memory that is not ours --------------------------------------------------------

struct Range {
  uintptr_t start, end;
};
static struct Range known[64];
static int known_count;

static int executable_ranges(struct Range* ranges, int most) {
  char line[512], permissions[8];
  int count = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  while (count < most && fgets(line, sizeof line, maps)) {
    struct Range range;
    if (sscanf(line, "%lx-%lx %7s", &range.start, &range.end, permissions) == 3 &&
        permissions[2] == 'x')
      ranges[count++] = range;
  }
  fclose(maps);
  return count;
}

static int is_known(uintptr_t address) {
  for (int i = 0; i < known_count; i++)
    if (known[i].start <= address && address < known[i].end) return 1;
  return 0;
}

static int foreign(struct Range* found) {
  struct Range ranges[64];
  int count = executable_ranges(ranges, 64);
  for (int i = 0; i < count; i++)
    if (!is_known(ranges[i].start)) {
      *found = ranges[i];
      return 1;
    }
  return 0;
}

static __thread sigjmp_buf escape;
static volatile long faults, strays;

static void jump_out(int number) {
  (void)number;
  faults++;
  siglongjmp(escape, 1);
}

// The instruction is run again: what it needed may be back.
static void retry(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  faults++;
  if (!is_known((uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP])) strays++;
}

static void on_faults(void (*handler)(int), void (*with_info)(int, siginfo_t*, void*)) {
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_flags = SA_ONSTACK | SA_NODEFER};
  if (with_info) {
    action.sa_sigaction = with_info;
    action.sa_flags = SA_SIGINFO;
  } else {
    action.sa_handler = handler;
  }
  static const int numbers[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGFPE};
  for (int i = 0; i < 5; i++) sigaction(numbers[i], &action, NULL);
}

static volatile int stop;
static void* visit_until_stop(void* wrong) {
  while (!stop) *(long*)wrong += visit(50);
  return NULL;
}

static void spoil(const char* how, struct Range area) {
  void* start = (void*)area.start;
  size_t size = area.end - area.start;
  const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (!strcmp(how, "munmap")) munmap(start, size);
  if (!strcmp(how, "half")) munmap((char*)start + size / 2, size / 2);
  if (!strcmp(how, "protect")) mprotect(start, size, PROT_NONE);
  if (!strcmp(how, "data")) mprotect(start, size, PROT_READ | PROT_WRITE);
  if (!strcmp(how, "cover")) mmap(start, size, PROT_READ | PROT_WRITE, fixed, -1, 0);
  if (!strcmp(how, "writable")) mprotect(start, size, PROT_READ | PROT_WRITE | PROT_EXEC);
  if (!strcmp(how, "move") &&
      mremap(start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start + 16 * size) == MAP_FAILED)
    perror("mremap");
}

// Threads pass sites while the area goes away. Each instruction that found its slot gone may be
// tried again, so nothing is computed wrongly.
static long meddle(const char* how) {
  enum { threads = 4 };
  pthread_t ids[threads];
  long wrong[threads] = {0}, sum = 0;
  int found = 0;
  struct Range area;
  on_faults(NULL, retry);
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, visit_until_stop, &wrong[i]);
  for (int round = 0; round < 30 * factor; round++) {
    usleep(5000);
    if (!foreign(&area)) continue;
    found++;
    spoil(how, area);
  }
  stop = 1;
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum += wrong[i];
  }
  printf("found=%d strays=%ld ", found > 0, strays);
  return sum;
}

// The area's place becomes data of the program's own, or its code: nothing in it changes any more.
static unsigned char original[33];  // all of visited()
__attribute__((noinline)) void claimed(void) { __asm__ volatile(""); }

static long claim(const char* how) {
  static unsigned char expected[1 << 22];
  struct Range area;
  visit(3);
  if (!foreign(&area)) return puts("no area"), 1;
  unsigned char* data = (unsigned char*)area.start;
  size_t size = area.end - area.start;
  spoil("cover", area);
  if (strcmp(how, "zeros")) memset(data, 0x77, size);
  if (!strcmp(how, "code")) {
    memset(data, 0xc3, size);  // ret
    mprotect(data, size, PROT_READ | PROT_EXEC);
  }
  memcpy(expected, data, size);
  long wrong = visit(20);
  if (!strcmp(how, "code"))
    for (size_t at = 0; at < size; at += 61) ((void (*)(void))(uintptr_t)(data + at))();
  claimed();
  while (leaving && memcmp((void*)visited, original, sizeof original)) usleep(1000);
  wrong += visit(20);
  printf("damage=%d ", memcmp(expected, data, size) != 0);
  return wrong;
}

static void die(int number) {
  (void)number;
  static const char text[] = "given up\n";
  if (write(1, text, sizeof text - 1)) {
  }
  _exit(3);
}

// Whatever becomes of us.
static void scribble(void) {
  static const unsigned char values[] = {0xcc, 0xf4, 0x00, 0x90, 0xc3, 0xff, 0x0f};
  struct Range area;
  visit(3);
  if (!foreign(&area)) puts("no area");
  on_faults(jump_out, NULL);
  for (size_t n = 0; n < sizeof values * (size_t)factor; n++) {
    if (!foreign(&area)) continue;
    spoil("writable", area);
    memset((void*)area.start, values[n % sizeof values], area.end - area.start);
    for (volatile int i = 0; i < 10; i++)
      if (!sigsetjmp(escape, 1)) visited(i);
  }
}

static volatile uintptr_t fault_pc, fault_address;
static void note_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  fault_pc = (uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  fault_address = (uintptr_t)info->si_addr;
  siglongjmp(escape, 1);
}

// Into the middle of an instruction of a slot, when the area is there no more.
static long enter_gone(void) {
  struct Range area;
  visit(3);
  if (!foreign(&area)) puts("no area");
  spoil("munmap", area);
  on_faults(NULL, note_fault);
  if (!sigsetjmp(escape, 1)) ((void (*)(long))(area.start + 1))(0);
  return fault_pc != area.start + 1 || fault_address != area.start + 1;
}

static void enter(void) {
  struct Range area;
  visit(3);
  if (!foreign(&area)) puts("no area");
  on_faults(jump_out, NULL);
  for (volatile int n = 0; n < 640 * factor; n++)
    if (!sigsetjmp(escape, 1)) ((void (*)(long))(area.start + (unsigned)(n % 640)))(0);
}

// ---- threads and signals -----------------------------------------------------------------------

__attribute__((noinline)) void* short_lived(void* wrong) {
  if (visited((long)wrong) != expected((long)wrong)) return (void*)1;
  return NULL;
}

static long many_threads(long rounds) {
  enum { at_once = 8 };
  long wrong = 0;
  for (long round = 0; round < rounds; round++) {
    pthread_t ids[at_once];
    for (long i = 0; i < at_once; i++) pthread_create(&ids[i], NULL, short_lived, (void*)i);
    for (int i = 0; i < at_once; i++) {
      void* result;
      pthread_join(ids[i], &result);
      wrong += (long)result;
    }
  }
  return wrong;
}

static volatile long handled, out_of_order;
__attribute__((noinline)) void on_queued(int number, siginfo_t* info, void* context) {
  (void)number;
  if (info->si_value.sival_int != handled) out_of_order++;
  if (!is_known((uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP])) strays++;
  handled++;
}

static long to_send;
static void* send_all(void* target) {
  for (long i = 0; i < to_send; i++) {
    union sigval value = {.sival_int = (int)i};
    while (pthread_sigqueue(*(pthread_t*)target, SIGRTMIN, value) == EAGAIN) usleep(100);
    if (i - handled > 50) usleep(50);
  }
  return NULL;
}

static long many_signals(long count) {
  pthread_t self = pthread_self(), sender;
  long wrong = 0;
  to_send = count;
  pthread_create(&sender, NULL, send_all, &self);
  while (handled < count) wrong += visit(20);
  pthread_join(sender, NULL);
  printf("handled=%ld strays=%ld ", handled, strays);
  return wrong + out_of_order;
}

// Where the kernel is told to return from handlers, and a function of the vDSO.
static void show_places(void) {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } action;
  struct sigaction queued = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO};
  sigaction(SIGRTMIN, &queued, NULL);
  syscall(SYS_rt_sigaction, SIGRTMIN, NULL, &action, 8);
  void* vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  printf("restorer=%lx clock=%lx\n", (long)action.restorer,
         vdso ? (long)dlsym(vdso, "__vdso_clock_gettime") : 0);
}

static long read_clocks(long times) {
  long wrong = 0;
  struct timespec last = {0, 0}, now;
  for (long i = 0; i < times; i++) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    wrong += now.tv_sec < last.tv_sec ||
             (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec) || now.tv_nsec > 999999999;
    last = now;
  }
  return wrong;
}

static volatile sig_atomic_t enough;
static void on_enough(int signal) {
  (void)signal;
  enough = 1;
}

static long use_neighbours(void) {
  long wrong = 0;
  while (!enough) {
    for (long i = 0; i < 100; i++) wrong += neighbours(i) != i + 2;
  }
  return wrong;
}

// ---- little memory, few system calls -----------------------------------------------------------

static void limit_memory(void) {
  long pages = 0;
  FILE* statm = fopen("/proc/self/statm", "r");
  if (fscanf(statm, "%ld", &pages) != 1) perror("statm");
  fclose(statm);
  struct rlimit limit = {(rlim_t)pages * 4096, (rlim_t)pages * 4096};
  if (setrlimit(RLIMIT_AS, &limit)) perror("setrlimit");
}

static void allow_little(void) {
  struct sock_filter program[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_write},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_exit_group},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) perror("seccomp");
}

// ---- code in odd places ------------------------------------------------------------------------

static void* map_at(uintptr_t place, size_t size, int protection) {
  void* mapped = mmap((void*)place, size, protection,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped == MAP_FAILED) perror("mmap");
  return mapped;
}

// mov 64(code), %rax; add %rdi, %rax; ret
static const unsigned char generated[] = {0x48, 0x8b, 0x05, 57, 0, 0, 0, 0x48, 0x01, 0xf8, 0xc3};
typedef long Generated(long);

static Generated* generate(uintptr_t place, long value) {
  unsigned char* code = map_at(place, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  memcpy(code, generated, sizeof generated);
  memcpy(code + 64, &value, sizeof value);
  return (Generated*)(uintptr_t)code;
}

static long odd_places(int crowded) {
  static const uintptr_t places[] = {0x200000000000, 0x10000000, 0x20000, 0x600000000000};
  enum { count = sizeof places / sizeof *places };
  const uintptr_t reach = 0x90000000;
  Generated* code[count];
  long wrong = 0;
  for (int i = 0; i < count; i++) code[i] = generate(places[i], i * 1000);
  for (int i = 0; crowded && i < count; i += 3) {  // those with room on both sides
    map_at(places[i] - reach, reach, PROT_NONE);
    map_at(places[i] + 4096, reach, PROT_NONE);
  }
  ready();
  for (int round = 0; round < 200; round++)
    for (int i = 0; i < count; i++) wrong += code[i](round) != i * 1000 + round;
  return wrong + visit(1);
}

// lea 1(%rax), %rax, many times over.
static long straight(long count) {
  static const unsigned char start[] = {0x31, 0xc0}, one[] = {0x48, 0x8d, 0x40, 1};
  unsigned char* code =
      map_at(0x300000000000, (size_t)count * 4 + 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  memcpy(code, start, 2);
  for (long i = 0; i < count; i++) memcpy(code + 2 + 4 * i, one, 4);
  code[2 + 4 * count] = 0xc3;
  ready();
  return ((long (*)(void))(uintptr_t)code)() - count;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "visit";
  const char* argument = argc > 2 ? argv[2] : "100";
  long number = strtol(argument, NULL, 0), wrong = 0;
  if (getenv("SIDESTEP_LONG")) factor = atoi(getenv("SIDESTEP_LONG"));
  if (strcmp(mode, "odd") && strcmp(mode, "straight")) number *= factor;
  static char buffer[4096];
  setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
  known_count = executable_ranges(known, 64);
  show_places();
  signal(SIGALRM, die);
  signal(SIGUSR1, on_enough);
  alarm(45 * (unsigned)factor);
  memcpy(original, (void*)visited, sizeof original);
  while (argc > 3 && held) usleep(1000);
  if (!strcmp(mode, "limit")) limit_memory();
  if (!strcmp(mode, "filter")) allow_little();
  if (strcmp(mode, "odd") && strcmp(mode, "straight")) ready();
  if (!strcmp(mode, "visit") || !strcmp(mode, "limit") || !strcmp(mode, "filter"))
    wrong = visit(number);
  if (!strcmp(mode, "rewrite")) wrong = rewrite(0, (int)number);
  if (!strcmp(mode, "behind")) wrong = rewrite(1, (int)number);
  if (!strcmp(mode, "reshape")) wrong = reshape((int)number);
  if (!strcmp(mode, "meddle")) wrong = meddle(argument);
  if (!strcmp(mode, "claim")) wrong = claim(argument);
  if (!strcmp(mode, "scribble")) scribble();
  if (!strcmp(mode, "enter")) enter();
  if (!strcmp(mode, "gone")) wrong = enter_gone();
  if (!strcmp(mode, "threads")) wrong = many_threads(number);
  if (!strcmp(mode, "signals")) wrong = many_signals(number);
  if (!strcmp(mode, "clocks")) wrong = read_clocks(number);
  if (!strcmp(mode, "neighbours")) wrong = use_neighbours();
  if (!strcmp(mode, "odd")) wrong = odd_places(number == 1);
  if (!strcmp(mode, "straight")) wrong = straight(number);
  printf("wrong=%ld\n", wrong);
  return wrong != 0;
}
