// Making and opening what mounts go on, by descriptor: no path is looked up twice and none leads out of the root.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "system.h"

enum { LINKS_MAX = 40, DEPTH_MAX = 256 };  // as many links as the kernel follows; directories held open at once

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

/// Where a walk is: the directories from the root to here, held open, and what is left of the path.
struct walk {
  int directories[DEPTH_MAX];  // [0] is the root and not ours to close
  int depth;                   // of the current directory in it
  char rest[PI_PATH_MAX + 1];
  int links;
};

/// Puts a link's target before the rest of the path.
static int follow(struct walk *walk, const char *name) {
  char joined[PI_PATH_MAX + 1];
  ssize_t size = readlinkat(walk->directories[walk->depth], name, joined, sizeof joined);
  if (size < 0) return -1;
  if (++walk->links > LINKS_MAX) return errno = ELOOP, -1;
  size_t rest = strlen(walk->rest);
  if ((size_t)size + 1 + rest >= sizeof joined) return errno = ENAMETOOLONG, -1;
  joined[size] = '/';
  memcpy(joined + size + 1, walk->rest, rest + 1);
  strcpy(walk->rest, joined);
  // An absolute link starts again at the root, which is the container's.
  while (joined[0] == '/' && walk->depth > 0) close(walk->directories[walk->depth--]);
  return 0;
}

/// Takes the next component of the path; a descriptor if it was the last one, -1 on an error, -2 to go on.
static int step(struct walk *walk, bool missing_is_made, uint32_t kind) {
  char *start = walk->rest + strspn(walk->rest, "/");
  size_t size = strcspn(start, "/");
  char name[256];
  if (size >= sizeof name) return errno = ENAMETOOLONG, -1;
  memcpy(name, start, size);
  name[size] = 0;
  memmove(walk->rest, start + size, strlen(start + size) + 1);
  bool last = walk->rest[strspn(walk->rest, "/")] == 0;
  int here = walk->directories[walk->depth];
  bool stay = size == 0 || strcmp(name, ".") == 0, back = strcmp(name, "..") == 0;
  // ".." is the directory we came from, wherever somebody may have moved this one meanwhile; above the root is the root.
  if (back && walk->depth > 0) close(walk->directories[walk->depth--]);
  if (stay || back)
    return last ? sys_openat2(walk->directories[walk->depth], ".", O_PATH | O_DIRECTORY, 0, STRICT) : -2;
  int next = sys_openat2(here, name, O_PATH | O_NOFOLLOW, 0, STRICT);
  if (next < 0 && errno == ENOENT && missing_is_made) next = make_last(here, name, last ? kind : PI_DIRECTORY);
  if (next < 0) return -1;
  struct stat status;
  int error = fstat(next, &status) < 0 ? errno : 0;
  if (error == 0 && S_ISLNK(status.st_mode)) {
    close(next);
    return follow(walk, name) < 0 ? -1 : -2;
  }
  if (error == 0 && last) return next;
  if (error == 0 && !S_ISDIR(status.st_mode)) error = ENOTDIR;
  if (error == 0 && walk->depth + 1 == DEPTH_MAX) error = ENAMETOOLONG;
  if (error != 0) return close(next), errno = error, -1;
  walk->directories[++walk->depth] = next;
  return -2;
}

/// Walks component after component, each opened in a directory held open, links and ".." resolved here. The kernel's own
/// scoped look-up is quicker, but answers EAGAIN at ".." for as long as anybody on the host renames things.
static int walk_path(int root, const char *path, bool missing_is_made, uint32_t kind) {
  struct walk walk = {.directories = {root}};
  strcpy(walk.rest, path);  // at most PI_PATH_MAX bytes: plan.c
  int result;
  do result = step(&walk, missing_is_made, kind);
  while (result == -2);
  int error = errno;
  while (walk.depth > 0) close(walk.directories[walk.depth--]);
  return errno = error, result;
}

int path_open(int root, const char *path) {
  int fd = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
  return fd < 0 && errno == EAGAIN ? walk_path(root, path, false, PI_DIRECTORY) : fd;
}

int path_make(int root, const char *path, uint32_t kind) {
  int fd = sys_openat2(root, path, O_PATH, 0, IN_ROOT);
  if (fd < 0 && (errno == ENOENT || errno == EAGAIN)) fd = walk_path(root, path, true, kind);
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
