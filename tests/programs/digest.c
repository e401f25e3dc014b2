// digest [own|libc]: everyday code that a debugger puts a breakpoint on every instruction of.
// own: SHA-256 (FIPS 180-4), copying, sorting and formatting, all in this file. libc: the same
// calls to the C library. The exit status depends on what was computed.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC optimize("O2")

static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turned(uint32_t x, int n) { return x >> n | x << (32 - n); }

__attribute__((noinline)) void sha256_block(uint32_t* state, const unsigned char* block) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 |
           block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[i - 7] +
           (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
  }
  for (int i = 0; i < 8; i++) s[i] = state[i];
  for (int i = 0; i < 64; i++) {
    uint32_t e = s[4], a = s[0];
    uint32_t t = s[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
                 ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
    uint32_t u =
        (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    for (int j = 7; j > 0; j--) s[j] = s[j - 1];
    s[4] += t;
    s[0] = t + u;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

__attribute__((noinline)) static void copied(void* to, const void* from, size_t size) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

__attribute__((noinline)) static int by_value(const void* a, const void* b) {
  int x = *(const int*)a, y = *(const int*)b;
  return (x > y) - (x < y);
}

typedef int Order(const void*, const void*);

__attribute__((noinline)) static void sorted(int* items, int count, Order* order) {
  for (int i = 1; i < count; i++)
    for (int j = i; j > 0 && order(&items[j - 1], &items[j]) > 0; j--) {
      int other = items[j];
      items[j] = items[j - 1];
      items[j - 1] = other;
    }
}

__attribute__((noinline)) static char* formatted(char* to, uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) {
    uint32_t digit = value >> shift & 15;
    switch (digit / 10) {
      case 0:
        *to++ = (char)('0' + digit);
        break;
      default:
        *to++ = (char)('a' + digit - 10);
        break;
    }
  }
  return to;
}

static void fill(int* items, int count) {
  for (int i = 0; i < count; i++) items[i] = (int)((i * 7919u + 31) % 1000);
}

static int own(void) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char block[64] = {'a', 'b', 'c', 0x80};  // the whole message "abc", padded
  unsigned char copy[64];
  int items[20];
  char text[80], *end = text;
  block[63] = 24;
  copied(copy, block, sizeof copy);
  sha256_block(state, copy);
  fill(items, 20);
  sorted(items, 20, by_value);
  for (int i = 0; i < 8; i++) end = formatted(end, state[i]);
  *end++ = '\n';
  if (write(1, text, (size_t)(end - text)) < 0) return 1;
  int status = 0;
  for (int i = 0; i < 20; i++) status = status * 3 + items[i];
  return status & 63;
}

static int library(void) {
  enum { count = 24 };
  int items[count];
  char text[400], copy[400];
  fill(items, count);
  qsort(items, count, sizeof *items, by_value);
  int length = 0;
  for (int i = 0; i < 6; i++)
    length += snprintf(text + length, sizeof text - (size_t)length, "%d:%5d|%-4x|%s ", i,
                       items[i * 4], (unsigned)items[i], i % 2 ? "odd" : "even");
  // Sizes for each way in which memmove and memset are done, overlapping and not.
  for (int size = 1; size <= 200; size = size * 2 + 1) {
    memcpy(copy, text, (size_t)length + 1);
    memmove(copy + 3, copy, (size_t)size);
    memset(copy + size, '.', (size_t)size / 4);
    printf("%d %.60s\n", size, copy);
  }
  printf("%s%.3f %8.2e %c %%\n", text, items[3] / 7.0, items[9] * 1e6, 'x');
  return (int)(strlen(text) & 63);
}

int main(int argc, char** argv) { return argc > 1 && !strcmp(argv[1], "libc") ? library() : own(); }
