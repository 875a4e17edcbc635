// Untrusted bytes become checked pointers into the mapped plan. Nothing here trusts a number before it was compared
// with a bound; afterwards nothing needs to be checked again. Format: podinit_protocol.h.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "podinit.h"
#include "system.h"

bool fail(struct failure *failure, uint32_t step, int error, const char *subject) {
  failure->step = step;
  failure->error = error;
  size_t length = strnlen(subject, sizeof failure->subject - 1);
  memcpy(failure->subject, subject, length);
  failure->subject[length] = 0;
  return false;
}

bool valid_name(const char name[PI_NAME_SIZE]) {
  size_t length = strnlen(name, PI_NAME_SIZE);
  if (length == 0 || length == PI_NAME_SIZE || name[0] == '.') return false;
  for (size_t i = 0; i < length; i++) {
    char c = name[i];
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                c == '.';
    if (!good) return false;
  }
  return true;
}

bool plan_open(struct plan *plan, int memfd, const int *descriptors, size_t count, struct failure *failure) {
  *plan = (struct plan){.count = count};
  memcpy(plan->descriptors, descriptors, count * sizeof *descriptors);
  struct stat status;
  // A plan that could still change, or shrink under the mapping, is not a plan.
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  int have = fcntl(memfd, F_GET_SEALS);
  if (have < 0 || (have & seals) != seals) return fail(failure, PI_STEP_PLAN, EPERM, "plan is not sealed");
  if (fstat(memfd, &status) < 0) return fail(failure, PI_STEP_PLAN, errno, "fstat");
  if (status.st_size < (off_t)sizeof(struct pi_plan_header) || status.st_size > PI_PLAN_MAX)
    return fail(failure, PI_STEP_PLAN, EMSGSIZE, "size of the plan");
  void *blob = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, memfd, 0);
  if (blob == MAP_FAILED) return fail(failure, PI_STEP_PLAN, errno, "mmap");
  plan->blob = blob;
  plan->size = (size_t)status.st_size;
  return true;
}

void plan_close(struct plan *plan) {
  if (plan->blob != NULL) munmap((void *)plan->blob, plan->size);
  for (size_t i = 0; i < plan->count; i++) close(plan->descriptors[i]);
  *plan = (struct plan){0};
}

static bool bad(struct failure *failure, const char *what) { return fail(failure, PI_STEP_PLAN, EINVAL, what); }

static bool check_header(const struct plan *plan, uint16_t kind, size_t size, struct failure *failure) {
  const struct pi_plan_header *header = (const void *)plan->blob;
  if (plan->size < size) return bad(failure, "plan is too short");
  if (header->magic != PI_PLAN_MAGIC || header->version != PI_VERSION || header->kind != kind || header->zero != 0)
    return bad(failure, "header of the plan");
  if (header->size != plan->size) return bad(failure, "size in the plan's header");
  return true;
}

static bool check_string(const struct plan *plan, struct pi_string string, size_t maximum) {
  if (string.length > maximum || string.offset >= plan->size || plan->size - string.offset <= string.length)
    return false;
  const char *text = plan_string(plan, string);
  return text[string.length] == 0 && memchr(text, 0, string.length) == NULL;
}

/// The list's first element, or NULL if it is not inside the plan. An empty list is anything but NULL.
static const void *check_list(const struct plan *plan, struct pi_list list, size_t element, size_t maximum) {
  if (list.count == 0) return plan->blob;
  if (list.count > maximum || list.offset % 8 != 0 || list.offset > plan->size) return NULL;
  if ((plan->size - list.offset) / element < list.count) return NULL;
  return plan->blob + list.offset;
}

static bool check_descriptor(const struct plan *plan, uint32_t index, bool optional) {
  return index < plan->count || (optional && index == PI_NO_DESCRIPTOR);
}

static const uint32_t *check_cgroups(const struct plan *plan, struct pi_list list) {
  const uint32_t *indexes = check_list(plan, list, sizeof *indexes, PI_CGROUPS_MAX);
  for (uint32_t i = 0; indexes != NULL && i < list.count; i++)
    if (!check_descriptor(plan, indexes[i], false)) return NULL;
  return indexes;
}

