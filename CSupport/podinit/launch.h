// CLaunch: what runs in a child between clone and exec (launch_*.c). The child is a copy of podinit, with its own
// memory, and is alone: no allocation, no buffered output, only system calls. It tells podinit how far it came over a
// socket that closes by itself when execve(2) succeeds; every error ends it with one report of step, errno and subject.
#pragma once
#include "podinit.h"

enum report_kind {
  REPORT_FAILURE = 1,
  REPORT_TERMINAL,   // with the master's descriptor
  REPORT_PROCESS,    // of an exec: the number of the process, with its pidfd
  REPORT_EXECUTING,  // the last word before execve(2): an end without it is a death
};
struct report {
  uint32_t kind;
  uint32_t notes;
  int32_t pid;
  uint32_t zero;
  struct failure failure;
};

struct child {
  const struct plan *plan;
  const struct process *process;
  int report;       // where to
  int standard[3];  // for 0, 1, 2; -1: /dev/null
  uint32_t notes;
};

// ---- launch.c: both sides ----

/// A socket pair for reports: [0] is podinit's, non-blocking.
int report_pair(int pair[2]);
/// Sends a report, with a descriptor unless it is -1.
int report_send(int socket, const struct report *report, int fd);
/// 1: a report (and perhaps a descriptor, else -1); 0: the end; -1: nothing now.
int report_receive(int socket, struct report *report, int *fd);

/// Ends the child with a report about `errno`.
_Noreturn void child_fail(struct child *child, uint32_t step, const char *subject);
/// Joins the plan's cgroups.
void child_join(struct child *child);
/// What comes first: oom_score_adj, and the end of every descriptor that is not of this child: those
/// in `keep` stay, besides the report's and the standard ones.
void child_begin(struct child *child, const int *keep, size_t count);

// ---- launch_container.c, launch_exec.c: the whole way to the command ----

_Noreturn void child_container(struct child *child, const struct container_plan *plan);
/// Runs in the go-between, which enters the container's namespaces and clones the process as podinit's child.
_Noreturn void child_exec(struct child *child, int container_pidfd);

// ---- launch_root.c: the container's file tree ----

struct tree {
  int root;  // the root mount, attached at podinit's /root
  int dev;   // the container's /dev
  int pts;   // the container's devpts
  int sys;   // the container's /sys
};
void root_attach(struct child *child, const struct container_plan *plan, struct tree *tree);
void root_standard_mounts(struct child *child, const struct container_plan *plan, struct tree *tree);
void root_mounts(struct child *child, const struct container_plan *plan, struct tree *tree);
/// Covers and protects paths, makes the root read-only if asked, and pivots into it.
void root_seal(struct child *child, const struct container_plan *plan, struct tree *tree);

// ---- launch_paths.c: making and opening what mounts go on ----

/// Opens `path` under `root` (O_PATH), never outside; makes what is missing: directories, at the end one or a file.
/// -1 and errno; EISDIR or ENOTDIR if it is of the other kind.
int path_make(int root, const char *path, uint32_t kind);
/// The same for what exists.
int path_open(int root, const char *path);
/// A mount of a new instance of a file system. `options` are key and value in turn (a NULL value is a flag), ended by
/// NULL. -1 and errno.
int mount_new(const char *type, const char *const *options, unsigned attributes);
/// Opens `name`, a directory, directly below `directory` without following any link; makes it if it is missing.
int directory_make(int directory, const char *name, unsigned mode);

// ---- launch_cgroup.c ----

/// Mounts what the container sees at /sys/fs/cgroup.
void root_cgroups(struct child *child, const struct container_plan *plan, int system);

// ---- launch_terminal.c ----

/// Allocates a terminal on the devpts mounted at `pts`, makes it the standard descriptors and the controlling terminal
/// and sends the master side to podinit. Returns the other side, which stays open.
int child_terminal(struct child *child, int pts);
/// Makes child->standard 0, 1 and 2; `null` is an open directory holding a `null` device, for what is missing.
void child_standard(struct child *child, int directory);

// ---- launch_identity.c ----

/// Limits, user, capabilities, no_new_privs, seccomp, and the command.
_Noreturn void child_execute(struct child *child);
