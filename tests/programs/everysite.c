// everysite ROUNDS: functions full of everyday code (copying, sorting, hashing, formatting), checked
// by what they compute. A debugger puts a breakpoint on every instruction of them.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) void* site_copy(void* to, const void* from, size_t size) {
  char* t = to;
  const char* f = from;
  size_t words = size / 8;
  __asm__ volatile("rep movsq" : "+D"(t), "+S"(f), "+c"(words) : : "memory");
  for (size_t i = 0; i < size % 8; i++) t[i] = f[i];
  return to;
}

__attribute__((noinline)) static int compare(const void* a, const void* b) {
  int x = *(const int*)a, y = *(const int*)b;
  return (x > y) - (x < y);
}

__attribute__((noinline)) void site_sort(int* items, long low, long high,
                                         int (*less)(const void*, const void*)) {
  while (low < high) {
    long i = low, j = high;
    int pivot = items[(low + high) / 2];
    while (i <= j) {
      while (less(&items[i], &pivot) < 0) i++;
      while (less(&items[j], &pivot) > 0) j--;
      if (i <= j) {
        int swapped = items[i];
        items[i++] = items[j];
        items[j--] = swapped;
      }
    }
    if (j - low < high - i) {
      site_sort(items, low, j, less);
      low = i;
    } else {
      site_sort(items, i, high, less);
      high = j;
    }
  }
}

__attribute__((noinline)) uint32_t site_crc(const unsigned char* bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

__attribute__((noinline)) double site_float(const int* items, int count) {
  double sum = 0, product = 1;
  for (int i = 0; i < count; i++) {
    sum += items[i] * 0.5;
    product = product * (1.0 + items[i] / 1e6);
  }
  return sum / (product + 2.0);
}

__attribute__((noinline)) int site_switch(int x) {
  switch (x % 8) {
    case 0: return x + 1;
    case 1: return x * 2;
    case 2: return x - 5;
    case 3: return x / 3;
    case 4: return ~x;
    case 5: return x << 2;
    case 6: return x >> 1;
    default: return -x;
  }
}

int main(int argc, char** argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 3;
  enum { count = 60 };
  int items[count], copy[count];
  uint32_t crc = 0;
  double sum = 0;
  long switched = 0;
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < count; i++) items[i] = (int)((i * 7919u + round * 104729u) % 1000);
    site_copy(copy, items, sizeof items);
    site_sort(copy, 0, count - 1, compare);
    for (int i = 1; i < count; i++)
      if (copy[i - 1] > copy[i]) printf("not sorted at %d in round %d\n", i, round);
    crc ^= site_crc((unsigned char*)copy, 40);
    sum += site_float(copy, count);
    for (int i = 0; i < 16; i++) switched = switched * 3 + site_switch(copy[i]);
  }
  printf("crc=%08x sum=%.9f switched=%ld\n", crc, sum, switched);
  return (int)(crc & 63);
}
