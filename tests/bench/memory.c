/* memory BOARD MEGABYTES: holds so much memory whose bytes don't repeat (nothing for run-length
 * encoding to gain) and sleeps. Addresses: of the memory. */
#include "board.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  struct board* board = map_board(argv[1]);
  size_t words = (size_t)atoi(argv[2]) << 17;
  uint64_t* memory = malloc(words * 8);
  if (!memory) return 1;
  uint64_t value = 88172645463325252u; /* xorshift64 */
  for (size_t i = 0; i < words; ++i) {
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
    memory[i] = value;
  }
  board->address[0] = (uint64_t)memory;
  board->thread[0].tid = (uint64_t)getpid();
  post_ready(board);
  for (;;) pause();
}
