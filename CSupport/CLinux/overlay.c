// A detached overlay mount on kernels before 6.5, which know no lowerdir+ and take at most 255 bytes for an option of
// fsconfig(2): mount(2) takes a page of options, but only onto a path. So a thread mounts it in a mount namespace of its
// own, takes a detached copy, and ends, and with it the namespace.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "CLinux.h"

struct overlay_call {
  const char *const *layers;  // top to bottom
  size_t count;
  const char *upper, *work;
  int result, error;
};

/// Appends `prefix` and the short name that an open directory has in procfs; opened here, so that its mount is of the
/// thread's own namespace. The descriptor is kept in `fd`.
static bool append(char options[4096], size_t *length, const char *prefix, const char *path, int *fd) {
  *fd = open(path, CL_O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0) return false;
  int size = snprintf(options + *length, 4096 - *length, "%s/proc/self/fd/%d", prefix, *fd);
  if (size < 0 || (size_t)size >= 4096 - *length) return errno = E2BIG, false;
  *length += (size_t)size;
  return true;
}

static int mount_overlay(const struct overlay_call *call, int *fds, size_t *opened) {
  char options[4096] = "";
  size_t length = 0;
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -1;
  for (size_t i = 0; i < call->count; i++, ++*opened)
    if (!append(options, &length, i == 0 ? "lowerdir=" : ":", call->layers[i], &fds[*opened])) return -1;
  if (!append(options, &length, ",upperdir=", call->upper, &fds[(*opened)++])) return -1;
  if (!append(options, &length, ",workdir=", call->work, &fds[(*opened)++])) return -1;
  if (mount("overlay", call->upper, "overlay", 0, options) < 0) return -1;
  return cl_open_tree(AT_FDCWD, call->upper, OPEN_TREE_CLONE);
}

static void *overlay_thread(void *argument) {
  struct overlay_call *call = argument;
  size_t opened = 0;
  int *fds = malloc((call->count + 2) * sizeof *fds);
  call->result = -1;
  call->error = ENOMEM;
  if (fds == NULL) return NULL;
  for (size_t i = 0; i < call->count + 2; i++) fds[i] = -1;
  call->result = mount_overlay(call, fds, &opened);
  call->error = errno;
  for (size_t i = 0; i < call->count + 2; i++)
    if (fds[i] >= 0) close(fds[i]);
  free(fds);
  return NULL;
}

int cl_overlay_by_mount(const char *const *layers, size_t count, const char *upper, const char *work) {
  struct overlay_call call = {layers, count, upper, work, -1, 0};
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, overlay_thread, &call);
  if (failure != 0) return errno = failure, -1;
  pthread_join(thread, NULL);
  return errno = call.error, call.result;
}
