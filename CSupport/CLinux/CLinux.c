#define _GNU_SOURCE
#include "CLinux.h"

#include <stdio.h>
#include <string.h>

long cl_syscall(long number, long a, long b, long c, long d, long e, long f) {
  return syscall(number, a, b, c, d, e, f);
}

int cl_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
  // EAGAIN: a rename or mount raced with a scoped look-up (openat2(2)); try again a bounded number of times.
  for (int attempt = 0; attempt < 128; attempt++) {
    int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
  }
  return -1;
}
int cl_open_tree(int dirfd, const char *path, unsigned int flags) {
  return (int)syscall(SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC);
}
int cl_fsopen(const char *fsname, unsigned int flags) { return (int)syscall(SYS_fsopen, fsname, flags | FSOPEN_CLOEXEC); }
int cl_fsconfig(int fd, unsigned int cmd, const char *key, const void *value, int aux) {
  return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
int cl_fsmount(int fd, unsigned int flags, unsigned int attr_flags) {
  return (int)syscall(SYS_fsmount, fd, flags | FSMOUNT_CLOEXEC, attr_flags);
}
int cl_move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags) {
  return (int)syscall(SYS_move_mount, from_dirfd, from_path, to_dirfd, to_path, flags);
}
int cl_mount_setattr(int dirfd, const char *path, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation) {
  struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
  return (int)syscall(SYS_mount_setattr, dirfd, path, flags, &attr, sizeof attr);
}
int cl_pidfd_open(pid_t pid, unsigned int flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
int cl_pidfd_send_signal(int pidfd, int sig) { return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0); }
int cl_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }
int cl_seal(int memfd) { return fcntl(memfd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE); }
int cl_setns(int fd, int type) { return setns(fd, type); }
int cl_unshare(int flags) { return unshare(flags); }
int cl_syncfs(int fd) { return syncfs(fd); }

int cl_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned int flags) {
  return (int)syscall(SYS_renameat2, olddir, oldpath, newdir, newpath, flags);
}

ssize_t cl_send_fds(int sock, const void *data, size_t size, const int *fds, size_t nfds, int flags) {
  if (nfds > CL_MAX_FDS) return errno = E2BIG, -1;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * CL_MAX_FDS)];
  } control;
  struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (nfds > 0) {
    memset(&control, 0, CMSG_SPACE(sizeof(int) * nfds));
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
    memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
  }
  ssize_t n;
  do n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n;
}

ssize_t cl_recv_fds(int sock, void *data, size_t size, int *fds, size_t *nfds, int flags) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * CL_MAX_FDS)];
  } control;
  struct iovec iov = {.iov_base = data, .iov_len = size};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *nfds = 0;
  ssize_t n;
  do n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return n;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && *nfds < CL_MAX_FDS; i++)
      memcpy(&fds[(*nfds)++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
  }
  if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (size_t i = 0; i < *nfds; i++) close(fds[i]);
    *nfds = 0;
    return errno = EMSGSIZE, -1;
  }
  return n;
}

static int unix_address(struct sockaddr_un *address, int dirfd, const char *name) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
  if (n < 0 || (size_t)n >= sizeof address->sun_path) return errno = ENAMETOOLONG, -1;
  return 0;
}
int cl_bind_unix_at(int sock, int dirfd, const char *name) {
  struct sockaddr_un address;
  if (unix_address(&address, dirfd, name) < 0) return -1;
  return bind(sock, (struct sockaddr *)&address, sizeof address);
}
int cl_connect_unix_at(int sock, int dirfd, const char *name) {
  struct sockaddr_un address;
  if (unix_address(&address, dirfd, name) < 0) return -1;
  return connect(sock, (struct sockaddr *)&address, sizeof address);
}
int cl_accept(int sock, int flags) { return accept4(sock, NULL, NULL, flags); }
int cl_set_thread_name(pthread_t thread, const char *name) { return pthread_setname_np(thread, name); }
int cl_peer_credentials(int sock, pid_t *pid, uid_t *uid, gid_t *gid) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -1;
  *pid = credentials.pid;
  *uid = credentials.uid;
  *gid = credentials.gid;
  return 0;
}

