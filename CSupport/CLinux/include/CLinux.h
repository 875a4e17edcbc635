// System calls and constants that the Glibc module of Swift lacks, as thin wrappers that return -1 and set errno.
#pragma once
// _GNU_SOURCE stays out of this header: it changes the layout of types that Swift's Glibc module has seen without it.
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

/// syscall(2), which Swift cannot call because its arguments vary: any system call by its number.
long cl_syscall(long number, long a, long b, long c, long d, long e, long f);
/// openat2(2)
int cl_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
/// open_tree(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2), mount_setattr(2)
int cl_open_tree(int dirfd, const char *path, unsigned int flags);
int cl_fsopen(const char *fsname, unsigned int flags);
int cl_fsconfig(int fd, unsigned int cmd, const char *key, const void *value, int aux);
int cl_fsmount(int fd, unsigned int flags, unsigned int attr_flags);
int cl_move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags);
int cl_mount_setattr(int dirfd, const char *path, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation);
/// pidfd_open(2), pidfd_send_signal(2)
int cl_pidfd_open(pid_t pid, unsigned int flags);
int cl_pidfd_send_signal(int pidfd, int sig);
/// memfd_create(2) with MFD_CLOEXEC | MFD_ALLOW_SEALING; cl_seal adds all seals but F_SEAL_FUTURE_WRITE (fcntl(2))
int cl_memfd_create(const char *name);
int cl_seal(int memfd);
/// setns(2), unshare(2)
int cl_setns(int fd, int type);
int cl_unshare(int flags);
/// A descriptor that can only be looked at or resolved from (open(2)).
enum { CL_O_PATH = 010000000, CL_AT_EMPTY_PATH = 0x1000, CL_AT_RECURSIVE = 0x8000 };
/// syncfs(2)
int cl_syncfs(int fd);
/// renameat2(2)
int cl_renameat2(int olddir, const char *oldpath, int newdir, const char *newpath, unsigned int flags);

/// The most descriptors one message carries here (the kernel's own limit is SCM_MAX_FD, 253).
enum { CL_MAX_FDS = 200 };
/// sendmsg(2) of one buffer with `nfds` descriptors by SCM_RIGHTS; MSG_NOSIGNAL. Bytes sent, or -1.
ssize_t cl_send_fds(int sock, const void *data, size_t size, const int *fds, size_t nfds, int flags);
/// recvmsg(2) with MSG_CMSG_CLOEXEC. Descriptors go to `fds` (room for CL_MAX_FDS), their count to `nfds`.
/// A truncated message or control part closes what came and fails with EMSGSIZE. Bytes received, 0 at the end, or -1.
ssize_t cl_recv_fds(int sock, void *data, size_t size, int *fds, size_t *nfds, int flags);

/// bind(2) and connect(2) for a path that may be longer than sun_path allows: `dirfd` is the open directory of the
/// socket and `name` its last component; the address used is /proc/self/fd/<dirfd>/<name>.
int cl_bind_unix_at(int sock, int dirfd, const char *name);
int cl_connect_unix_at(int sock, int dirfd, const char *name);
/// accept4(2) without the address
int cl_accept(int sock, int flags);
/// pthread_setname_np(3)
int cl_set_thread_name(pthread_t thread, const char *name);
/// SO_PEERCRED: 0 and the three numbers, or -1.
int cl_peer_credentials(int sock, pid_t *pid, uid_t *uid, gid_t *gid);

/// posix_spawn(3) style start of `path` in a child that shares no descriptor but those in `fds`: fds[i] becomes i in
/// the child (0, 1, 2, 3 …; -1 leaves /dev/null there for 0 to 2). Signals are reset to their defaults and unblocked.
/// `setsid` makes the child a session leader. Uses CLONE_VFORK|CLONE_VM: the cost does not depend on the parent's size.
/// The pid, or -1 with the errno of the step that failed, exec included.
pid_t cl_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t nfds, bool setsid);

/// Writes `text` to the file at `path` on a thread of its own that nobody waits for. 0, or -1 where there is no thread.
int cl_write_detached(const char *path, const char *text);

/// setns(2) into the network namespace `nsfd` on the calling thread, socket(domain, type, protocol), and back.
int cl_socket_in_netns(int nsfd, int domain, int type, int protocol);

/// A detached overlay mount (open_tree(2)) of `layers`, top to bottom, made with mount(2) on a thread of its own.
int cl_overlay_by_mount(const char *const *layers, size_t count, const char *upper, const char *work);

/// A status word of wait(2) taken apart.
static inline bool cl_wifexited(int status) { return WIFEXITED(status); }
static inline int cl_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int cl_wtermsig(int status) { return WTERMSIG(status); }
static inline unsigned int cl_major(uint64_t device) { return gnu_dev_major(device); }
static inline unsigned int cl_minor(uint64_t device) { return gnu_dev_minor(device); }
static inline uint64_t cl_makedev(unsigned int major, unsigned int minor) { return gnu_dev_makedev(major, minor); }
static inline int cl_ioctl_winsize_get(int fd, struct winsize *size) { return ioctl(fd, TIOCGWINSZ, size); }
static inline int cl_ioctl_winsize_set(int fd, const struct winsize *size) { return ioctl(fd, TIOCSWINSZ, size); }
