// Processes started in running containers. The go-between that enters the container reports the number of the process,
// which then is podinit's child; a process may end before its number is known, so unknown ends are kept for a while.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

struct exec {
  struct exec *next;
  uint64_t id;
  pid_t pid;            // 0 until it is known
  uint32_t public_pid;
  int pidfd, terminal;
  struct watch report;  // fd -1 when the start is over
  bool executing, ended;
  int status;           // of wait(2), when ended
  struct client *client;
  uint64_t request;
  uint32_t notes;
};

enum { EXECS_MAX = 256, EARLY_MAX = 64 };
static struct exec *execs;
static uint32_t exec_count;
static uint64_t last_id;
static struct {
  pid_t pid;
  int status;
} early[EARLY_MAX];  // the latest ends of children nobody knew
static unsigned early_next;

static bool any_unknown(void) {
  for (struct exec *exec = execs; exec != NULL; exec = exec->next)
    if (exec->pid == 0) return true;
  return false;
}

static void exec_free(struct exec *exec) {
  struct exec **link = &execs;
  while (*link != exec) link = &(*link)->next;
  *link = exec->next;
  exec_count--;
  if (exec->report.fd >= 0) watch_remove(&exec->report);
  close_fd(&exec->report.fd);
  close_fd(&exec->pidfd);
  close_fd(&exec->terminal);
  free(exec);
}

/// Tells the exit once both the start was answered and the process has ended.
static void finish(struct exec *exec) {
  if (exec->report.fd >= 0 || !exec->ended) return;
  int status = exec->status;
  struct pi_exec_exited body = {.id = exec->id,
                                .code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                                .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0};
  answer(exec->client, PI_EXEC_EXITED, 0, &body, sizeof body, NULL, 0);
  exec_free(exec);
}

static void start_failed(struct exec *exec, const struct failure *failure) {
  answer_failure(exec->client, exec->request, failure);
  exec_free(exec);  // the child, if any, is reaped as an orphan
}

static void start_succeeded(struct exec *exec) {
  watch_remove(&exec->report);
  close_fd(&exec->report.fd);
  struct pi_started started = {
      .pid = exec->public_pid, .notes = exec->notes, .id = exec->id, .started_at = now()};
  answer(exec->client, PI_EXEC | PI_ANSWER, exec->request, &started, sizeof started, &exec->terminal,
         exec->terminal >= 0 ? 1 : 0);
  close_fd(&exec->terminal);
  finish(exec);
}

static void process_known(struct exec *exec, const struct report *report, int pidfd) {
  exec->pid = report->pid;
  exec->pidfd = pidfd;
  exec->notes |= report->notes;
  if (pidfd < 0 || read_pid(pidfd, &exec->public_pid) < 0) exec->public_pid = (uint32_t)report->pid;
  for (unsigned i = 0; i < EARLY_MAX; i++) {
    if (early[i].pid != report->pid) continue;
    exec->ended = true;
    exec->status = early[i].status;
    early[i].pid = 0;
  }
}

static void report_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct exec *exec = CONTAINER_OF(watch, struct exec, report);
  struct report report;
  int fd, result;
  while ((result = report_receive(watch->fd, &report, &fd)) >= 0) {
    if (result == 0 && exec->executing && exec->pid != 0) return start_succeeded(exec);
    if (result == 0) {
      struct failure died;
      fail(&died, PI_STEP_DIED, ECHILD, "exec");
      return start_failed(exec, &died);
    }
    if (report.kind == REPORT_FAILURE) {
      if (fd >= 0) close(fd);
      return start_failed(exec, &report.failure);
    }
    if (report.kind == REPORT_PROCESS && exec->pid == 0) {
      process_known(exec, &report, fd);
    } else if (report.kind == REPORT_TERMINAL && exec->terminal < 0) {
      exec->terminal = fd;
    } else if (fd >= 0) {
      close(fd);
    }
    if (report.kind == REPORT_EXECUTING) exec->executing = true;
  }
}

