// conditions: calls probe() with different arguments, round after round, until `finished` is set.
// A debugger tries a condition on probe() in each round.
#include <stdint.h>
#include <stdio.h>

enum colour { red, green = 5, blue = -3 };
struct bits {
  unsigned low : 3;
  int middle : 5;
  unsigned high : 24;
};
struct node {
  int value;
  struct node* next;
  char name[8];
  struct bits flags;
  union {
    long whole;
    char parts[8];
  };
};

volatile int finished;
int8_t tiny = -5;
uint8_t utiny = 250;
int16_t small = -30000;
uint16_t usmall = 60000;
int32_t medium = -2000000000;
uint32_t umedium = 4000000000u;
int64_t large = -9000000000000000000ll;
uint64_t ularge = 18000000000000000000ull;
enum colour colour = green;
int matrix[3][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
struct node second = {22, 0, "second", {5, -9, 1000}, {0x0102030405060708}};
struct node first = {11, &second, "first", {2, 7, 77}, {-1}};
struct node* nowhere;
const char* text = "some text";
int (*volatile function)(const char*) = puts;
_Bool truth = 1;

__attribute__((noinline)) long probe(int i, unsigned u, long l, unsigned char c, struct node* node,
                                     const char* string) {
  static int calls;
  int local = i * 3;
  short narrow = (short)(i * 1000);
  struct bits bits = {(unsigned)i & 7, i - 8, (unsigned)i * 100};
  calls++;
  return local + narrow + bits.middle + calls + u + l + c + node->value + string[0];  // probe: here
}

__attribute__((noinline)) void round_end(void) { __asm__ volatile(""); }

int main(void) {
  while (!finished) {
    for (int i = 0; i < 16; i++) {
      tiny = (int8_t)(i * 17);
      colour = i % 3 == 0 ? red : i % 3 == 1 ? green : blue;
      first.flags.low = (unsigned)i & 7;
      first.flags.middle = i - 8;
      truth = i & 1;
      probe(i, ~(unsigned)i, (long)i << 33, (unsigned char)(i * 16), i & 1 ? &first : &second,
            i & 2 ? "odd" : "even");
    }
    round_end();
  }
  return 0;
}
