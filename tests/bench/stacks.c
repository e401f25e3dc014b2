/* stacks BOARD THREADS: threads that sleep, with a stack of 8 MiB each, nearly all of it zero. */
#include <pthread.h>

#include "board.h"

#define STACK_SIZE (8ul << 20)

static struct board* board;

static void* work(void* argument) {
  int number = (int)(intptr_t)argument;
  __atomic_store_n(&board->thread[number].tid, 1, __ATOMIC_RELEASE);
  for (;;) pause();
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  board = map_board(argv[1]);
  int count = atoi(argv[2]);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  for (int i = 0; i < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, (void*)(intptr_t)i) != 0) {
      perror("pthread_create");
      return 1;
    }
  }
  for (int i = 0; i < count; ++i)
    while (!__atomic_load_n(&board->thread[i].tid, __ATOMIC_ACQUIRE)) usleep(100);
  post_ready(board);
  for (;;) pause();
}
