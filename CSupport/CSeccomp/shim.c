#define _GNU_SOURCE
#include "CSeccomp.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int cseccomp_load(const void *program, size_t size) {
  if (size == 0 || size % sizeof(struct sock_filter) != 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
    return errno = EINVAL, -1;
  struct sock_fprog code = {
      .len = (unsigned short)(size / sizeof(struct sock_filter)), .filter = (struct sock_filter *)program};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &code);
}
