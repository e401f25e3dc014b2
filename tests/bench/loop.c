/* loop BOARD: runs a loop of board->rounds rounds again and again, counting the loops.
 * Addresses: start of the loop's code, its end, instructions in a round. */
#include "board.h"

__asm__(
    ".text\n"
    ".globl run_loop, loop_start, loop_end\n"
    ".type run_loop, @function\n"
    "run_loop:\n" /* (rounds) */
    "  xor %eax, %eax\n"
    "loop_start:\n"
    "  add %rdi, %rax\n"
    "  dec %rdi\n"
    "  jnz loop_start\n"
    "loop_end: ret\n"
    ".size run_loop, .-run_loop\n");

extern char loop_start[], loop_end[];
uint64_t run_loop(uint64_t rounds);

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct board* board = map_board(argv[1]);
  board->address[0] = (uint64_t)loop_start;
  board->address[1] = (uint64_t)loop_end;
  board->address[2] = 3;
  board->thread[0].tid = (uint64_t)getpid();
  post_ready(board);
  for (;;) {
    run_loop(__atomic_load_n(&board->rounds, __ATOMIC_RELAXED));
    __atomic_fetch_add(&board->thread[0].count, 1, __ATOMIC_RELAXED);
  }
}
