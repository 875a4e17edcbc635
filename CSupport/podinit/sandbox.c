// The pod's own namespaces and settings, applied once to podinit itself.
#include "podinit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system.h"

int join_cgroups(const struct plan *plan, const uint32_t *cgroups, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (write(plan_descriptor(plan, cgroups[i]), "0", 1) < 0) return -1;
  return 0;
}

int write_oom_score(int processes, int32_t value, uint32_t *notes) {
  char text[24] = "-";
  size_t sign = value < 0 ? 1 : 0;
  size_t length = sign + format_number(text + sign, (uint64_t)(value < 0 ? -value : value));
  int fd = openat(processes, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, length);
  int error = errno;
  close(fd);
  if (written >= 0) return 0;
  // Lowering needs CAP_SYS_RESOURCE (proc(5)), which some hosts withhold even from root.
  if (error == EACCES) return *notes |= PI_NOTE_OOM_SCORE, 0;
  return errno = error, -1;
}

/// A root of podinit's own: an empty read-only tmpfs. It keeps none of the host's mounts busy, and what a container's
/// mount namespace is copied from is as small as can be.
static bool own_root(struct failure *failure) {
  if (unshare(CLONE_NEWNS) < 0) return fail(failure, PI_STEP_NAMESPACE, errno, "mount");
  // A slave first, so that nothing done here reaches the host.
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) return fail(failure, PI_STEP_NAMESPACE, errno, "rslave /");
  int filesystem = sys_fsopen("tmpfs");
  int root = -1;
  bool good = filesystem >= 0 && sys_fsconfig(filesystem, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
              sys_fsconfig(filesystem, FSCONFIG_SET_STRING, "size", "64k", 0) == 0 &&
              sys_fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0 &&
              (root = sys_fsmount(filesystem, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)) >= 0;
  // "/root" is where containers' root file systems are attached, each in its own mount namespace.
  good = good && mkdirat(root, "root", 0700) == 0 && sys_mount_setattr(root, 0, MOUNT_ATTR_RDONLY, 0, 0) == 0;
  int old = good ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  good = good && old >= 0 && sys_attach(root, old) == 0 && fchdir(root) == 0 && sys_pivot_root(".", ".") == 0 &&
         umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
  if (!good) fail(failure, PI_STEP_ROOT, errno, "podinit's own");
  close_fd(&filesystem);
  close_fd(&root);
  close_fd(&old);
  return good;
}

enum { NOBODY = 65535 };

/// After this only waiting and ending are left, also for somebody who takes the process over with ptrace(2).
static bool forbid_calls(void) {
#if defined(__x86_64__)
  const uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  const uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "which AUDIT_ARCH_ is this?"
#endif
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Process 1 of the PID namespace that the containers of a pod share. They see it, and one with CAP_SYS_PTRACE may do
/// with it what it likes; so it is not podinit, which has every right, but a process that has none: no capability, no
/// descriptor, no system call. It reaps (the kernel does, for who ignores SIGCHLD) and ends with podinit.
static _Noreturn void first_process(int ready) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  // The death signal comes last but the filter: a change of user takes it away.
  bool good = dup2(ready, 0) == 0 && sys_close_range(1, ~0U, 0) == 0 && sigaction(SIGCHLD, &ignore, NULL) == 0 &&
              setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
              setresuid(NOBODY, NOBODY, NOBODY) == 0 && syscall(SYS_capset, &header, none) == 0 &&
              prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
              forbid_calls();
  int error = good ? 0 : errno;
  // Also fails if podinit died before the death signal was set.
  if (write(0, &error, sizeof error) != sizeof error || !good) _exit(71);
  close(0);
  for (;;) syscall(SYS_ppoll, NULL, 0, NULL, NULL, 8);
}

