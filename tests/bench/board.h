/* The board: a file that a measured program and the benchmark both map. The program posts what the
 * benchmark has to know (addresses, thread ids) and counts its work there, so that rates are read
 * without asking the server that is being measured. The layout is repeated in harness/board.py. */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BOARD_ADDRESSES = 14, PROGRAM_LIFETIME = 600 /* seconds */ };

struct line { /* one cache line for each thread */
  uint64_t count;
  uint64_t tid;
  uint64_t unused[6];
};

struct board {
  uint64_t ready;
  uint64_t rounds;                   /* set by the benchmark */
  uint64_t address[BOARD_ADDRESSES]; /* in the order of the program's comment */
  struct line thread[];
};

static inline struct board* map_board(const char* path) {
  /* Whatever happens to the benchmark, nothing stays behind for ever. */
  alarm(PROGRAM_LIFETIME);
  /* Under Yama only ancestors may attach, and the server is a sibling. */
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  int file = open(path, O_RDWR);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) {
    perror(path);
    exit(1);
  }
  void* board = mmap(0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (board == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  close(file);
  return board;
}

static inline void post_ready(struct board* board) {
  __atomic_store_n(&board->ready, 1, __ATOMIC_RELEASE);
}

static inline int is_ready(struct board* board) {
  return __atomic_load_n(&board->ready, __ATOMIC_ACQUIRE) != 0;
}
