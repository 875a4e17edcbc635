// Exit records: one small file for each attempt that ended, for the case that podinit itself ends before anyone asked.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "podinit.h"

enum { RECORD_NAME_SIZE = PI_NAME_SIZE + 24 };

static void record_name(char out[RECORD_NAME_SIZE], const char *name, uint32_t attempt) {
  size_t length = strnlen(name, PI_NAME_SIZE - 1);
  memcpy(out, name, length);
  out[length] = '.';
  format_number(out + length + 1, attempt);
}

void exit_record(const char *name, uint32_t attempt, int32_t code, int32_t signal, int64_t started, int64_t finished) {
  char path[RECORD_NAME_SIZE], temporary[RECORD_NAME_SIZE + 8] = ".", line[128];
  record_name(path, name, attempt);
  strcpy(temporary + 1, path);
  const uint64_t numbers[4] = {(uint64_t)code, (uint64_t)signal, (uint64_t)started, (uint64_t)finished};
  size_t length = 0;
  for (int i = 0; i < 4; i++) {
    length += format_number(line + length, numbers[i]);
    line[length++] = i < 3 ? ' ' : '\n';
  }
  int fd = openat(podinit.exits, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool good = write(fd, line, length) == (ssize_t)length;
  close(fd);
  // With a full disk there is no record; the exit is still in memory and in PI_STATUS.
  if (!good || renameat(podinit.exits, temporary, podinit.exits, path) < 0) unlinkat(podinit.exits, temporary, 0);
}

void exit_forget(const char *name, uint32_t attempt) {
  char path[RECORD_NAME_SIZE];
  record_name(path, name, attempt);
  unlinkat(podinit.exits, path, 0);
}