int cl_socket_in_netns(int nsfd, int domain, int type, int protocol) {
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return -1;
  if (setns(nsfd, CLONE_NEWNET) < 0) {
    int saved = errno;
    close(home);
    return errno = saved, -1;
  }
  int sock = socket(domain, type | SOCK_CLOEXEC, protocol);
  int saved = errno;
  // A thread that cannot go home would act in the wrong namespace from then on: there is nothing safe left to do.
  if (setns(home, CLONE_NEWNET) < 0) abort();
  close(home);
  return errno = saved, sock;
}

struct spawn_call {
  const char *path;
  char *const *argv;
  char *const *envp;
  const int *fds;
  size_t nfds;
  bool setsid;
  int error;
};

// Runs in the child, on its own stack, in the parent's memory: only async-signal-safe calls, no allocation.
static int spawn_child(void *argument) {
  struct spawn_call *call = argument;
  // The kernel's own structure, all zero: SIG_DFL. sigaction(3) refuses 32 and 33, which glibc keeps for itself, and
  // they may have come to us ignored.
  const unsigned long reset[8] = {0};
  for (int signal = 1; signal < 65; signal++) syscall(SYS_rt_sigaction, signal, reset, NULL, 8);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (call->setsid && setsid() < 0) goto failed;
  // First lift every descriptor above the targets, so that no dup2 overwrites one that is still needed.
  int lifted[64];
  if (call->nfds > 64) {
    errno = E2BIG;
    goto failed;
  }
  for (size_t i = 0; i < call->nfds; i++) {
    lifted[i] = -1;
    if (call->fds[i] >= 0 && (lifted[i] = fcntl(call->fds[i], F_DUPFD_CLOEXEC, 64)) < 0) goto failed;
  }
  for (size_t i = 0; i < call->nfds || i < 3; i++) {
    if (i < call->nfds && lifted[i] >= 0) {
      if (dup2(lifted[i], (int)i) < 0) goto failed;
    } else if (i < 3) {
      int null = open("/dev/null", O_RDWR);
      if (null < 0) goto failed;
      if (null != (int)i && dup2(null, (int)i) < 0) goto failed;
      if (null > 2) close(null);
    } else {
      close((int)i);
    }
  }
  int first = call->nfds > 3 ? (int)call->nfds : 3;
  if (syscall(SYS_close_range, first, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) < 0) goto failed;
  execve(call->path, call->argv, call->envp);
failed:
  call->error = errno;
  _exit(127);
}

pid_t cl_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t nfds, bool setsid) {
  enum { STACK = 64 * 1024 };
  char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -1;
  struct spawn_call call = {path, argv, envp, fds, nfds, setsid, 0};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = clone(spawn_child, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &call);
  int saved = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  munmap(stack, STACK);
  if (pid < 0) return errno = saved, -1;
  if (call.error != 0) {
    waitpid(pid, NULL, 0);
    return errno = call.error, -1;
  }
  return pid;
}

static void *write_and_forget(void *argument) {
  char *path = argument;
  const char *text = path + strlen(path) + 1;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    // Nobody waits for the outcome: see the header.
    ssize_t ignored = write(fd, text, strlen(text));
    (void)ignored;
    close(fd);
  }
  free(path);
  return NULL;
}

int cl_write_detached(const char *path, const char *text) {
  size_t length = strlen(path) + 1;
  char *copy = malloc(length + strlen(text) + 1);
  if (copy == NULL) return -1;
  strcpy(copy, path);
  strcpy(copy + length, text);
  pthread_t thread;
  int error = pthread_create(&thread, NULL, write_and_forget, copy);
  if (error != 0) return free(copy), errno = error, -1;
  pthread_detach(thread);
  return 0;
}
