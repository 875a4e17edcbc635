// Reports from a child to podinit, and the child's first steps. See launch.h.
#include "launch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system.h"

int report_pair(int pair[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int report_send(int socket, const struct report *report, int fd) {
  struct iovec vector = {.iov_base = (void *)report, .iov_len = sizeof *report};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int report_receive(int socket, struct report *report, int *fd) {
  struct iovec vector = {.iov_base = report, .iov_len = sizeof *report};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *fd = -1;
  ssize_t size;
  do size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return -1;
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
      part->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(fd, CMSG_DATA(part), sizeof *fd);
  if (size != sizeof *report) {
    if (*fd >= 0) close(*fd);
    return *fd = -1, 0;
  }
  report->failure.subject[sizeof report->failure.subject - 1] = 0;
  return 1;
}

void child_fail(struct child *child, uint32_t step, const char *subject) {
  struct report report = {.kind = REPORT_FAILURE};
  fail(&report.failure, step, errno, subject);
  report_send(child->report, &report, -1);
  _exit(1);
}

/// Closes everything but the descriptors given.
static int close_others(int *keep, size_t count) {
  for (size_t i = 1; i < count; i++)
    for (size_t j = i; j > 0 && keep[j - 1] > keep[j]; j--) {
      int other = keep[j];
      keep[j] = keep[j - 1];
      keep[j - 1] = other;
    }
  unsigned next = 3;
  for (size_t i = 0; i < count; i++) {
    if (keep[i] < (int)next) continue;
    if (keep[i] > (int)next && sys_close_range(next, (unsigned)keep[i] - 1, 0) < 0) return -1;
    next = (unsigned)keep[i] + 1;
  }
  return sys_close_range(next, ~0U, 0);
}

void child_join(struct child *child) {
  if (join_cgroups(child->plan, child->process->cgroups, child->process->fixed->cgroups.count) < 0)
    child_fail(child, PI_STEP_CGROUP, "cgroup.procs");
}

void child_begin(struct child *child, const int *keep, size_t count) {
  const struct pi_process *process = child->process->fixed;
  if ((process->flags & PI_PROCESS_OOM_SCORE) &&
      write_oom_score(podinit.processes, process->oom_score_adj, &child->notes) < 0)
    child_fail(child, PI_STEP_OOM_SCORE, child->process->arguments[0]);
  int all[PI_DESCRIPTORS_MAX + 8];
  memcpy(all, keep, count * sizeof *keep);
  memcpy(all + count, child->standard, sizeof child->standard);
  all[count + 3] = child->report;
  if (close_others(all, count + 4) < 0) child_fail(child, PI_STEP_STANDARD, "close_range");
}
