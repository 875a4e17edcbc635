// The containers: starting, running and stopped attempts. A start is answered when the child's report socket closes
// (execve succeeded) or reports a failure; until then the loop goes on serving the others.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

struct container {
  struct container *next;
  struct pi_container_status status;
  pid_t pid;            // in podinit's PID namespace; 0 when it was reaped
  int pidfd;
  struct log *log;
  bool failed;          // the start failed: the record goes when the child is reaped
  bool executing;       // the child announced its execve
  struct watch report;  // fd -1 when the start is over
  struct client *client;
  uint64_t request;
  uint32_t notes;
};

static struct container *containers;
static uint32_t container_count;

static void container_free(struct container *container) {
  struct container **link = &containers;
  while (*link != container) link = &(*link)->next;
  *link = container->next;
  container_count--;
  if (container->log != NULL) log_finish(container->log);
  if (container->report.fd >= 0) watch_remove(&container->report);
  close_fd(&container->report.fd);
  close_fd(&container->pidfd);
  free(container);
}

static void end_report(struct container *container) {
  watch_remove(&container->report);
  close_fd(&container->report.fd);
}

static void start_failed(struct container *container, const struct failure *failure) {
  container->failed = true;
  end_report(container);
  answer_failure(container->client, container->request, failure);
  container->client = NULL;
}

static void start_succeeded(struct container *container) {
  end_report(container);
  container->status.state = PI_RUNNING;
  container->status.started_at = now();
  struct pi_started started = {
      .pid = container->status.pid, .notes = container->notes, .started_at = container->status.started_at};
  answer(container->client, PI_START | PI_ANSWER, container->request, &started, sizeof started, NULL, 0);
  container->client = NULL;
}

static void report_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct container *container = CONTAINER_OF(watch, struct container, report);
  struct report report;
  int fd, result;
  while (watch->fd >= 0 && (result = report_receive(watch->fd, &report, &fd)) >= 0) {
    struct failure died;
    if (result == 0 && container->executing) return start_succeeded(container);
    if (result == 0) {
      fail(&died, PI_STEP_DIED, ECHILD, container->status.name);
      return start_failed(container, &died);
    }
    if (report.kind == REPORT_FAILURE) {
      if (fd >= 0) close(fd);
      return start_failed(container, &report.failure);
    }
    if (report.kind == REPORT_TERMINAL && fd >= 0) {
      log_read_from(container->log, fd, -1);
    } else if (fd >= 0) {
      close(fd);
    }
    if (report.kind == REPORT_EXECUTING) {
      container->executing = true;
      container->notes |= report.notes;
    }
  }
}

// A start that failed is over with its answer, though its child may not be reaped yet: it is in nobody's way.
static struct container *find_attempt(const char *name, uint32_t attempt) {
  for (struct container *c = containers; c != NULL; c = c->next)
    if (!c->failed && c->status.attempt == attempt && strcmp(c->status.name, name) == 0) return c;
  return NULL;
}

static struct container *find_alive(const char *name) {
  for (struct container *c = containers; c != NULL; c = c->next)
    if (!c->failed && c->pid != 0 && strcmp(c->status.name, name) == 0) return c;
  return NULL;
}

struct container *container_running(const char *name) {
  struct container *container = find_alive(name);
  return container != NULL && container->status.state == PI_RUNNING ? container : NULL;
}

int container_pidfd(const struct container *container) { return container->pidfd; }

/// The pipes or descriptors of 0, 1 and 2: the child's ends in `standard`, what is to be closed afterwards in `ends`.
static bool open_standard(struct container *container, const struct plan *plan, const struct pi_process *process,
                          int standard[3], int ends[2]) {
  int pipes[2][2] = {{-1, -1}, {-1, -1}};
  for (int i = 0; i < 3; i++) standard[i] = plan_descriptor(plan, process->standard[i]);
  for (int i = 0; i < 2 && !(process->flags & PI_TERMINAL); i++) {
    if (standard[i + 1] >= 0) continue;
    if (pipe2(pipes[i], O_CLOEXEC) < 0) return close_fd(&pipes[0][0]), false;
    standard[i + 1] = ends[i] = pipes[i][1];
  }
  return log_read_from(container->log, pipes[0][0], pipes[1][0]) == 0;
}

