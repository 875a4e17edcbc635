// podinit: the pause process of a pod. It holds the pod's namespaces, starts its containers, owns their output, reaps,
// and keeps their exit codes for an agent that may come and go. One thread, one epoll set; every descriptor in it is a
// struct watch inside the object it belongs to.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podinit_protocol.h"

// ---- main.c ----

struct watch {
  void (*ready)(struct watch *watch, uint32_t events);
  int fd;
};
/// Adds or removes a descriptor. One event is taken from the kernel at a time, so an object may free any other.
int watch_add(struct watch *watch, uint32_t events);
void watch_remove(struct watch *watch);
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/// What the whole process knows.
struct podinit {
  int epoll;
  int processes;  // a private procfs of the PID namespace that podinit was started in
  int exits;      // directory of the exit records
  int listener;
  int first;         // pidfd of process 1 of the PID namespace that the containers share; -1 if they share none
  int outside;       // podinit's own PID namespace, if there is another
  pid_t first_pid;
  uint32_t pid;      // as the agent sees it
  uint32_t notes;    // enum pi_note
  bool ready;        // PI_SANDBOX was done
  bool shutting_down;
};
extern struct podinit podinit;

int64_t now(void);                                     // nanoseconds since the epoch
void close_fd(int *fd);                                // closes and forgets
size_t format_number(char *buffer, uint64_t number);   // decimal digits, NUL; at most 21 bytes
int read_pid(int pidfd, uint32_t *pid);                // the number the agent knows the process by

// ---- plan.c: untrusted bytes -> checked pointers into the mapped plan ----

/// An error to report: what was being done, to what, and errno.
struct failure {
  uint32_t step;
  int32_t error;
  char subject[PI_SUBJECT_MAX];
};
bool fail(struct failure *failure, uint32_t step, int error, const char *subject);  // always false

/// A mapped plan and the descriptors that came with it; owns both.
struct plan {
  const uint8_t *blob;
  size_t size;
  int descriptors[PI_DESCRIPTORS_MAX];
  size_t count;
};
struct process {
  const struct pi_process *fixed;
  char **arguments, **environment;  // NULL-terminated, allocated
  const char *directory;
  const uint32_t *groups;
  const struct pi_rlimit *rlimits;
  const uint8_t *seccomp;
  const uint32_t *cgroups;
};
struct sandbox_plan {
  const struct pi_sandbox_plan *fixed;
  const char *hostname, *domainname;
  const uint32_t *cgroups;
  const struct pi_sysctl *sysctls;
};
struct container_plan {
  const struct pi_container_plan *fixed;
  const struct pi_mount *mounts;
  const struct pi_device *devices;
  const struct pi_string *masked, *read_only, *controllers;
  struct process process;
};
struct exec_plan {
  const struct pi_exec_plan *fixed;
  struct process process;
};
bool plan_open(struct plan *plan, int memfd, const int *descriptors, size_t count, struct failure *failure);
void plan_close(struct plan *plan);
bool plan_sandbox(const struct plan *plan, struct sandbox_plan *out, struct failure *failure);
bool plan_container(const struct plan *plan, struct container_plan *out, struct failure *failure);
bool plan_exec(const struct plan *plan, struct exec_plan *out, struct failure *failure);
void process_free(struct process *process);
/// The checked string, list element or descriptor of a decoded plan.
static inline const char *plan_string(const struct plan *plan, struct pi_string string) {
  return (const char *)plan->blob + string.offset;
}
static inline int plan_descriptor(const struct plan *plan, uint32_t index) {
  return index < plan->count ? plan->descriptors[index] : -1;
}
/// A name field: NUL-terminated, not empty, of letters, digits, `-`, `_` and `.`, not starting with a dot.
bool valid_name(const char name[PI_NAME_SIZE]);

// ---- client.c: connections and messages ----

struct client;
void client_accept(struct watch *watch, uint32_t events);
/// Ends a client that broke the protocol or does not read.
void client_close(struct client *client);
void answer(struct client *client, uint16_t type, uint64_t request, const void *body, size_t size, const int *fds,
            size_t count);
void answer_failure(struct client *client, uint64_t request, const struct failure *failure);
void broadcast(uint16_t type, const void *body, size_t size);
/// Forgets a client in everything that would answer it later (containers.c, exec.c).
void starts_forget_client(const struct client *client);
void execs_forget_client(const struct client *client);

// ---- requests.c ----

/// False: the message is malformed and its client must be closed. Takes over the descriptors.
bool handle_request(struct client *client, const struct pi_header *header, const uint8_t *body, const int *fds,
                    size_t count);

// ---- sandbox.c ----

bool sandbox_apply(const struct plan *plan, const struct sandbox_plan *sandbox, struct failure *failure);
/// What is cloned next begins in the PID namespace that the containers share, or (false) in podinit's own again.
/// Nothing to do where there is only one.
int sandbox_enter_processes(bool shared);
/// Ends process 1 of the shared PID namespace, and with it all that is left there; reaps it.
void sandbox_end_processes(void);
/// Opens the network namespace and a route socket inside it.
bool sandbox_network(int fds[2], struct failure *failure);
/// Writes "0" to every cgroup.procs file of the list. Safe between clone and exec.
int join_cgroups(const struct plan *plan, const uint32_t *cgroups, uint32_t count);
/// Writes oom_score_adj of the caller through the procfs `processes`; EACCES becomes a note.
int write_oom_score(int processes, int32_t value, uint32_t *notes);

// ---- log.c, rotate.c ----

struct log;
/// Opens `<attempt>.log` in the directory (a duplicate of it is kept).
struct log *log_open(int directory, uint32_t attempt, uint64_t size, uint32_t files);
/// Takes over the descriptors to read; -1 for none. The standard error is absent with a terminal.
int log_read_from(struct log *log, int output, int error);
/// Discards what comes: drains the descriptor without a log.
struct log *log_discard(void);
int log_terminal(const struct log *log);  // the output descriptor, for the terminal's size
/// Writes what can be read now and what is pending, then closes everything. Returns the number of lines lost.
uint32_t log_finish(struct log *log);
/// Renames the current file away and removes the oldest.
void log_rotate(int directory, const char *name, uint32_t files, int64_t when);
size_t format_time(char *buffer, int64_t when);     // 2016-10-06T00:17:09.669794202Z, 30 bytes
size_t format_stamp(char *buffer, int64_t when);    // 20161006-001709, 15 bytes

// ---- containers.c ----

void container_start(struct client *client, uint64_t request, struct plan *plan);
struct container;
/// The running container of that name, or NULL.
struct container *container_running(const char *name);
int container_pidfd(const struct container *container);
bool container_signal(const char *name, int signal, struct failure *failure);
bool container_resize(const char *name, uint16_t rows, uint16_t columns, struct failure *failure);
bool container_forget(const char *name, uint32_t attempt, struct failure *failure);
/// Fills in up to PI_CONTAINERS_MAX statuses.
uint32_t containers_status(struct pi_container_status *out);
bool container_reaped(pid_t pid, int status);  // whether it was one
void containers_kill(void);
bool containers_any_alive(void);

// ---- exec.c ----

void exec_start(struct client *client, uint64_t request, struct plan *plan);
bool exec_signal(uint64_t id, int signal, struct failure *failure);
bool exec_reaped(pid_t pid, int status);
void execs_kill(void);

// ---- exits.c ----

void exit_record(const char *name, uint32_t attempt, int32_t code, int32_t signal, int64_t started, int64_t finished);
void exit_forget(const char *name, uint32_t attempt);
