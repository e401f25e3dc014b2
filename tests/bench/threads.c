/* threads BOARD HITTERS INNOCENTS IDLES: so many threads that call hot() for ever, that spin
 * without a system call, and that sleep; started in this order. Addresses: site_push, site_load,
 * site_call, bystanders, bystander count, bystander size. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>

#include "board.h"

#define BYSTANDERS 10000
#define TEXT(x) TEXT_(x)
#define TEXT_(x) #x

/* hot(counter) adds one to *counter. A site each for the three ways of stepping out of line: an
 * instruction that is emulated, one that is copied and falls through (with a RIP-relative operand),
 * and one that needs repair afterwards. */
__asm__(
    ".text\n"
    ".globl hot, site_push, site_load, site_call, bystanders\n"
    ".type hot, @function\n"
    "hot:\n"
    "site_push: push %rbp\n"
    "  mov %rsp, %rbp\n"
    "site_load: mov hot_step(%rip), %rax\n"
    "  add %rax, (%rdi)\n"
    "site_call: call *hot_callee(%rip)\n"
    "  pop %rbp\n"
    "  ret\n"
    "hot_nothing: ret\n"
    ".size hot, .-hot\n"
    ".type bystanders, @function\n"
    "bystanders: .rept " TEXT(BYSTANDERS) "\n"
    "  add $1, %rax\n"
    ".endr\n"
    "  ret\n"
    ".size bystanders, .-bystanders\n"
    ".section .data.rel.local, \"aw\", @progbits\n"
    ".balign 8\n"
    "hot_step: .quad 1\n"
    "hot_callee: .quad hot_nothing\n"
    ".text\n");

extern char site_push[], site_load[], site_call[], bystanders[];
void hot(uint64_t* counter);

static struct board* board;
static int hitters, innocents, idles;

static void* work(void* argument) {
  int number = (int)(intptr_t)argument;
  struct line* line = &board->thread[number];
  __atomic_store_n(&line->tid, (uint64_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
  /* Before all have begun, busy ones would only be in the way of the others' start. */
  while (number < hitters + innocents && !is_ready(board)) usleep(1000);
  while (number < hitters) hot(&line->count);
  while (number < hitters + innocents) __atomic_fetch_add(&line->count, 1, __ATOMIC_RELAXED);
  for (;;) pause();
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  board = map_board(argv[1]);
  hitters = atoi(argv[2]);
  innocents = atoi(argv[3]);
  idles = atoi(argv[4]);
  uint64_t addresses[] = {(uint64_t)site_push,  (uint64_t)site_load, (uint64_t)site_call,
                          (uint64_t)bystanders, BYSTANDERS,          4};
  for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; ++i)
    board->address[i] = addresses[i];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  /* The main thread is the last one, so that one thread means a process of one thread. */
  int count = hitters + innocents + idles;
  for (int i = 0; i + 1 < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &small, work, (void*)(intptr_t)i) != 0) {
      perror("pthread_create");
      return 1;
    }
  }
  for (int i = 0; i + 1 < count; ++i)
    while (!__atomic_load_n(&board->thread[i].tid, __ATOMIC_ACQUIRE)) usleep(100);
  post_ready(board);
  work((void*)(intptr_t)(count - 1));
}
