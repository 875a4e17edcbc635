#define _GNU_SOURCE
#include "CNetlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

int cn_open_in_netns(int nsfd, const char *path, int flags) {
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return -1;
  if (setns(nsfd, CLONE_NEWNET) < 0) {
    int saved = errno;
    close(home);
    return errno = saved, -1;
  }
  int fd = open(path, flags | O_CLOEXEC);
  int saved = errno;
  // A thread that cannot go home would act in the wrong namespace from then on: there is nothing safe left to do.
  if (setns(home, CLONE_NEWNET) < 0) abort();
  close(home);
  return errno = saved, fd;
}
