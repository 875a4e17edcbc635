// The container's file tree, built from detached mounts in the child's own mount namespace. Every target is an O_PATH
// descriptor that was resolved inside the root, and mounts go from descriptor to descriptor, so nobody who renames
// things meanwhile can lead one elsewhere (CVE-2021-30465).
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

static const char *const NO_OPTIONS[] = {NULL};
enum { PLAIN = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

void root_attach(struct child *child, const struct container_plan *plan, struct tree *tree) {
  int place = open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  tree->root = plan_descriptor(child->plan, plan->fixed->root);
  // A copy of a shared mount is still its peer: what is mounted below it would show on the host.
  if (place < 0 || sys_mount_setattr(tree->root, AT_RECURSIVE, 0, 0, MS_PRIVATE) < 0 ||
      sys_attach(tree->root, place) < 0)
    child_fail(child, PI_STEP_ROOT, "move_mount");
  close(place);
}

/// Attaches a mount at the directory `name` directly below `parent`, and keeps the mount's descriptor.
static int attach_at(struct child *child, int mount, int parent, const char *name, const char *subject) {
  if (mount < 0) child_fail(child, PI_STEP_MOUNT, subject);
  int target = directory_make(parent, name, 0755);
  if (target < 0 || sys_attach(mount, target) < 0) child_fail(child, PI_STEP_MOUNT, subject);
  close(target);
  return mount;
}

static void make_device(struct child *child, int parent, const char *name, const struct pi_device *device,
                        const char *subject) {
  dev_t number = makedev(device->major, device->minor);
  if (mknodat(parent, name, device->type | device->mode, number) < 0) {
    int error = errno;
    struct stat status;
    bool same = error == EEXIST && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                (status.st_mode & S_IFMT) == device->type && status.st_rdev == number;
    errno = error;
    if (!same) child_fail(child, PI_STEP_DEVICE, subject);
  }
  if ((device->uid != 0 || device->gid != 0) &&
      fchownat(parent, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
    child_fail(child, PI_STEP_DEVICE, subject);
}

static void devices(struct child *child, const struct container_plan *plan, int dev) {
  static const struct {
    const char *name;
    uint32_t major, minor;
  } standard[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                         {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"},
                                         {"pts/ptmx", "ptmx"}};
  for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
    struct pi_device device = {
        .type = S_IFCHR, .mode = 0666, .major = standard[i].major, .minor = standard[i].minor};
    make_device(child, dev, standard[i].name, &device, standard[i].name);
  }
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (symlinkat(links[i][0], dev, links[i][1]) < 0) child_fail(child, PI_STEP_DEVICE, links[i][1]);
  for (uint32_t i = 0; i < plan->fixed->devices.count; i++) {
    const char *path = plan_string(child->plan, plan->devices[i].path);
    char parent[256];
    strcpy(parent, path);  // at most 255 bytes: plan.c
    char *slash = strrchr(parent, '/');
    int directory = dev;
    if (slash != NULL) {
      *slash = 0;
      directory = path_make(dev, parent, PI_DIRECTORY);
      if (directory < 0) child_fail(child, PI_STEP_DEVICE, path);
    }
    make_device(child, directory, slash != NULL ? path + (slash - parent) + 1 : path, &plan->devices[i], path);
    if (directory != dev) close(directory);
  }
}

void root_standard_mounts(struct child *child, const struct container_plan *plan, struct tree *tree) {
  umask(0);
  int root = tree->root;
  // Made here, in the container's PID namespace, and looked at before it is believed (CVE-2019-16884).
  int processes = attach_at(child, mount_new("proc", NO_OPTIONS, PLAIN), root, "proc", "/proc");
  struct statfs filesystem;
  if (fstatfs(processes, &filesystem) < 0) child_fail(child, PI_STEP_MOUNT, "/proc");
  errno = EINVAL;
  if (filesystem.f_type != PROC_MAGIC) child_fail(child, PI_STEP_MOUNT, "/proc");
  close(processes);

  static const char *const dev_options[] = {"mode", "0755", "size", "64m", NULL};
  static const char *const pts_options[] = {"newinstance", NULL, "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL};
  tree->dev = attach_at(child, mount_new("tmpfs", dev_options, MOUNT_ATTR_NOSUID), root, "dev", "/dev");
  devices(child, plan, tree->dev);
  tree->pts = attach_at(child, mount_new("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), tree->dev,
                        "pts", "/dev/pts");
  close(attach_at(child, mount_new("mqueue", NO_OPTIONS, PLAIN), tree->dev, "mqueue", "/dev/mqueue"));

  int memory = plan_descriptor(child->plan, plan->fixed->shared_memory);
  if (memory < 0) {
    char size[24];
    format_number(size, plan->fixed->shared_memory_size);
    const char *const options[] = {"mode", "1777", "size", size, NULL};
    memory = mount_new("tmpfs", options, PLAIN);
  }
  close(attach_at(child, memory, tree->dev, "shm", "/dev/shm"));

  unsigned attributes = PLAIN | (plan->fixed->flags & PI_WRITABLE_SYSTEM ? 0 : MOUNT_ATTR_RDONLY);
  tree->sys = attach_at(child, mount_new("sysfs", NO_OPTIONS, attributes), root, "sys", "/sys");
}

/// What may be mounted inside /proc: the files that lxcfs makes, and a whole procfs on its root (as runc allows).
static bool allowed_in_proc(const char *target, int mount) {
  static const char *const names[] = {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",   "/proc/stat",
                                      "/proc/swaps",   "/proc/uptime",    "/proc/loadavg",   "/proc/slabinfo",
                                      "/proc/net/dev", "/proc/sys/kernel/ns_last_pid"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(target, names[i]) == 0) return true;
  struct statfs filesystem;
  return strcmp(target, "/proc") == 0 && fstatfs(mount, &filesystem) == 0 && filesystem.f_type == PROC_MAGIC;
}

void root_mounts(struct child *child, const struct container_plan *plan, struct tree *tree) {
  struct stat root, place;
  if (fstat(tree->root, &root) < 0) child_fail(child, PI_STEP_ROOT, "fstat");
  for (uint32_t i = 0; i < plan->fixed->mounts.count; i++) {
    const char *path = plan_string(child->plan, plan->mounts[i].target);
    int mount = plan_descriptor(child->plan, plan->mounts[i].mount);
    int target = path_make(tree->root, path, plan->mounts[i].kind);
    struct statfs filesystem;
    if (target < 0 || fstat(target, &place) < 0 || fstatfs(target, &filesystem) < 0)
      child_fail(child, PI_STEP_MOUNT, path);
    errno = EPERM;
    if (filesystem.f_type == PROC_MAGIC && !allowed_in_proc(path, mount)) child_fail(child, PI_STEP_MOUNT, path);
    errno = EBUSY;
    if (place.st_dev == root.st_dev && place.st_ino == root.st_ino) child_fail(child, PI_STEP_MOUNT, path);
    if (sys_attach(mount, target) < 0) child_fail(child, PI_STEP_MOUNT, path);
    close(target);
  }
}

/// The container's own /dev/null, verified: whatever is bound over masked files is this and nothing else.
static int null_device(struct child *child, int dev) {
  int null = sys_openat2(dev, "null", O_PATH | O_NOFOLLOW, 0, STRICT);
  struct stat status;
  if (null < 0 || fstat(null, &status) < 0) child_fail(child, PI_STEP_MASK, "/dev/null");
  errno = ENODEV;
  if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3)) child_fail(child, PI_STEP_MASK, "/dev/null");
  return null;
}

static void mask(struct child *child, const struct container_plan *plan, struct tree *tree) {
  if (plan->fixed->masked.count == 0) return;
  static const char *const options[] = {"mode", "0755", "size", "4k", "nr_inodes", "2", NULL};
  int null = null_device(child, tree->dev), empty = -1;
  for (uint32_t i = 0; i < plan->fixed->masked.count; i++) {
    const char *path = plan_string(child->plan, plan->masked[i]);
    int target = path_open(tree->root, path);
    if (target < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
    struct stat status;
    if (target < 0 || fstat(target, &status) < 0) child_fail(child, PI_STEP_MASK, path);
    int cover;
    if (!S_ISDIR(status.st_mode)) {
      cover = sys_open_tree(null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
    } else if (empty < 0) {
      cover = mount_new("tmpfs", options, PLAIN | MOUNT_ATTR_RDONLY);
    } else {
      cover = sys_open_tree(empty, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
    }
    if (cover < 0 || sys_attach(cover, target) < 0) child_fail(child, PI_STEP_MASK, path);
    close(target);
    // The first empty directory is attached now and can be copied for the others.
    if (S_ISDIR(status.st_mode) && empty < 0) empty = cover;
    else close(cover);
  }
  close(null);
  close_fd(&empty);
}

static void protect(struct child *child, const struct container_plan *plan, struct tree *tree) {
  for (uint32_t i = 0; i < plan->fixed->read_only.count; i++) {
    const char *path = plan_string(child->plan, plan->read_only[i]);
    int target = path_open(tree->root, path);
    if (target < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
    int copy = target < 0 ? -1 : sys_open_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE);
    if (copy < 0 || sys_mount_setattr(copy, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0) < 0 || sys_attach(copy, target) < 0)
      child_fail(child, PI_STEP_READ_ONLY, path);
    close(copy);
    close(target);
  }
}

void root_seal(struct child *child, const struct container_plan *plan, struct tree *tree) {
  protect(child, plan, tree);
  mask(child, plan, tree);
  int directory = path_make(tree->root, child->process->directory, PI_DIRECTORY);
  if (directory < 0) child_fail(child, PI_STEP_DIRECTORY, child->process->directory);
  close(directory);
  if ((plan->fixed->flags & PI_READ_ONLY_ROOT) && sys_mount_setattr(tree->root, 0, MOUNT_ATTR_RDONLY, 0, 0) < 0)
    child_fail(child, PI_STEP_READ_ONLY, "/");
  // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is taken off.
  if (fchdir(tree->root) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
    child_fail(child, PI_STEP_PIVOT, "pivot_root");
}
