// One function for each request. False means that the message itself is malformed; a request that is well-formed but
// cannot be served gets a PI_ERROR.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "podinit.h"

static void done(struct client *client, const struct pi_header *header, bool good, const struct failure *failure) {
  if (good) return answer(client, header->type | PI_ANSWER, header->request, NULL, 0, NULL, 0);
  answer_failure(client, header->request, failure);
}

static void network(struct client *client, const struct pi_header *header) {
  struct failure failure;
  int fds[2];
  if (!podinit.ready) {
    fail(&failure, PI_STEP_CONTAINER, EAGAIN, "the sandbox is not ready");
    return answer_failure(client, header->request, &failure);
  }
  if (!sandbox_network(fds, &failure)) return answer_failure(client, header->request, &failure);
  struct pi_ready ready = {.pid = podinit.pid, .notes = podinit.notes};
  answer(client, header->type | PI_ANSWER, header->request, &ready, sizeof ready, fds, 2);
  close(fds[0]);
  close(fds[1]);
}

static void sandbox(struct client *client, const struct pi_header *header, struct plan *plan) {
  struct failure failure;
  struct sandbox_plan decoded;
  bool good = podinit.ready ? fail(&failure, PI_STEP_PLAN, EALREADY, "the sandbox is made already")
                            : plan_sandbox(plan, &decoded, &failure) && sandbox_apply(plan, &decoded, &failure);
  plan_close(plan);
  if (!good) return answer_failure(client, header->request, &failure);
  podinit.ready = true;
  network(client, header);
}

static bool planned(struct client *client, const struct pi_header *header, const int *fds, size_t count) {
  struct failure failure;
  struct plan plan;
  bool opened = plan_open(&plan, fds[0], fds + 1, count - 1, &failure);
  close(fds[0]);
  if (opened && header->type != PI_SANDBOX && (!podinit.ready || podinit.shutting_down))
    opened = fail(&failure, PI_STEP_PLAN, podinit.ready ? ESHUTDOWN : EAGAIN, "the sandbox is not ready");
  if (!opened) {
    plan_close(&plan);
    answer_failure(client, header->request, &failure);
    return true;
  }
  switch (header->type) {
    case PI_SANDBOX: sandbox(client, header, &plan); break;
    case PI_START: container_start(client, header->request, &plan); break;
    default: exec_start(client, header->request, &plan); break;
  }
  return true;
}

static void status(struct client *client, const struct pi_header *header) {
  static struct {
    struct pi_status status;
    struct pi_container_status containers[PI_CONTAINERS_MAX];
  } body;
  body.status.pid = podinit.pid;
  body.status.count = containers_status(body.containers);
  size_t size = sizeof body.status + body.status.count * sizeof body.containers[0];
  answer(client, header->type | PI_ANSWER, header->request, &body, size, NULL, 0);
}

static bool send_signal(struct client *client, const struct pi_header *header, const struct pi_signal *body) {
  struct failure failure;
  if (body->signal < 0 || body->signal > 64 || body->zero != 0) return false;
  if (body->id == 0 && !valid_name(body->name)) return false;
  bool good = body->id == 0 ? container_signal(body->name, body->signal, &failure)
                            : exec_signal(body->id, body->signal, &failure);
  done(client, header, good, &failure);
  return true;
}

static bool resize(struct client *client, const struct pi_header *header, const struct pi_resize *body) {
  struct failure failure;
  if (body->zero != 0 || !valid_name(body->name)) return false;
  done(client, header, container_resize(body->name, body->rows, body->columns, &failure), &failure);
  return true;
}

static bool forget(struct client *client, const struct pi_header *header, const struct pi_forget *body) {
  struct failure failure;
  if (body->zero != 0 || !valid_name(body->name)) return false;
  done(client, header, container_forget(body->name, body->attempt, &failure), &failure);
  return true;
}

static void stop(struct client *client, const struct pi_header *header) {
  podinit.shutting_down = true;
  containers_kill();
  execs_kill();
  // The answer says that it has begun; the closed connection says that it is over.
  done(client, header, true, NULL);
}

bool handle_request(struct client *client, const struct pi_header *header, const uint8_t *body, const int *fds,
                    size_t count) {
  size_t size = header->length;
  if (header->type == PI_SANDBOX || header->type == PI_START || header->type == PI_EXEC) {
    if (size == 0 && count >= 1) return planned(client, header, fds, count);
  }
  // Only plans carry descriptors.
  for (size_t i = 0; i < count; i++) close(fds[i]);
  if (count > 0) return false;
  switch (header->type) {
    case PI_SIGNAL:
      return size == sizeof(struct pi_signal) && send_signal(client, header, (const void *)body);
    case PI_RESIZE: return size == sizeof(struct pi_resize) && resize(client, header, (const void *)body);
    case PI_FORGET: return size == sizeof(struct pi_forget) && forget(client, header, (const void *)body);
    case PI_STATUS: return size == 0 && (status(client, header), true);
    case PI_NETWORK: return size == 0 && (network(client, header), true);
    case PI_SHUTDOWN: return size == 0 && (stop(client, header), true);
    default: return false;
  }
}
