// 32-bit code in a 64-bit process, as Wine runs 32-bit programs: prints what it computes.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

// Copied to 0x10000000, where 32 bits reach it, with a word of data at 0x10000800 and its stack at
// 0x20000000.
extern char low[], enter[], low_end[];
__asm__(
    ".text\n"
    ".globl low, enter, low_end, site_enter\n"
    ".globl site_inc, site_load, site_push, site_pop, site_jump, site_add, site_return\n"
    ".code32\n"
    "low:\n"
    "site_inc: inc %eax\n"               // a REX prefix in 64-bit code
    "site_load: mov 0x10000800, %ecx\n"  // relative to the PC there
    "site_push: push %ecx\n"
    "site_pop: pop %edx\n"
    "site_jump: jmp site_add\n ud2\n"
    "site_add: add %edx, %eax\n"
    "site_return: lret\n"
    ".code64\n"
    "gate: .long 0x10000000, 0x23\n"  // the kernel's 32-bit user code segment
    "enter:\nsite_enter: mov %rsp, 0x20000000\n mov $0x20008000, %rsp\n mov %rdi, %rax\n"
    "lcall *gate(%rip)\n"
    "mov 0x20000000, %rsp\n ret\n"
    "low_end:\n");

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static char* map(uintptr_t at, size_t size, int protection) {
  return mmap((void*)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
              0);
}

int main(void) {
  char* text = map(0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  char* stack = map(0x20000000, 65536, PROT_READ | PROT_WRITE);
  if (text == MAP_FAILED || stack == MAP_FAILED) return 1;
  memcpy(text, low, (size_t)(low_end - low));
  *(uint32_t*)(text + 0x800) = 1000;
  ready();
  __asm__ volatile("mov %0, %%ds\n mov %0, %%es" ::"r"(0x2b));
  uint64_t (*low_enter)(uint64_t) = (uint64_t(*)(uint64_t))(text + (enter - low));
  for (uint64_t i = 0; i < 3; i++)
    printf("%lu becomes %u\n", (unsigned long)i, (unsigned)low_enter(i));
  return 0;
}