/// Clones the child; kernels that do not know a flag say EINVAL, and the flag is only a convenience then.
static pid_t clone_child(uint64_t flags, int *pidfd, int cgroup) {
  struct clone_args arguments = {.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
                                 .pidfd = (uint64_t)(uintptr_t)pidfd,
                                 .exit_signal = SIGCHLD};
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = (uint64_t)cgroup;
  }
  if (sandbox_enter_processes(!(flags & CLONE_NEWPID)) < 0) return -1;
  pid_t pid = sys_clone3(&arguments);
  if (pid < 0 && errno == EINVAL) {
    // podinit handles no signal, so that nothing is lost without CLONE_CLEAR_SIGHAND (Linux 5.5).
    arguments.flags &= ~(uint64_t)CLONE_CLEAR_SIGHAND;
    pid = sys_clone3(&arguments);
  }
  if (pid == 0) return 0;
  int error = errno;
  if (sandbox_enter_processes(false) < 0) _exit(72);  // the go-between of an exec would count in the wrong namespace
  return errno = error, pid;
}

static bool launch(struct container *container, const struct plan *plan, const struct container_plan *decoded,
                   struct failure *failure) {
  const struct pi_container_plan *fixed = decoded->fixed;
  const struct pi_process *process = &fixed->process;
  int directory = plan_descriptor(plan, fixed->log);
  container->log =
      directory < 0 ? log_discard() : log_open(directory, fixed->attempt, fixed->log_size, fixed->log_files);
  if (container->log == NULL) return fail(failure, PI_STEP_LOG, errno, fixed->name);
  int standard[3], ends[2] = {-1, -1}, pair[2] = {-1, -1};
  bool good = open_standard(container, plan, process, standard, ends) && report_pair(pair) == 0;
  if (!good) fail(failure, PI_STEP_STANDARD, errno, fixed->name);
  if (good) {
    uint64_t flags = CLONE_NEWNS | (fixed->flags & PI_NEW_PID ? CLONE_NEWPID : 0);
    pid_t pid = clone_child(flags, &container->pidfd, plan_descriptor(plan, process->cgroup));
    if (pid == 0) {
      struct child child = {.plan = plan, .process = &decoded->process, .report = pair[1]};
      memcpy(child.standard, standard, sizeof standard);
      child_container(&child, decoded);
    }
    // Of a cgroup that is gone or takes no processes; the namespaces fail with none of these.
    bool cgroup = errno == ENOENT || errno == ENODEV || errno == EBUSY || errno == EOPNOTSUPP;
    good = pid > 0 || fail(failure, cgroup ? PI_STEP_CGROUP : PI_STEP_CLONE, errno, fixed->name);
    if (good) container->pid = pid;
  }
  close_fd(&ends[0]);
  close_fd(&ends[1]);
  close_fd(&pair[1]);
  if (!good) return close_fd(&pair[0]), false;
  container->status.pid = (uint32_t)container->pid;
  container->report.fd = pair[0];
  if (watch_add(&container->report, EPOLLIN) == 0) return true;
  kill(container->pid, SIGKILL);
  container->failed = true;
  return fail(failure, PI_STEP_MEMORY, errno, "epoll");
}

