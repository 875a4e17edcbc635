// Terminals and standard descriptors. The terminal comes from the container's own devpts, which is verified, and its
// other side is opened through the master (TIOCGPTPEER), never by a path in the container (CVE-2025-52565).
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

int child_terminal(struct child *child, int pts) {
  struct statfs filesystem;
  struct stat directory, multiplexer;
  int master = sys_openat2(pts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0, STRICT);
  if (master < 0 || fstat(pts, &directory) < 0 || fstat(master, &multiplexer) < 0 || fstatfs(master, &filesystem) < 0)
    child_fail(child, PI_STEP_TERMINAL, "/dev/pts/ptmx");
  errno = ENOTTY;
  if (filesystem.f_type != DEVPTS_MAGIC || !S_ISCHR(multiplexer.st_mode) || multiplexer.st_rdev != makedev(5, 2) ||
      multiplexer.st_dev != directory.st_dev)
    child_fail(child, PI_STEP_TERMINAL, "/dev/pts/ptmx");
  int unlocked = 0;
  if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) child_fail(child, PI_STEP_TERMINAL, "TIOCSPTLCK");
  int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) child_fail(child, PI_STEP_TERMINAL, "TIOCGPTPEER");
  const struct pi_process *process = child->process->fixed;
  if (process->rows != 0 && process->columns != 0) {
    struct winsize size = {.ws_row = process->rows, .ws_col = process->columns};
    if (ioctl(terminal, TIOCSWINSZ, &size) < 0) child_fail(child, PI_STEP_TERMINAL, "TIOCSWINSZ");
  }
  if (ioctl(terminal, TIOCSCTTY, 0) < 0) child_fail(child, PI_STEP_TERMINAL, "TIOCSCTTY");
  struct report report = {.kind = REPORT_TERMINAL};
  if (report_send(child->report, &report, master) < 0) child_fail(child, PI_STEP_TERMINAL, "report");
  close(master);
  for (int i = 0; i < 3; i++) child->standard[i] = terminal;
  return terminal;
}

static int open_null(int directory) {
  int fd = sys_openat2(directory, "null", O_RDWR | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0, STRICT);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) < 0) return -1;
  // An image or a process in the container may have put something else there (CVE-2025-31133).
  if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3)) return errno = ENODEV, -1;
  return fd;
}

void child_standard(struct child *child, int directory) {
  int lifted[3];
  for (int i = 0; i < 3; i++) {
    int fd = child->standard[i];
    if (fd < 0 && (fd = open_null(directory)) < 0) child_fail(child, PI_STEP_STANDARD, "/dev/null");
    // Above 2 first, so that no dup2 overwrites one that is still needed.
    if ((lifted[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) child_fail(child, PI_STEP_STANDARD, "fcntl");
  }
  for (int i = 0; i < 3; i++) {
    if (dup2(lifted[i], i) < 0) child_fail(child, PI_STEP_STANDARD, "dup2");
    struct stat status;
    bool own = fstat(i, &status) == 0 && (S_ISFIFO(status.st_mode) || child->process->fixed->flags & PI_TERMINAL);
    // So that the user can open /dev/stdout, which is this pipe by another name.
    if (own && child->process->fixed->uid != 0 && fchown(i, child->process->fixed->uid, (gid_t)-1) < 0 &&
        errno != EPERM && errno != EROFS && errno != EINVAL)
      child_fail(child, PI_STEP_STANDARD, "fchown");
  }
}
