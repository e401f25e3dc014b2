// Memory whose pages a thread of this program's own fills in when they are touched (userfaultfd).
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { page = 4096, pages = 80 };

unsigned char* absent;
static int descriptor;
static char content[page] __attribute__((aligned(page)));

// With its stack pointer there.
void push_below(void*);
__asm__(
    ".text\n.globl push_below, site_push, site_call\n"
    "push_below: mov %rsp, %rax\n"
    "mov %rdi, %rsp\n"
    "site_push: push %rbx\n"
    "sub $0x1000, %rsp\n"
    "site_call: call 1f\n"
    "1: mov %rax, %rsp\n"
    "ret\n");

void filling(void) {}

static void* fill(void* unused) {
  struct uffd_msg message;
  while (read(descriptor, &message, sizeof message) == sizeof message) {
    filling();
    struct uffdio_copy copy = {.dst = message.arg.pagefault.address & -(uint64_t)page,
                               .src = (uintptr_t)content,
                               .len = page};
    ioctl(descriptor, UFFDIO_COPY, &copy);
  }
  return unused;
}

void ready(void) {}

int main(void) {
  memset(content, 7, page);
  descriptor = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  absent = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register range = {.range = {(uintptr_t)absent, pages * page},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  pthread_t filler;
  if (descriptor < 0 || ioctl(descriptor, UFFDIO_API, &api) ||
      ioctl(descriptor, UFFDIO_REGISTER, &range) || pthread_create(&filler, NULL, fill, NULL)) {
    absent = NULL;
    ready();
    return 77;
  }
  int sum = absent[0];
  ready();
  for (int i = 2; i < 20; i += 2) push_below(absent + (i + 1) * page);
  for (int i = 1; i < pages; i++) sum += absent[i * page];
  printf("sum %d\n", sum);
  return 0;
}
