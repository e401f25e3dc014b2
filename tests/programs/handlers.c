// A site whose instruction faults, and handlers that do everything a handler can do about it. The
// program counts how often it comes to the site by itself (a return from a handler is not once
// more), and that is how often a debugger may tell of it.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__
#define ADDRESS REG_RAX
#define PC REG_RIP
#define LOAD "mov (%%rax), %%ecx"
#else
#define ADDRESS REG_EAX
#define PC REG_EIP
#define LOAD "mov (%%eax), %%ecx"
#endif

enum { rounds = 8 };
volatile int arrivals;
static volatile int faults, depth, completed;
static volatile sig_atomic_t probing;
static int readable = 4711;
static sigjmp_buf back;
static ucontext_t main_context, handler_context;

// In the registers that it has each time, and with the stack pointer that it has each time.
__attribute__((noinline)) static void probe(void *address) {
  arrivals++;
  __asm__ volatile(
      ".globl probe_site\n"
      "xor %%ecx, %%ecx\n"
      "probe_site: " LOAD "\n" ::"a"(address)
      : "ecx", "memory");
}

static void pass(ucontext_t *context) { context->uc_mcontext.gregs[PC] += 2; }
static void mend(ucontext_t *context) {
  context->uc_mcontext.gregs[ADDRESS] = (greg_t)(unsigned long)&readable;
}

static void jump(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  faults++;
  siglongjmp(back, 1);
}
static void work_and_jump(int signal, siginfo_t *info, void *context) {
  for (int i = 0; i < 100; i++) (void)getppid();
  jump(signal, info, context);
}
static void repair(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  faults++;
  for (int i = 0; i < 1000; i++) (void)getppid();
  mend(context);
}
static void skip(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  faults++;
  pass(context);
}
// The first comes by the site once more, whose handler jumps out of it or repairs it.
static void nest(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  faults++;
  if (++depth < 2) probe((void *)16);
  depth = 0;
  mend(context);
}
static void nest_and_jump(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  faults++;
  if (++depth < 2) probe((void *)16);
  depth = 0;
  siglongjmp(back, 1);
}
static void switch_context(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  faults++;
  swapcontext(&handler_context, &main_context);
  mend(context);
}
static void other_stack(void *low) {
  (void)low;
  probe((void *)16);
}

static void jump_from_probe(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  if (!probing) return;
  probing = 0;
  siglongjmp(back, 1);
}

struct way {
  const char *name;
  void (*handler)(int, siginfo_t *, void *);
  int flags;
};
static const struct way ways[] = {
    {"jump", jump, 0},
    {"jump-unmasked", jump, SA_NODEFER},
    {"work-and-jump", work_and_jump, 0},
    {"jump-alternate", jump, SA_ONSTACK},
    {"repair", repair, 0},
    {"repair-alternate", repair, SA_ONSTACK},
    {"skip", skip, 0},
    {"nest", nest, SA_NODEFER},
    {"nest-alternate", nest, SA_NODEFER | SA_ONSTACK},
    {"nest-and-jump", nest_and_jump, SA_NODEFER},
    {"switch", switch_context, 0},
};

static void all_rounds(const struct way *way) {
  for (volatile int round = 0; round < rounds; round++) {
    if (strcmp(way->name, "switch") == 0) {
      // The site is in a context of its own, whose handler comes here in the middle.
      static char stack[64 * 1024];
      ucontext_t visitor;
      getcontext(&visitor);
      visitor.uc_stack.ss_sp = stack;
      visitor.uc_stack.ss_size = sizeof stack;
      ucontext_t end;
      visitor.uc_link = &end;
      makecontext(&visitor, (void (*)(void))other_stack, 1, 0);
      swapcontext(&main_context, &visitor);
      swapcontext(&end, &handler_context);
    } else if (sigsetjmp(back, 1) == 0) {
      probe((void *)16);
    }
  }
}

// A timer's signals arrive anywhere around the site.
static void all_alarms(void) {
  const struct itimerval each = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
  setitimer(ITIMER_REAL, &each, NULL);
  for (volatile int round = 0; round < 2000; round++) {
    if (sigsetjmp(back, 1) != 0) continue;
    probing = 1;
    probe(&readable);
    probing = 0;
    completed++;
  }
  const struct itimerval none = {.it_value = {.tv_usec = 0}};
  setitimer(ITIMER_REAL, &none, NULL);
}

int main(int argc, char **argv) {
  static char alternate[64 * 1024];
  const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  if (argc > 1 && strcmp(argv[1], "alarms") == 0) {
    struct sigaction action = {.sa_sigaction = jump_from_probe, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &action, NULL);
    all_alarms();
    printf("arrivals %d completed %d\n", arrivals, completed);
    return 0;
  }
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (argc < 2 || strcmp(argv[1], ways[i].name) != 0) continue;
    struct sigaction action = {.sa_sigaction = ways[i].handler,
                               .sa_flags = SA_SIGINFO | ways[i].flags};
    sigaction(SIGSEGV, &action, NULL);
    all_rounds(&ways[i]);
    printf("arrivals %d faults %d\n", arrivals, faults);
    return 0;
  }
  return 2;
}
