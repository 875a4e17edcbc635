// /sys/fs/cgroup as the container sees it: its own cgroup is the root of every hierarchy (cgroup_namespaces(7)).
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

static const unsigned ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// One hierarchy of version 1: "cpu,cpuacct" is mounted with both options; "name=systemd" is called systemd.
static void hierarchy(struct child *child, int directory, const char *name, unsigned attributes) {
  char parts[64];
  strcpy(parts, name);  // at most 63 bytes: plan.c
  const char *options[2 * 32 + 1] = {NULL};
  size_t count = 0;
  const char *place = name;
  int mount;
  if (strcmp(name, "unified") == 0) {
    mount = mount_new("cgroup2", options, attributes);
  } else {
    if (strncmp(name, "name=", 5) == 0) {
      place = name + 5;
      options[0] = "name";
      options[1] = place;
      options[2] = NULL;
    } else {
      for (char *part = parts; part != NULL && count < 32; count++) {
        char *comma = strchr(part, ',');
        if (comma != NULL) *comma = 0;
        options[count * 2] = part;
        options[count * 2 + 1] = NULL;
        part = comma != NULL ? comma + 1 : NULL;
      }
      options[count * 2] = NULL;
    }
    mount = mount_new("cgroup", options, attributes);
  }
  if (mount < 0) child_fail(child, PI_STEP_MOUNT, name);
  int target = directory_make(directory, place, 0755);
  if (target < 0 || sys_attach(mount, target) < 0) child_fail(child, PI_STEP_MOUNT, name);
  close(mount);
  close(target);
  // Programs look for /sys/fs/cgroup/cpu also where it is mounted together with another.
  for (size_t i = 0; count > 1 && i < count; i++)
    if (symlinkat(place, directory, options[i * 2]) < 0) child_fail(child, PI_STEP_MOUNT, options[i * 2]);
}

void root_cgroups(struct child *child, const struct container_plan *plan, int system) {
  uint32_t flags = plan->fixed->flags;
  unsigned attributes = ATTRIBUTES | (flags & PI_WRITABLE_SYSTEM ? 0 : MOUNT_ATTR_RDONLY);
  static const char *const none[] = {NULL}, *const options[] = {"mode", "0755", "size", "64k", NULL};
  int target = sys_openat2(system, "fs/cgroup", O_PATH | O_DIRECTORY, 0, STRICT);
  if (target < 0) child_fail(child, PI_STEP_MOUNT, "/sys/fs/cgroup");
  bool unified = flags & PI_CGROUP_UNIFIED;
  int mount = unified ? mount_new("cgroup2", none, attributes) : mount_new("tmpfs", options, ATTRIBUTES);
  if (mount < 0 || sys_attach(mount, target) < 0) child_fail(child, PI_STEP_MOUNT, "/sys/fs/cgroup");
  if (!unified) {
    for (uint32_t i = 0; i < plan->fixed->controllers.count; i++)
      hierarchy(child, mount, plan_string(child->plan, plan->controllers[i]), attributes);
    if (sys_mount_setattr(mount, 0, MOUNT_ATTR_RDONLY, 0, 0) < 0) child_fail(child, PI_STEP_MOUNT, "/sys/fs/cgroup");
  }
  close(mount);
  close(target);
}