static bool make_process_namespace(struct failure *failure) {
  int ready[2];
  podinit.outside = openat(podinit.processes, "self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (podinit.outside < 0 || pipe2(ready, O_CLOEXEC) < 0) return fail(failure, PI_STEP_NAMESPACE, errno, "pid");
  struct clone_args arguments = {.flags = CLONE_NEWPID | CLONE_PIDFD,
                                 .pidfd = (uint64_t)(uintptr_t)&podinit.first,
                                 .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&arguments);
  if (pid == 0) first_process(ready[1]);
  int error = errno;
  close(ready[1]);
  if (pid < 0) return close(ready[0]), fail(failure, PI_STEP_CLONE, error, "process 1");
  podinit.first_pid = pid;
  ssize_t size = read(ready[0], &error, sizeof error);
  close(ready[0]);
  if (size != sizeof error) error = ECHILD;
  return error == 0 || fail(failure, PI_STEP_NAMESPACE, error, "process 1");
}

int sandbox_enter_processes(bool shared) {
  if (podinit.first < 0) return 0;
  return setns(shared ? podinit.first : podinit.outside, CLONE_NEWPID);
}

void sandbox_end_processes(void) {
  if (podinit.first < 0) return;
  sys_pidfd_send_signal(podinit.first, SIGKILL);
  // It ends when all others of its namespace have been reaped, execs by podinit.
  while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR) {}
}

static bool write_sysctl(const char *path, const char *value, struct failure *failure) {
  int root = openat(podinit.processes, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
  // What a name under /proc/sys stands for depends on the namespaces of who opens it.
  int fd = root < 0 ? -1 : sys_openat2(root, path, O_WRONLY, 0, STRICT);
  bool good = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
  if (!good) fail(failure, PI_STEP_SYSCTL, errno, path);
  close_fd(&fd);
  close_fd(&root);
  return good;
}

bool sandbox_apply(const struct plan *plan, const struct sandbox_plan *sandbox, struct failure *failure) {
  uint32_t flags = sandbox->fixed->flags;
  if (join_cgroups(plan, sandbox->cgroups, sandbox->fixed->cgroups.count) < 0)
    return fail(failure, PI_STEP_CGROUP, errno, "cgroup.procs");
  int exits = fcntl(plan_descriptor(plan, sandbox->fixed->exits), F_DUPFD_CLOEXEC, 5);
  if (exits < 0) return fail(failure, PI_STEP_PLAN, errno, "exits directory");
  podinit.exits = exits;
  int kinds = (flags & PI_NEW_NETWORK ? CLONE_NEWNET : 0) | (flags & PI_NEW_IPC ? CLONE_NEWIPC : 0) |
              (flags & PI_NEW_UTS ? CLONE_NEWUTS : 0);
  if (unshare(kinds) < 0) return fail(failure, PI_STEP_NAMESPACE, errno, "network, ipc, uts");
  const struct pi_sandbox_plan *fixed = sandbox->fixed;
  if (fixed->hostname.length > 0 && sethostname(sandbox->hostname, fixed->hostname.length) < 0)
    return fail(failure, PI_STEP_HOSTNAME, errno, sandbox->hostname);
  if (fixed->domainname.length > 0 && setdomainname(sandbox->domainname, fixed->domainname.length) < 0)
    return fail(failure, PI_STEP_HOSTNAME, errno, sandbox->domainname);
  for (uint32_t i = 0; i < fixed->sysctls.count; i++) {
    const struct pi_sysctl *sysctl = &sandbox->sysctls[i];
    if (!write_sysctl(plan_string(plan, sysctl->path), plan_string(plan, sysctl->value), failure)) return false;
  }
  if ((flags & PI_SET_OOM_SCORE) && write_oom_score(podinit.processes, fixed->oom_score_adj, &podinit.notes) < 0)
    return fail(failure, PI_STEP_OOM_SCORE, errno, "podinit");
  if (!own_root(failure)) return false;
  return !(flags & PI_SHARED_PID) || make_process_namespace(failure);
}

bool sandbox_network(int fds[2], struct failure *failure) {
  // A namespace file is opened through the links of procfs, in podinit's own directory of it.
  fds[0] = openat(podinit.processes, "self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fds[0] < 0) return fail(failure, PI_STEP_NETWORK, errno, "network namespace");
  fds[1] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fds[1] < 0) {
    fail(failure, PI_STEP_NETWORK, errno, "route socket");
    close(fds[0]);
    return false;
  }
  return true;
}
