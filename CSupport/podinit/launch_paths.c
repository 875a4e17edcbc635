// Making and opening what mounts go on, by descriptor: no path is looked up twice and none leads out of the root.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

enum { LINKS_MAX = 40 };  // as many dangling links as the kernel would follow

int mount_new(const char *type, const char *const *options, unsigned attributes) {
  int filesystem = sys_fsopen(type);
  if (filesystem < 0) return -1;
  int result = 0, mount = -1;
  for (; options[0] != NULL && result == 0; options += 2)
    result = sys_fsconfig(filesystem, options[1] != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[0],
                          options[1], 0);
  if (result == 0) result = sys_fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
  if (result == 0) mount = sys_fsmount(filesystem, attributes);
  int error = errno;
  close(filesystem);
  return errno = error, mount;
}

int directory_make(int directory, const char *name, unsigned mode) {
  if (mkdirat(directory, name, mode) < 0 && errno != EEXIST && errno != EROFS) return -1;
  return sys_openat2(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, STRICT);
}

/// Makes `name` in the directory `parent`, which exists; a symbolic link in its place is not followed.
static int make_last(int parent, const char *name, uint32_t kind) {
  if (kind == PI_DIRECTORY) return directory_make(parent, name, 0755);
  int fd = sys_openat2(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_NONBLOCK, 0644, STRICT);
  if (fd < 0 && errno != EEXIST) return -1;
  if (fd >= 0) close(fd);
  return sys_openat2(parent, name, O_PATH | O_NOFOLLOW, 0, STRICT);
}

/// Writes `prefix/link/rest` (or `link/rest` if the link is absolute) to `path`.
static int splice_link(char path[PI_PATH_MAX + 1], size_t parent_length, const char *link, const char *rest) {
  char joined[PI_PATH_MAX + 1];
  size_t length = link[0] == '/' ? 0 : parent_length;
  size_t link_length = strlen(link), rest_length = strlen(rest);
  if (length + 1 + link_length + 1 + rest_length >= sizeof joined) return errno = ENAMETOOLONG, -1;
  memcpy(joined, path, length);
  joined[length++] = '/';
  memcpy(joined + length, link, link_length);
  length += link_length;
  joined[length++] = '/';
  memcpy(joined + length, rest, rest_length + 1);
  strcpy(path, joined);
  return 0;
}

/// Opens the longest beginning of `path` that exists, then makes component after component. The kernel resolves every
/// beginning inside `root`; only names without a slash are ever made, in directories held open.
static int make(int root, char path[PI_PATH_MAX + 1], uint32_t kind, int *links) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') path[--length] = 0;
  int parent = sys_openat2(root, "/", O_PATH | O_DIRECTORY, 0, IN_ROOT);
  for (size_t start = 0; parent >= 0;) {
    while (path[start] == '/') start++;
    if (path[start] == 0) return parent;
    size_t end = start + strcspn(path + start, "/");
    bool last = path[end] == 0;
    char name[256];
    if (end - start >= sizeof name) {
      errno = ENAMETOOLONG;
      break;
    }
    memcpy(name, path + start, end - start);
    name[end - start] = 0;
    char kept = path[end];
    path[end] = 0;
    int next = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
    path[end] = kept;
    if (next < 0 && errno == ENOENT) {
      char link[PI_PATH_MAX + 1];
      ssize_t size = readlinkat(parent, name, link, sizeof link - 1);
      if (size > 0) {
        // A link to what does not exist yet: make what it means inside the root.
        link[size] = 0;
        close(parent);
        char rest[PI_PATH_MAX + 1];
        strcpy(rest, path + end);
        if (++*links > LINKS_MAX) return errno = ELOOP, -1;
        if (splice_link(path, start, link, rest) < 0) return -1;
        return make(root, path, kind, links);
      }
      next = make_last(parent, name, last ? kind : PI_DIRECTORY);
    }
    int error = errno;
    close(parent);
    errno = error;
    parent = next;
    start = end;
  }
  return parent;
}

int path_make(int root, const char *path, uint32_t kind) {
  int fd = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
  if (fd < 0 && errno == ENOENT) {
    char copy[PI_PATH_MAX + 1];
    strcpy(copy, path);  // at most PI_PATH_MAX bytes: plan.c
    int links = 0;
    fd = make(root, copy, kind, &links);
  }
  if (fd < 0) return -1;
  struct stat status;
  int error = fstat(fd, &status) < 0                               ? errno
              : kind == PI_DIRECTORY && !S_ISDIR(status.st_mode) ? ENOTDIR
              : kind == PI_FILE && S_ISDIR(status.st_mode)       ? EISDIR
                                                                   : 0;
  if (error == 0) return fd;
  close(fd);
  return errno = error, -1;
}
