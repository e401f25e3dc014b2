// Instructions that push and pop, each with a label, for watchpoints on what they access.
#include <stdio.h>

extern void stacked(void);
__asm__(
    ".data\npointer: .quad target\n.text\n"
    ".globl stacked, target, after_push, after_call_memory\n"
    ".globl site_push, site_call, site_call_register, site_call_memory, site_return\n"
    "stacked: push %rbx\n lea target(%rip), %rax\n"
    "site_push: push %rbx\n"
    "after_push: pop %rbx\n"
    "site_call: call target\n"
    "site_call_register: call *%rax\n"
    "site_call_memory: call *pointer(%rip)\n"
    "after_call_memory: pop %rbx\n ret\n"
    "target: nop\n"
    "site_return: ret\n");

int main(void) {
  stacked();
  puts("done");
  return 0;
}
