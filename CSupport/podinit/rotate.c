// Log rotation: `0.log` becomes `0.log.20161006-001709`, and of those only the newest are kept. Also the forms of time.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "podinit.h"

static char *digits(char *out, unsigned number, int width) {
  for (int i = width - 1; i >= 0; i--, number /= 10) out[i] = (char)('0' + number % 10);
  return out + width;
}

struct date {
  unsigned year, month, day, hour, minute, second;
};

/// The proleptic Gregorian calendar in UTC from days since 1970 (Howard Hinnant, chrono-compatible low-level date
/// algorithms): four-year and 400-year eras counted from the first of March.
static struct date date_of(int64_t seconds) {
  int64_t days = seconds / 86400 + 719468;
  unsigned rest = (unsigned)(seconds % 86400);
  unsigned era = (unsigned)(days / 146097), day = (unsigned)(days % 146097);
  unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  unsigned of_year = day - (365 * year + year / 4 - year / 100);
  unsigned shifted = (5 * of_year + 2) / 153;
  unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
  return (struct date){.year = year + era * 400 + (month <= 2 ? 1 : 0),
                       .month = month,
                       .day = of_year - (153 * shifted + 2) / 5 + 1,
                       .hour = rest / 3600,
                       .minute = rest / 60 % 60,
                       .second = rest % 60};
}

size_t format_time(char *buffer, int64_t when) {
  struct date date = date_of(when / 1000000000);
  char *p = digits(buffer, date.year, 4);
  *p++ = '-', p = digits(p, date.month, 2);
  *p++ = '-', p = digits(p, date.day, 2);
  *p++ = 'T', p = digits(p, date.hour, 2);
  *p++ = ':', p = digits(p, date.minute, 2);
  *p++ = ':', p = digits(p, date.second, 2);
  *p++ = '.', p = digits(p, (unsigned)(when % 1000000000), 9);
  *p++ = 'Z';
  return (size_t)(p - buffer);
}

size_t format_stamp(char *buffer, int64_t when) {
  struct date date = date_of(when / 1000000000);
  char *p = digits(buffer, date.year, 4);
  p = digits(digits(p, date.month, 2), date.day, 2);
  *p++ = '-';
  p = digits(digits(digits(p, date.hour, 2), date.minute, 2), date.second, 2);
  *p = 0;
  return (size_t)(p - buffer);
}

struct entry {  // linux_dirent64
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

/// How many files there are called `<name>.<anything>`, and which of the names sorts first and last.
static uint32_t rotated(int directory, const char *name, char first[64], char last[64]) {
  size_t length = strlen(name);
  uint32_t count = 0;
  first[0] = last[0] = 0;
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return 0;
  _Alignas(8) char buffer[4096];
  long size;
  while ((size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < size;) {
      const struct entry *entry = (const void *)(buffer + at);
      at += entry->size;
      if (strncmp(entry->name, name, length) != 0 || entry->name[length] != '.' || strlen(entry->name) >= 64) continue;
      count++;
      if (first[0] == 0 || strcmp(entry->name, first) < 0) strcpy(first, entry->name);
      if (last[0] == 0 || strcmp(entry->name, last) > 0) strcpy(last, entry->name);
    }
  }
  close(fd);
  return count;
}

void log_rotate(int directory, const char *name, uint32_t files, int64_t when) {
  char target[64], first[64], last[64];
  uint32_t count = rotated(directory, name, first, last);
  size_t length = strlen(name);
  memcpy(target, name, length);
  target[length++] = '.';
  // Two rotations in one second must not share a name, and names must sort by age.
  format_stamp(target + length, when);
  for (int later = 1; last[0] != 0 && strcmp(target, last) <= 0 && later < 86400; later++)
    format_stamp(target + length, when + (int64_t)later * 1000000000);
  if (renameat(directory, name, directory, target) < 0) return;
  for (count++; count > files - 1; count--) {
    rotated(directory, name, first, last);
    if (first[0] == 0 || unlinkat(directory, first, 0) < 0) return;
  }
}
