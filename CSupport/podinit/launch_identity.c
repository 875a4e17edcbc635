// From root of the container to its user: limits, directory, user, capabilities, no_new_privs, seccomp, command.
// Nothing fails open: what cannot be applied ends the start.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

static void limits(struct child *child) {
  const struct pi_process *fixed = child->process->fixed;
  for (uint32_t i = 0; i < fixed->rlimits.count; i++) {
    const struct pi_rlimit *limit = &child->process->rlimits[i];
    struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
    char number[24];
    format_number(number, limit->resource);
    if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0) child_fail(child, PI_STEP_RLIMIT, number);
  }
}

/// Goes to the working directory; false if only the user, not root, may enter it.
static bool directory(struct child *child, bool last_try) {
  const char *path = child->process->directory;
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = root < 0 ? -1 : path_open(root, path);
  bool good = fd >= 0 && fchdir(fd) == 0;
  if (!good && errno == EACCES && !last_try) return close_fd(&root), close_fd(&fd), false;
  if (!good) child_fail(child, PI_STEP_DIRECTORY, path);
  close(root);
  close(fd);
  // The system call says "(unreachable)" where the library would guess: outside of the root (CVE-2024-21626).
  char current[PI_PATH_MAX + 1];
  if (syscall(SYS_getcwd, current, sizeof current) < 0) child_fail(child, PI_STEP_DIRECTORY, path);
  errno = EXDEV;
  if (current[0] != '/') child_fail(child, PI_STEP_DIRECTORY, path);
  return true;
}

static void seccomp(struct child *child) {
  struct pi_list program = child->process->fixed->seccomp;
  if (program.count == 0) return;
  struct sock_fprog filter = {.len = (unsigned short)(program.count / sizeof(struct sock_filter)),
                              .filter = (struct sock_filter *)(uintptr_t)child->process->seccomp};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0) child_fail(child, PI_STEP_SECCOMP, "filter");
}

static void bounding_set(struct child *child) {
  uint64_t wanted = child->process->fixed->bounding;
  int last = 0;
  for (; last < 64; last++) {
    int present = prctl(PR_CAPBSET_READ, last, 0, 0, 0);
    if (present < 0) break;
    char number[24];
    format_number(number, (uint64_t)last);
    bool want = wanted >> last & 1;
    errno = EPERM;
    if (want && present == 0) child_fail(child, PI_STEP_CAPABILITY, number);
    if (!want && present == 1 && prctl(PR_CAPBSET_DROP, last, 0, 0, 0) < 0)
      child_fail(child, PI_STEP_CAPABILITY, number);
  }
  errno = EINVAL;
  if (last < 64 && wanted >> last != 0) child_fail(child, PI_STEP_CAPABILITY, "unknown to this kernel");
}

static void user(struct child *child) {
  const struct pi_process *fixed = child->process->fixed;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) child_fail(child, PI_STEP_USER, "PR_SET_KEEPCAPS");
  if (setgroups(fixed->groups.count, child->process->groups) < 0) child_fail(child, PI_STEP_USER, "setgroups");
  if (setresgid(fixed->gid, fixed->gid, fixed->gid) < 0) child_fail(child, PI_STEP_USER, "setresgid");
  if (setresuid(fixed->uid, fixed->uid, fixed->uid) < 0) child_fail(child, PI_STEP_USER, "setresuid");
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0) child_fail(child, PI_STEP_USER, "PR_SET_KEEPCAPS");
}

static void capabilities(struct child *child) {
  const struct pi_process *fixed = child->process->fixed;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)fixed->effective, (uint32_t)fixed->permitted, (uint32_t)fixed->inheritable},
      {(uint32_t)(fixed->effective >> 32), (uint32_t)(fixed->permitted >> 32), (uint32_t)(fixed->inheritable >> 32)}};
  if (syscall(SYS_capset, &header, data) < 0) child_fail(child, PI_STEP_CAPABILITY, "capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) child_fail(child, PI_STEP_CAPABILITY, "ambient");
  for (int i = 0; i < 64; i++)
    if ((fixed->ambient >> i & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
      child_fail(child, PI_STEP_CAPABILITY, "ambient");
}

/// Looks for the command as execvp(3) would with the container's own $PATH, but only in absolute directories. Returns
/// the path to execute.
static const char *find(struct child *child, char path[PI_PATH_MAX + 1]) {
  const char *command = child->process->arguments[0];
  if (strchr(command, '/') != NULL) return command;
  const char *search = "";
  for (char **variable = child->process->environment; *variable != NULL; variable++)
    if (strncmp(*variable, "PATH=", 5) == 0) search = *variable + 5;
  int error = ENOENT;
  size_t length = strlen(command);
  for (const char *entry = search; length > 0; entry++) {
    size_t size = strcspn(entry, ":");
    if (size > 0 && entry[0] == '/' && size + 1 + length <= PI_PATH_MAX) {
      memcpy(path, entry, size);
      path[size] = '/';
      memcpy(path + size + 1, command, length + 1);
      struct stat status;
      if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        if (syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return path;
        error = EACCES;
      }
    }
    entry += size;
    if (*entry == 0) break;
  }
  errno = error;
  child_fail(child, PI_STEP_FIND, command);
}

void child_execute(struct child *child) {
  const struct pi_process *fixed = child->process->fixed;
  bool restricted = fixed->flags & PI_NO_NEW_PRIVILEGES;
  limits(child);
  bool there = directory(child, false);
  // The host's session keyring must not be searched from inside (keyrings(7)); a kernel without keys has none.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
    child_fail(child, PI_STEP_SESSION, "keyring");
  umask(fixed->umask);
  // Without no_new_privs a filter needs CAP_SYS_ADMIN, which is about to go.
  if (!restricted) seccomp(child);
  bounding_set(child);
  user(child);
  capabilities(child);
  if (!there) directory(child, true);
  char path[PI_PATH_MAX + 1];
  const char *command = find(child, path);
  if (sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) child_fail(child, PI_STEP_STANDARD, "close_range");
  if (restricted && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) child_fail(child, PI_STEP_NO_NEW_PRIVILEGES, "prctl");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  struct report report = {.kind = REPORT_EXECUTING, .notes = child->notes};
  if (report_send(child->report, &report, -1) < 0) child_fail(child, PI_STEP_DIED, "report");
  if (restricted) seccomp(child);
  execve(command, child->process->arguments, child->process->environment);
  child_fail(child, PI_STEP_EXECUTE, child->process->arguments[0]);
}
