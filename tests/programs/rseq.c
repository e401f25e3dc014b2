// rseq THREADS ROUNDS: each thread counts up per-processor counters by restartable sequences
// (rseq(2)); the sum is right only if every sequence is atomic on its processor.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/rseq.h>
#include <unistd.h>

// counted(): %rdi the counters, %rsi struct rseq, which has cpu_id at 4 and rseq_cs at 8.
extern void counted(long (*counters)[8], struct rseq* area);
__asm__(
    ".data\n.balign 32\nsequence: .long 0, 0\n.quad inside, committed - inside, aborted\n.text\n"
    ".globl counted\n.type counted,@function\ncounted:\n"
    "  lea sequence(%rip), %rax\n  mov %rax, 8(%rsi)\n"
    ".globl inside\ninside: mov 4(%rsi), %ecx\n  shl $6, %rcx\n  mov (%rdi,%rcx), %rax\n"
    "  inc %rax\n  mov %rax, (%rdi,%rcx)\n"
    ".globl committed\ncommitted: movq $0, 8(%rsi)\n  ret\n"
    ".long 0x53053053\n.globl aborted\naborted: lock incq aborts(%rip)\n  jmp counted\n.size "
    "counted,.-counted\n");
long aborts;

static long counters[1024][8];
static long rounds;

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static void* count(void* unused) {
  struct rseq* area = (struct rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
  for (long i = 0; i < rounds; i++) counted(counters, area);
  return unused;
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 4;
  rounds = argc > 2 ? atol(argv[2]) : 1000;
  pthread_t ids[threads];
  long sum = 0;
  if (__rseq_size == 0) return 3;
  ready();
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, count, NULL);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  for (int i = 0; i < 1024; i++) sum += counters[i][0];
  printf("wrong=%ld aborts=%d\n", sum - threads * rounds, aborts > 0);
  return sum != threads * rounds;
}