/// An absolute path without NUL.
static bool check_path(const struct plan *plan, struct pi_string string) {
  return string.length > 0 && check_string(plan, string, PI_PATH_MAX) && plan_string(plan, string)[0] == '/';
}

static const struct pi_string *check_paths(const struct plan *plan, struct pi_list list, size_t maximum) {
  const struct pi_string *paths = check_list(plan, list, sizeof *paths, maximum);
  for (uint32_t i = 0; paths != NULL && i < list.count; i++)
    if (!check_path(plan, paths[i])) return NULL;
  return paths;
}

static char **strings(const struct plan *plan, struct pi_list list, struct failure *failure, const char *what) {
  const struct pi_string *elements = check_list(plan, list, sizeof *elements, PI_STRINGS_MAX);
  if (elements == NULL) return bad(failure, what), NULL;
  for (uint32_t i = 0; i < list.count; i++)
    if (!check_string(plan, elements[i], PI_STRING_MAX)) return bad(failure, what), NULL;
  char **out = malloc((list.count + 1) * sizeof *out);
  if (out == NULL) return fail(failure, PI_STEP_MEMORY, ENOMEM, what), NULL;
  for (uint32_t i = 0; i < list.count; i++) out[i] = (char *)plan_string(plan, elements[i]);
  out[list.count] = NULL;
  return out;
}

static bool check_process(const struct plan *plan, const struct pi_process *fixed, struct process *out,
                          struct failure *failure) {
  *out = (struct process){.fixed = fixed};
  if (fixed->flags & ~(uint32_t)(PI_NO_NEW_PRIVILEGES | PI_TERMINAL | PI_PROCESS_OOM_SCORE))
    return bad(failure, "flags of the process");
  if (fixed->umask > 0777) return bad(failure, "umask");
  if (fixed->uid == UINT32_MAX || fixed->gid == UINT32_MAX) return bad(failure, "user");
  if (fixed->oom_score_adj < -1000 || fixed->oom_score_adj > 1000) return bad(failure, "oom_score_adj");
  if (fixed->arguments.count == 0) return bad(failure, "no command");
  if (!check_path(plan, fixed->directory)) return bad(failure, "working directory");
  out->directory = plan_string(plan, fixed->directory);
  if ((out->groups = check_list(plan, fixed->groups, sizeof(uint32_t), PI_GROUPS_MAX)) == NULL)
    return bad(failure, "groups");
  if ((out->rlimits = check_list(plan, fixed->rlimits, sizeof(struct pi_rlimit), PI_RLIMITS_MAX)) == NULL)
    return bad(failure, "resource limits");
  if ((out->seccomp = check_list(plan, fixed->seccomp, 1, PI_SECCOMP_MAX)) == NULL || fixed->seccomp.count % 8 != 0)
    return bad(failure, "seccomp program");
  if ((out->cgroups = check_cgroups(plan, fixed->cgroups)) == NULL) return bad(failure, "cgroups");
  for (int i = 0; i < 3; i++)
    if (!check_descriptor(plan, fixed->standard[i], true)) return bad(failure, "standard descriptors");
  if (!check_descriptor(plan, fixed->cgroup, true)) return bad(failure, "cgroup directory");
  out->arguments = strings(plan, fixed->arguments, failure, "arguments");
  if (out->arguments == NULL) return false;
  out->environment = strings(plan, fixed->environment, failure, "environment");
  if (out->environment == NULL) return process_free(out), false;
  return true;
}

void process_free(struct process *process) {
  free(process->arguments);
  free(process->environment);
  process->arguments = process->environment = NULL;
}

