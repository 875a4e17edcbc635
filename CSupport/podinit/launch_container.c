// The way of a container's main process from clone to its command.
#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

/// The terminal is also /dev/console.
static void console(struct child *child, int terminal, int dev) {
  int target = -1;
  int copy = sys_open_tree(terminal, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
  if (copy < 0 || mknodat(dev, "console", S_IFREG | 0600, 0) < 0 ||
      (target = sys_openat2(dev, "console", O_PATH | O_NOFOLLOW, 0, STRICT)) < 0 || sys_attach(copy, target) < 0)
    child_fail(child, PI_STEP_TERMINAL, "/dev/console");
  close(copy);
  close(target);
}

void child_container(struct child *child, const struct container_plan *plan) {
  child_begin(child, child->plan->descriptors, child->plan->count);
  if (setsid() < 0) child_fail(child, PI_STEP_SESSION, "setsid");
  struct tree tree;
  root_attach(child, plan, &tree);
  root_standard_mounts(child, plan, &tree);
  // As late as can be: the kernel may wait an RCU grace period, some 20 ms, until it moves a process, and the time until
  // here passes meanwhile. Nothing of the container's has run yet.
  child_join(child);
  // The cgroup of this moment becomes the root that the container sees.
  if ((plan->fixed->flags & PI_NEW_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
    child_fail(child, PI_STEP_NAMESPACE, "cgroup");
  root_cgroups(child, plan, tree.sys);
  close(tree.sys);
  root_mounts(child, plan, &tree);
  if (child->process->fixed->flags & PI_TERMINAL) console(child, child_terminal(child, tree.pts), tree.dev);
  root_seal(child, plan, &tree);
  child_standard(child, tree.dev);
  child_execute(child);
}
