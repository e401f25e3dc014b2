// Between the server and the kernel (LD_PRELOAD): in the process named ss-tracer, the call of
// number $FAULT_AT fails with $FAULT_ERRNO, or does half of what it should where that is `short`.
// Counted are the calls that are about other processes, from when the file $FAULT_ARMED is there.
// What has failed is said on stderr. And ptrace's request of number $FAULT_UNKNOWN is one that an
// older kernel does not know.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long calls;

static int is_tracer(void) {
  char name[16] = "";
  prctl(PR_GET_NAME, name);
  return strcmp(name, "ss-tracer") == 0;
}

// Nonzero: this call is to fail.
static int fails(const char* name) {
  const char* at = getenv("FAULT_AT");
  if (!at || !is_tracer() || access(getenv("FAULT_ARMED"), F_OK) != 0) return 0;
  if (calls++ != atol(at)) return 0;
  fprintf(stderr, "fault: %s\n", name);
  return 1;
}

static int is_unknown(enum __ptrace_request request) {
  const char* unknown = getenv("FAULT_UNKNOWN");
  return unknown && is_tracer() && strtoul(unknown, NULL, 0) == (unsigned long)request;
}

static int halves(void) { return strcmp(getenv("FAULT_ERRNO"), "short") == 0; }

static int fail(void) {
  errno = halves() ? EIO : atoi(getenv("FAULT_ERRNO"));
  return -1;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

long ptrace(enum __ptrace_request request, ...) {
  va_list list;
  va_start(list, request);
  const pid_t pid = va_arg(list, pid_t);
  void* const address = va_arg(list, void*);
  void* const data = va_arg(list, void*);
  va_end(list);
  if (is_unknown(request)) {
    errno = EIO;
    return -1;
  }
  char name[32];
  snprintf(name, sizeof name, "ptrace 0x%x", (unsigned)request);
  if (fails(name)) return fail();
  return REAL(ptrace)(request, pid, address, data);
}

int tgkill(pid_t process, pid_t thread, int signal) {
  return fails("tgkill") ? fail() : REAL(tgkill)(process, thread, signal);
}

// Fewer bytes than asked for, or none.
static struct iovec half(const struct iovec* whole) {
  return (struct iovec){whole->iov_base, whole->iov_len / 2};
}

ssize_t process_vm_readv(pid_t pid, const struct iovec* local, unsigned long locals,
                         const struct iovec* remote, unsigned long remotes, unsigned long flags) {
  if (!fails("process_vm_readv"))
    return REAL(process_vm_readv)(pid, local, locals, remote, remotes, flags);
  if (!halves()) return fail();
  const struct iovec less = half(remote);
  return REAL(process_vm_readv)(pid, local, locals, &less, 1, flags);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec* local, unsigned long locals,
                          const struct iovec* remote, unsigned long remotes, unsigned long flags) {
  if (!fails("process_vm_writev"))
    return REAL(process_vm_writev)(pid, local, locals, remote, remotes, flags);
  if (!halves()) return fail();
  const struct iovec less = half(remote);
  return REAL(process_vm_writev)(pid, local, locals, &less, 1, flags);
}

ssize_t pread(int fd, void* to, size_t size, off_t from) {
  if (!fails("pread")) return REAL(pread)(fd, to, size, from);
  return halves() ? REAL(pread)(fd, to, size / 2, from) : fail();
}
ssize_t pread64(int fd, void* to, size_t size, off64_t from) {
  if (!fails("pread")) return REAL(pread64)(fd, to, size, from);
  return halves() ? REAL(pread64)(fd, to, size / 2, from) : fail();
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t to) {
  if (!fails("pwrite")) return REAL(pwrite)(fd, from, size, to);
  return halves() ? REAL(pwrite)(fd, from, size / 2, to) : fail();
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t to) {
  if (!fails("pwrite")) return REAL(pwrite64)(fd, from, size, to);
  return halves() ? REAL(pwrite64)(fd, from, size / 2, to) : fail();
}
