// insns [values]: runs every function of insns.S with several operands and prints one line for each,
// then (without `values`) those that fault.
// The lines are the same whether or not breakpoints are stepped over, wherever that happens.
// insns syscalls: the blocking system calls of raw_syscall(), with signals in between.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define VALUES(X)                                                                                    \
  X(plain_add) X(nops) X(endbr) X(divide) X(fifteen_bytes) X(thread_pointer) X(cpuid_leaf)           \
  X(rip_load) X(rip_store) X(rip_immediate) X(rip_lea) X(rip_shift) X(rip_cmpxchg16b) X(rip_lock)    \
  X(rip_xadd) X(rip_mul) X(rip_sse) X(rip_eip) X(jump_short) X(jump_long) X(jump_back)               \
  X(jump_register) X(jump_memory) X(jump_e) X(jump_ne) X(jump_l) X(jump_ge) X(jump_le) X(jump_g)     \
  X(jump_b) X(jump_ae) X(jump_be) X(jump_a) X(jump_s) X(jump_ns) X(jump_o) X(jump_no) X(jump_p)      \
  X(jump_np) X(jump_e_long) X(count_loop) X(count_loope) X(count_loopne) X(count_jrcxz)              \
  X(count_jecxz) X(count_loop32) X(loop_backwards) X(call_relative) X(call_register) X(call_memory)  \
  X(call_stack) X(call_next) X(return_plain) X(return_popping) X(leave_frame) X(push_register)       \
  X(push_rsp) X(pop_rsp) X(push_memory) X(pop_memory) X(push_immediate) X(push_word) X(push_flags)   \
  X(pop_flags) X(rep_movs) X(rep_stos) X(repne_scas) X(repe_cmps) X(rep_zero) X(lods)                \
  X(system_call) X(system_call_32) X(stack_segment) X(return_far)

#define FAULTS(X)                                                                                    \
  X(fault_ud2) X(fault_divide) X(fault_load) X(fault_hlt) X(fault_call) X(fault_push) X(fault_jump)  \
  X(trap_int3) X(trap_int1) X(fault_rep)

typedef uint64_t Function(uint64_t, uint64_t);
#define DECLARE(name) extern Function name; extern char site_##name[];
VALUES(DECLARE)
FAULTS(DECLARE)
extern char* edge;
extern long raw_syscall(long number, long a, long b, long c);

struct Row {
  const char* name;
  Function* function;
  char* site;
};
#define ROW(name) {#name, name, site_##name},
static const struct Row values[] = {VALUES(ROW)};
static const struct Row faults[] = {FAULTS(ROW)};

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static sigjmp_buf escape;
static volatile long fault_rip, fault_address, fault_count;
static volatile int fault_signal, fault_code, fault_trap_flag;

static void on_fault(int number, siginfo_t* info, void* context) {
  ucontext_t* where = context;
  fault_signal = number;
  fault_code = info->si_code;
  fault_address = (long)info->si_addr;
  fault_count = where->uc_mcontext.gregs[REG_RCX];
  fault_rip = where->uc_mcontext.gregs[REG_RIP];
  fault_trap_flag = (where->uc_mcontext.gregs[REG_EFL] & 0x100) != 0;
  siglongjmp(escape, 1);
}

static void run_values(void) {
  static const uint64_t operands[] = {0, 1, 2, 7, 63, 0x7fffffffffffffff, 0x8000000000000000, ~0ull,
                                      0x123456789abcdef0};
  enum { count = sizeof operands / sizeof *operands };
  for (size_t n = 0; n < sizeof values / sizeof *values; n++) {
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
      for (int j = 0; j < count; j++)
        sum = sum * 1099511628211u + values[n].function(operands[i], operands[j]);
    printf("%s=%016llx\n", values[n].name, (unsigned long long)sum);
  }
}

static void run_faults(void) {
  char* page = mmap((void*)0x10000000, 4096, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  edge = page + 4096 - 8;
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  for (int number = 1; number < 32; number++)
    if (number == SIGILL || number == SIGFPE || number == SIGSEGV || number == SIGTRAP ||
        number == SIGBUS)
      sigaction(number, &action, NULL);
  for (size_t n = 0; n < sizeof faults / sizeof *faults; n++) {
    if (!sigsetjmp(escape, 1)) faults[n].function(0, 0);
    // Addresses as distances from the site, where they are near it.
    long rip = fault_rip - (long)faults[n].site, address = fault_address - (long)faults[n].site;
    printf("%s: signal %d code %d rip %s%ld address %s%ld trap flag %d\n", faults[n].name, fault_signal,
           fault_code, rip < -64 || rip > 64 ? "" : "site+", rip < -64 || rip > 64 ? fault_rip : rip,
           address < -64 || address > 64 ? "" : "site+",
           address < -64 || address > 64 ? fault_address : address, fault_trap_flag);
  }
  printf("fault_rep: %.8s copied, %ld left\n", edge, fault_count);
}

static volatile long alarms;

static void on_alarm(int number) {
  (void)number;
  alarms++;
}

static void alarm_every(int milliseconds, int flags) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, milliseconds * 1000}, {0, milliseconds * 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void* write_later(void* fd) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  usleep(60000);
  return (void*)write((int)(long)fd, "x", 1);
}

static long blocked_read(void) {
  int ends[2];
  char byte = 0;
  pthread_t id;
  sigset_t alarm_only, old;
  if (pipe(ends)) return -1;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm_only, &old);  // the other thread must not get the alarms
  pthread_create(&id, NULL, write_later, (void*)(long)ends[1]);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  long result = raw_syscall(SYS_read, ends[0], (long)&byte, 1);
  pthread_join(id, NULL);
  close(ends[0]);
  close(ends[1]);
  return result == 1 ? byte : result;
}

static void run_syscalls(void) {
  struct timespec duration = {0, 50000000}, rest = {0, 0};
  int word = 0;
  printf("read=%ld\n", blocked_read());
  alarm_every(7, SA_RESTART);
  printf("read restarted=%ld\n", blocked_read());
  while (alarms < 3) usleep(1000);
  alarm_every(7, 0);
  struct timespec minute = {60, 0};
  long result = raw_syscall(SYS_nanosleep, (long)&minute, (long)&rest, 0);
  printf("nanosleep interrupted=%d rest left=%d\n", result == -EINTR, rest.tv_sec > 0);
  alarm_every(0, 0);
  printf("nanosleep=%ld\n", raw_syscall(SYS_nanosleep, (long)&duration, (long)&rest, 0));
  printf("futex=%ld\n", raw_syscall(SYS_futex, (long)&word, FUTEX_WAIT, 1));
  printf("bad pointer=%ld\n", raw_syscall(SYS_write, 1, 8, 5));
  printf("bad number=%ld\n", raw_syscall(100000, 0, 0, 0));
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  ready();
  if (argc > 1 && !strcmp(argv[1], "syscalls")) {
    run_syscalls();
    return 0;
  }
  run_values();
  if (argc < 2 || strcmp(argv[1], "values")) run_faults();
  return 0;
}