void container_start(struct client *client, uint64_t request, struct plan *plan) {
  struct failure failure;
  struct container_plan decoded;
  if (!plan_container(plan, &decoded, &failure)) {
    plan_close(plan);
    return answer_failure(client, request, &failure);
  }
  const struct pi_container_plan *fixed = decoded.fixed;
  struct container *container = NULL;
  if (find_alive(fixed->name) != NULL) {
    fail(&failure, PI_STEP_CONTAINER, EBUSY, fixed->name);
  } else if (find_attempt(fixed->name, fixed->attempt) != NULL) {
    fail(&failure, PI_STEP_CONTAINER, EEXIST, fixed->name);
  } else if (container_count >= PI_CONTAINERS_MAX || (container = calloc(1, sizeof *container)) == NULL) {
    fail(&failure, PI_STEP_MEMORY, ENOSPC, "too many attempts that were not forgotten");
  }
  bool good = container != NULL;
  if (good) {
    memcpy(container->status.name, fixed->name, PI_NAME_SIZE);
    container->status.attempt = fixed->attempt;
    container->report = (struct watch){.ready = report_ready, .fd = -1};
    container->pidfd = -1;
    container->client = client;
    container->request = request;
    container->next = containers;
    containers = container;
    container_count++;
    good = launch(container, plan, &decoded, &failure);
    // With a child the record lives until that is reaped.
    if (!good && container->pid == 0) container_free(container);
  }
  process_free(&decoded.process);
  plan_close(plan);
  if (!good) answer_failure(client, request, &failure);
}

bool container_reaped(pid_t pid, int status) {
  struct container *container = containers;
  while (container != NULL && container->pid != pid) container = container->next;
  if (container == NULL) return false;
  // What the child said before it ended counts first.
  if (container->report.fd >= 0) report_ready(&container->report, EPOLLIN);
  container->pid = 0;
  container->status.pid = 0;
  if (container->failed) return container_free(container), true;
  container->status.state = PI_STOPPED;
  container->status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  container->status.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  container->status.finished_at = now();
  close_fd(&container->pidfd);
  container->status.dropped = log_finish(container->log);
  container->log = NULL;
  const struct pi_container_status *s = &container->status;
  exit_record(s->name, s->attempt, s->code, s->signal, s->started_at, s->finished_at);
  broadcast(PI_EXITED, s, sizeof *s);
  return true;
}

bool container_signal(const char *name, int signal, struct failure *failure) {
  struct container *container = find_alive(name);
  if (container == NULL) return fail(failure, PI_STEP_CONTAINER, ESRCH, name);
  if (sys_pidfd_send_signal(container->pidfd, signal) < 0) return fail(failure, PI_STEP_CONTAINER, errno, name);
  return true;
}

bool container_resize(const char *name, uint16_t rows, uint16_t columns, struct failure *failure) {
  struct container *container = find_alive(name);
  if (container == NULL) return fail(failure, PI_STEP_CONTAINER, ESRCH, name);
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  if (ioctl(log_terminal(container->log), TIOCSWINSZ, &size) < 0)
    return fail(failure, PI_STEP_TERMINAL, errno, name);
  return true;
}

bool container_forget(const char *name, uint32_t attempt, struct failure *failure) {
  struct container *container = find_attempt(name, attempt);
  if (container == NULL) return fail(failure, PI_STEP_CONTAINER, ENOENT, name);
  if (container->pid != 0) return fail(failure, PI_STEP_CONTAINER, EBUSY, name);
  container_free(container);
  exit_forget(name, attempt);
  return true;
}

uint32_t containers_status(struct pi_container_status *out) {
  uint32_t count = 0;
  for (struct container *c = containers; c != NULL; c = c->next)
    if (!c->failed) out[count++] = c->status;
  return count;
}

void starts_forget_client(const struct client *client) {
  for (struct container *c = containers; c != NULL; c = c->next)
    if (c->client == client) c->client = NULL;
}

void containers_kill(void) {
  for (struct container *c = containers; c != NULL; c = c->next)
    if (c->pid != 0) sys_pidfd_send_signal(c->pidfd, SIGKILL);
}

bool containers_any_alive(void) {
  for (struct container *c = containers; c != NULL; c = c->next)
    if (c->pid != 0) return true;
  return false;
}
