// Returns through an address that lies across the end of a page.
#include <stdio.h>

static char stack[16384] __attribute__((aligned(4096)));

extern void return_across(void* top);
__asm__(
    ".text\n.globl return_across, site_return, landing\n"
    "return_across: mov %rsp, %rax\n mov %rdi, %rsp\n lea landing(%rip), %rdx\n push %rdx\n"
    "site_return: ret\n"
    "landing: nop\n nop\n mov %rax, %rsp\n ret\n");

int main(void) {
  return_across(stack + 8192 + 4);
  puts("done");
  return 0;
}
