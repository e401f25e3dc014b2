// A program whose seccomp filter allows a system call from one place only.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

long ask(void);
extern char site_ask[];
__asm__(
    ".text\n.globl ask, site_ask\n"
    "ask: mov $110, %eax\n"  // getppid
    "site_ask: syscall\n"
    "ret\n");

static void allow_from(uint64_t behind) {
  struct sock_filter program[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 5, SYS_getppid},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, instruction_pointer)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 2, (uint32_t)behind},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, instruction_pointer) + 4},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (uint32_t)(behind >> 32)},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) perror("seccomp");
}

int main(void) {
  const long parent = getppid();
  int right = ask() == parent;
  allow_from((uintptr_t)site_ask + 2);
  for (int i = 0; i < 9; i++) right += ask() == parent;
  printf("right=%d elsewhere=%d\n", right, getppid());
  return 0;
}
