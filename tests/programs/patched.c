// Retargets a call and two jumps as just-in-time compilers do: the displacement is written, the
// opcode stays. Prints where each went before and after.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef int Function(void);
extern Function patched_call, patched_jump, patched_condition, second;
extern char site_call[], site_jump[], site_condition[];
__asm__(
    ".text\n.p2align 12\n"
    ".globl patched_call, patched_jump, patched_condition, second\n"
    ".globl site_call, site_jump, site_condition\n"
    "patched_call:\nsite_call: .byte 0xe8\n .long first - . - 4\n ret\n"
    "patched_jump:\nsite_jump: .byte 0xe9\n .long first - . - 4\n"
    "patched_condition: xor %eax, %eax\n"
    "site_condition: .byte 0x0f, 0x84\n .long first - . - 4\n ret\n"
    "first: mov $1, %eax\n ret\n"
    "second: mov $2, %eax\n ret\n"
    ".p2align 12\n");

__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }

static void retarget(const char* name, Function* function, char* displacement) {
  const int before = function();
  const int32_t distance = (int32_t)((char*)second - (displacement + 4));
  memcpy(displacement, &distance, sizeof distance);
  printf("%s: %d, then %d\n", name, before, function());
}

int main(void) {
  if (mprotect((void*)patched_call, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return 1;
  ready();
  retarget("call", patched_call, site_call + 1);
  retarget("jump", patched_jump, site_jump + 1);
  retarget("condition", patched_condition, site_condition + 2);
  return 0;
}
