// The start and the loop: signals, the listening socket, reaping. See podinit.h.
#include "podinit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "system.h"

struct podinit podinit = {.epoll = -1, .processes = -1, .exits = -1, .listener = 3, .first = -1, .outside = -1};

int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

size_t format_number(char *buffer, uint64_t number) {
  char digits[20];
  size_t count = 0;
  do digits[count++] = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  for (size_t i = 0; i < count; i++) buffer[i] = digits[count - 1 - i];
  buffer[count] = 0;
  return count;
}

int read_pid(int pidfd, uint32_t *pid) {
  char path[48] = "self/fdinfo/", text[512];
  format_number(path + strlen(path), (uint64_t)pidfd);
  int fd = openat(podinit.processes, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size < 0) return -1;
  text[size] = 0;
  const char *line = strstr(text, "Pid:\t");
  if (line == NULL) return errno = ESRCH, -1;
  long number = strtol(line + 5, NULL, 10);
  if (number <= 0) return errno = ESRCH, -1;
  *pid = (uint32_t)number;
  return 0;
}

int watch_add(struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  return epoll_ctl(podinit.epoll, EPOLL_CTL_ADD, watch->fd, &event);
}
void watch_remove(struct watch *watch) { epoll_ctl(podinit.epoll, EPOLL_CTL_DEL, watch->fd, NULL); }

static void reap(void) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return;
    if (pid == podinit.first_pid) {
      // Without its first process the shared PID namespace is dead: the agent makes another sandbox.
      podinit.first_pid = 0;
      podinit.shutting_down = true;
      containers_kill();
      continue;
    }
    // Others are orphans of containers and the go-betweens of execs.
    if (!container_reaped(pid, status)) exec_reaped(pid, status);
  }
}

static struct watch signals;

static void signals_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct signalfd_siginfo info[8];
  // Everything but SIGCHLD is only taken away: podinit ends by PI_SHUTDOWN or SIGKILL.
  while (read(watch->fd, info, sizeof info) > 0) {}
  reap();
}

static void die(const char *what) {
  // Nobody listens yet; the agent sees the closed socket. The text helps who runs podinit by hand.
  (void)!write(2, what, strlen(what));
  (void)!write(2, "\n", 1);
  _exit(70);
}

int main(void) {
  // Dispositions survive execve(2); containers must not inherit ignored signals, so nothing is ever ignored here:
  // all signals are blocked and read.
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction reset = {.sa_handler = SIG_DFL};
    sigaction(signal, &reset, NULL);
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) die("podinit: prctl PR_SET_DUMPABLE");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) die("podinit: prctl PR_SET_CHILD_SUBREAPER");
  // A session of its own: what is sent to the process group of whoever started the agent is not meant for the pods.
  setsid();
  prctl(PR_SET_NAME, "podinit", 0, 0, 0);
  if (sys_close_range(4, ~0U, 0) < 0) die("podinit: close_range");

  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(podinit.listener, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
    die("podinit is started by swiftlet with its socket as descriptor 3");
  fcntl(podinit.listener, F_SETFD, FD_CLOEXEC);
  fcntl(podinit.listener, F_SETFL, O_NONBLOCK);
  // listen(2) again: SO_PEERCRED of whoever connects names the process that listened last.
  if (listen(podinit.listener, PI_CLIENTS_MAX) < 0) die("podinit: listen");
  podinit.pid = (uint32_t)getpid();

  int filesystem = sys_fsopen("proc");
  if (filesystem < 0 || sys_fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
      (podinit.processes = sys_fsmount(filesystem, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)) < 0)
    die("podinit: fsopen proc");
  close(filesystem);

  static struct watch listener = {.ready = client_accept};
  listener.fd = podinit.listener;
  signals = (struct watch){.ready = signals_ready, .fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK)};
  podinit.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (signals.fd < 0 || podinit.epoll < 0 || watch_add(&listener, EPOLLIN) < 0 || watch_add(&signals, EPOLLIN) < 0)
    die("podinit: epoll");

  for (;;) {
    struct epoll_event event;
    int count = epoll_wait(podinit.epoll, &event, 1, -1);
    if (count < 0 && errno != EINTR) die("podinit: epoll_wait");
    if (count == 1) {
      struct watch *watch = event.data.ptr;
      watch->ready(watch, event.events);
    }
    if (podinit.shutting_down && !containers_any_alive()) {
      sandbox_end_processes();
      // The client learns that all is over from the closed socket.
      _exit(0);
    }
  }
}