bool plan_sandbox(const struct plan *plan, struct sandbox_plan *out, struct failure *failure) {
  if (!check_header(plan, PI_SANDBOX, sizeof *out->fixed, failure)) return false;
  const struct pi_sandbox_plan *fixed = (const void *)plan->blob;
  *out = (struct sandbox_plan){.fixed = fixed};
  if (fixed->flags & ~31U) return bad(failure, "flags of the sandbox");
  if (fixed->oom_score_adj < -1000 || fixed->oom_score_adj > 1000) return bad(failure, "oom_score_adj");
  if (!check_descriptor(plan, fixed->exits, false)) return bad(failure, "exits directory");
  if (!check_string(plan, fixed->hostname, 64) || !check_string(plan, fixed->domainname, 64))
    return bad(failure, "host name");
  bool named = fixed->hostname.length > 0 || fixed->domainname.length > 0;
  if (named && !(fixed->flags & PI_NEW_UTS)) return bad(failure, "host name without a UTS namespace");
  out->hostname = plan_string(plan, fixed->hostname);
  out->domainname = plan_string(plan, fixed->domainname);
  if ((out->cgroups = check_cgroups(plan, fixed->cgroups)) == NULL) return bad(failure, "cgroups");
  out->sysctls = check_list(plan, fixed->sysctls, sizeof *out->sysctls, PI_SYSCTLS_MAX);
  if (out->sysctls == NULL) return bad(failure, "sysctls");
  for (uint32_t i = 0; i < fixed->sysctls.count; i++)
    if (!check_string(plan, out->sysctls[i].path, 255) || !check_string(plan, out->sysctls[i].value, 4095))
      return bad(failure, "sysctls");
  return true;
}

bool plan_container(const struct plan *plan, struct container_plan *out, struct failure *failure) {
  if (!check_header(plan, PI_START, sizeof *out->fixed, failure)) return false;
  const struct pi_container_plan *fixed = (const void *)plan->blob;
  *out = (struct container_plan){.fixed = fixed};
  if (!valid_name(fixed->name)) return bad(failure, "name of the container");
  if (fixed->flags & ~31U) return bad(failure, "flags of the container");
  if (!check_descriptor(plan, fixed->root, false)) return bad(failure, "root");
  if (!check_descriptor(plan, fixed->shared_memory, true)) return bad(failure, "shared memory");
  if (!check_descriptor(plan, fixed->log, true)) return bad(failure, "log directory");
  if (fixed->log != PI_NO_DESCRIPTOR && (fixed->log_files == 0 || fixed->log_size == 0))
    return bad(failure, "log limits");
  out->mounts = check_list(plan, fixed->mounts, sizeof *out->mounts, PI_MOUNTS_MAX);
  if (out->mounts == NULL) return bad(failure, "mounts");
  for (uint32_t i = 0; i < fixed->mounts.count; i++) {
    const struct pi_mount *mount = &out->mounts[i];
    if (!check_descriptor(plan, mount->mount, false) || mount->kind > PI_FILE || !check_path(plan, mount->target))
      return bad(failure, "mounts");
  }
  out->devices = check_list(plan, fixed->devices, sizeof *out->devices, PI_DEVICES_MAX);
  if (out->devices == NULL) return bad(failure, "devices");
  for (uint32_t i = 0; i < fixed->devices.count; i++) {
    const struct pi_device *device = &out->devices[i];
    if (device->path.length == 0 || !check_string(plan, device->path, 255) || plan_string(plan, device->path)[0] == '/')
      return bad(failure, "devices");
    if ((device->type != S_IFCHR && device->type != S_IFBLK) || device->mode > 07777) return bad(failure, "devices");
  }
  if ((out->masked = check_paths(plan, fixed->masked, PI_PATHS_MAX)) == NULL) return bad(failure, "masked paths");
  if ((out->read_only = check_paths(plan, fixed->read_only, PI_PATHS_MAX)) == NULL)
    return bad(failure, "read-only paths");
  out->controllers = check_list(plan, fixed->controllers, sizeof *out->controllers, PI_CONTROLLERS_MAX);
  if (out->controllers == NULL) return bad(failure, "controllers");
  for (uint32_t i = 0; i < fixed->controllers.count; i++) {
    struct pi_string name = out->controllers[i];
    if (name.length == 0 || !check_string(plan, name, 63) || strchr(plan_string(plan, name), '/') != NULL ||
        plan_string(plan, name)[0] == '.')
      return bad(failure, "controllers");
  }
  return check_process(plan, &fixed->process, &out->process, failure);
}

bool plan_exec(const struct plan *plan, struct exec_plan *out, struct failure *failure) {
  if (!check_header(plan, PI_EXEC, sizeof *out->fixed, failure)) return false;
  const struct pi_exec_plan *fixed = (const void *)plan->blob;
  *out = (struct exec_plan){.fixed = fixed};
  if (!valid_name(fixed->name)) return bad(failure, "name of the container");
  return check_process(plan, &fixed->process, &out->process, failure);
}
