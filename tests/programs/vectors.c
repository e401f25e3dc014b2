// vectors: fills every register with a known pattern, stops at a label, stores them all and prints.
// Exit status 2: this processor has no AVX.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

unsigned char in[16][32], out[16][32];
unsigned char wide_in[64], wide_out[64];
uint64_t general_in[4] = {0x1111222233334444, 0x5555666677778888, 0x99aa99aa99aa99aa, 0x0123456789abcdef};
uint64_t general_out[4];
double x87_out;
int has_avx512;

extern void load_and_store(void);
__asm__(
    ".text\n.globl load_and_store\n.type load_and_store,@function\n"
    "load_and_store:\n"
    "  push %rbx\n  push %r12\n  push %r13\n  push %r14\n"
    "  mov general_in(%rip), %rbx\n"
    "  mov general_in+8(%rip), %r12\n"
    "  mov general_in+16(%rip), %r13\n"
    "  mov general_in+24(%rip), %r14\n"
    "  fldpi\n"
    "  lea in(%rip), %rax\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  vmovdqu 32*\\n(%rax), %ymm\\n\n"
    ".endr\n"
    "  cmpl $0, has_avx512(%rip)\n"
    "  je 1f\n"
    "  vmovdqu64 wide_in(%rip), %zmm20\n"
    "  mov $0xa5a5, %ecx\n"
    "  kmovw %ecx, %k3\n"
    "1:\n"
    ".globl all_registers_loaded\nall_registers_loaded:\n"
    "  nop\n"
    "  nop\n"
    "  lea out(%rip), %rax\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  vmovdqu %ymm\\n, 32*\\n(%rax)\n"
    ".endr\n"
    "  cmpl $0, has_avx512(%rip)\n"
    "  je 2f\n"
    "  vmovdqu64 %zmm20, wide_out(%rip)\n"
    "2:\n"
    "  fstpl x87_out(%rip)\n"
    "  mov %rbx, general_out(%rip)\n"
    "  mov %r12, general_out+8(%rip)\n"
    "  mov %r13, general_out+16(%rip)\n"
    "  mov %r14, general_out+24(%rip)\n"
    "  vzeroupper\n"
    "  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n"
    "  ret\n.size load_and_store,.-load_and_store\n");

static void show(const char* name, const unsigned char* bytes, int size) {
  printf("%s=", name);
  for (int i = 0; i < size; i++) printf("%02x", bytes[i]);
  printf("\n");
}

int main(void) {
  if (!__builtin_cpu_supports("avx")) return 2;
  has_avx512 = __builtin_cpu_supports("avx512f") != 0;
  for (int n = 0; n < 16; n++)
    for (int i = 0; i < 32; i++) in[n][i] = (unsigned char)(n * 16 + i);
  for (int i = 0; i < 64; i++) wide_in[i] = (unsigned char)(255 - i);
  load_and_store();
  for (int n = 0; n < 16; n++) {
    char name[8];
    snprintf(name, sizeof name, "ymm%d", n);
    show(name, out[n], 32);
  }
  if (has_avx512) show("zmm20", wide_out, 64);
  printf("pi=%.6f\n", x87_out);
  for (int i = 0; i < 4; i++) printf("general%d=%016lx\n", i, general_out[i]);
  return 0;
}