static bool launch(struct exec *exec, const struct plan *plan, const struct exec_plan *decoded, int target,
                   struct failure *failure) {
  const struct pi_process *process = &decoded->fixed->process;
  int pair[2];
  if (report_pair(pair) < 0) return fail(failure, PI_STEP_STANDARD, errno, "socketpair");
  struct clone_args arguments = {.exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&arguments);
  if (pid == 0) {
    struct child child = {.plan = plan, .process = &decoded->process, .report = pair[1]};
    for (int i = 0; i < 3; i++) child.standard[i] = plan_descriptor(plan, process->standard[i]);
    child_exec(&child, target);
  }
  int error = errno;
  close(pair[1]);
  exec->report.fd = pair[0];
  if (pid < 0) return close_fd(&exec->report.fd), fail(failure, PI_STEP_CLONE, error, decoded->fixed->name);
  if (watch_add(&exec->report, EPOLLIN) == 0) return true;
  error = errno;
  close_fd(&exec->report.fd);
  return fail(failure, PI_STEP_MEMORY, error, "epoll");
}

void exec_start(struct client *client, uint64_t request, struct plan *plan) {
  struct failure failure;
  struct exec_plan decoded;
  if (!plan_exec(plan, &decoded, &failure)) {
    plan_close(plan);
    return answer_failure(client, request, &failure);
  }
  struct container *container = container_running(decoded.fixed->name);
  struct exec *exec = NULL;
  if (container == NULL) {
    fail(&failure, PI_STEP_CONTAINER, ESRCH, decoded.fixed->name);
  } else if (exec_count >= EXECS_MAX || (exec = calloc(1, sizeof *exec)) == NULL) {
    fail(&failure, PI_STEP_MEMORY, ENOSPC, "too many processes");
  }
  bool good = exec != NULL;
  if (good) {
    // Numbers of processes are used again: an end from before this start must not be taken for its own.
    if (!any_unknown()) memset(early, 0, sizeof early);
    *exec = (struct exec){.next = execs,
                          .id = ++last_id,
                          .pidfd = -1,
                          .terminal = -1,
                          .report = {.ready = report_ready, .fd = -1},
                          .client = client,
                          .request = request};
    execs = exec;
    exec_count++;
    good = launch(exec, plan, &decoded, container_pidfd(container), &failure);
    if (!good) exec_free(exec);
  }
  process_free(&decoded.process);
  plan_close(plan);
  if (!good) answer_failure(client, request, &failure);
}

bool exec_reaped(pid_t pid, int status) {
  for (struct exec *exec = execs; exec != NULL; exec = exec->next) {
    if (exec->pid != pid) continue;
    exec->ended = true;
    exec->status = status;
    exec->pid = -1;  // the number may be used again
    finish(exec);
    return true;
  }
  if (any_unknown()) {
    early[early_next].pid = pid;
    early[early_next].status = status;
    early_next = (early_next + 1) % EARLY_MAX;
  }
  return false;
}

static struct exec *find(uint64_t id) {
  struct exec *exec = execs;
  while (exec != NULL && exec->id != id) exec = exec->next;
  return exec;
}

bool exec_signal(uint64_t id, int signal, struct failure *failure) {
  struct exec *exec = find(id);
  if (exec == NULL || exec->pidfd < 0) return fail(failure, PI_STEP_CONTAINER, ESRCH, "exec");
  if (sys_pidfd_send_signal(exec->pidfd, signal) < 0) return fail(failure, PI_STEP_CONTAINER, errno, "exec");
  return true;
}

void execs_forget_client(const struct client *client) {
  for (struct exec *exec = execs; exec != NULL; exec = exec->next)
    if (exec->client == client) exec->client = NULL;
}

void execs_kill(void) {
  for (struct exec *exec = execs; exec != NULL; exec = exec->next)
    if (exec->pidfd >= 0) sys_pidfd_send_signal(exec->pidfd, SIGKILL);
}
