// The way of an exec: a go-between enters the container's namespaces, clones the process as a child of podinit, reports
// its number, and is gone.
#include <errno.h>
#include <sched.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

/// The container's devpts, if that is what it is.
static int find_pts(struct child *child, int root) {
  int pts = sys_openat2(root, "dev/pts", O_PATH | O_DIRECTORY, 0, STRICT);
  struct statfs filesystem;
  if (pts < 0 || fstatfs(pts, &filesystem) < 0) child_fail(child, PI_STEP_TERMINAL, "/dev/pts");
  errno = ENOTTY;
  if (filesystem.f_type != DEVPTS_MAGIC) child_fail(child, PI_STEP_TERMINAL, "/dev/pts");
  return pts;
}

static _Noreturn void inside(struct child *child) {
  if (setsid() < 0) child_fail(child, PI_STEP_SESSION, "setsid");
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) child_fail(child, PI_STEP_ROOT, "/");
  if (child->process->fixed->flags & PI_TERMINAL) child_terminal(child, find_pts(child, root));
  int dev = sys_openat2(root, "dev", O_PATH | O_DIRECTORY, 0, STRICT);
  if (dev < 0) child_fail(child, PI_STEP_STANDARD, "/dev");
  child_standard(child, dev);
  child_execute(child);
}

void child_exec(struct child *child, int container_pidfd) {
  child_join(child);
  child_begin(child, &container_pidfd, 1);
  // This process is not dumpable and holds nothing of podinit's by now (CVE-2024-21626).
  if (setns(container_pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP) < 0)
    child_fail(child, PI_STEP_NAMESPACE, "setns");
  close(container_pidfd);
  int pidfd = -1;
  struct clone_args arguments = {.flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd};
  pid_t pid = sys_clone3(&arguments);
  if (pid < 0) child_fail(child, PI_STEP_CLONE, child->process->arguments[0]);
  if (pid == 0) inside(child);
  struct report report = {.kind = REPORT_PROCESS, .notes = child->notes, .pid = pid};
  if (report_send(child->report, &report, pidfd) < 0) _exit(1);
  _exit(0);
}
