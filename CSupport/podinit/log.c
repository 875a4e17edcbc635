// A container's output becomes CRI log lines: `2016-10-06T00:17:09.669794202Z stdout F text`, P instead of F for a part
// of a line. What was read at once is written at once. A full disk never stops the container: lines are dropped,
// counted, and the loss is told in the log as soon as it can be written again.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "podinit.h"

enum {
  LINE_MAX = 16 * 1024,     // bytes of a line before it is split (the CRI runtimes' limit)
  READ_SIZE = 64 * 1024,    // a pipe's usual capacity
  DRAIN_MAX = 1024 * 1024,  // the most a pipe can hold (pipe(7)): all that a finished container left
  BATCH = 256,              // records written at once
};

struct stream {
  struct watch watch;  // fd -1: closed
  struct log *log;
  const char *name;
  char *pending;  // the beginning of an unfinished line, allocated while there is one
  size_t used;
};
struct log {
  int directory, file;  // -1: everything is discarded
  char name[24];
  uint64_t size, limit;
  uint32_t files;
  uint32_t unreported, lost;  // lines dropped since the last note of it, and in all
  struct stream output, error;
};

// One batch at a time exists: filled and written within one call.
static struct {
  struct iovec vectors[BATCH * 4];
  size_t ends[BATCH];  // bytes from the batch's beginning to each record's end
  int count;           // of vectors
  size_t records, bytes;
} batch;
static char prefixes[2][48];  // for P and F
static size_t prefix_size;

static void prepare(const struct stream *stream) {
  char *text = prefixes[0];
  size_t size = format_time(text, now());
  text[size++] = ' ';
  memcpy(text + size, stream->name, 6);
  size += 6;
  memcpy(text + size, " P ", 3);
  prefix_size = size + 3;
  memcpy(prefixes[1], text, prefix_size);
  prefixes[1][size + 1] = 'F';
}

static bool write_all(struct log *log, const char *text, size_t size) {
  ssize_t written = write(log->file, text, size);
  if (written == (ssize_t)size) return log->size += size, true;
  if (written > 0) (void)!ftruncate(log->file, (off_t)log->size);
  return false;
}

static bool report_loss(struct log *log) {
  char text[128];
  size_t size = format_time(text, now());
  memcpy(text + size, " stderr F swiftlet: ", 20);
  size += 20;
  size += format_number(text + size, log->unreported);
  static const char rest[] = " log lines lost: the disk was full\n";
  memcpy(text + size, rest, sizeof rest - 1);
  if (!write_all(log, text, size + sizeof rest - 1)) return false;
  log->unreported = 0;
  return true;
}

static void rotate(struct log *log) {
  log_rotate(log->directory, log->name, log->files, now());
  int file = openat(log->directory, log->name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
  if (file < 0) return;  // goes on in the old file and tries again after the next batch
  struct stat status;
  log->size = fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
  close(log->file);
  log->file = file;
}

static void flush(struct log *log) {
  size_t done = 0;  // bytes of the batch
  int first = 0;
  bool possible = log->unreported == 0 || report_loss(log);
  while (possible && first < batch.count) {
    ssize_t written = writev(log->file, batch.vectors + first, batch.count - first);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += (size_t)written;
    size_t rest = (size_t)written;
    while (first < batch.count && rest >= batch.vectors[first].iov_len) rest -= batch.vectors[first++].iov_len;
    if (first < batch.count) {
      batch.vectors[first].iov_base = (char *)batch.vectors[first].iov_base + rest;
      batch.vectors[first].iov_len -= rest;
    }
  }
  size_t whole = 0;
  while (whole < batch.records && batch.ends[whole] <= done) whole++;
  size_t kept = whole > 0 ? batch.ends[whole - 1] : 0;
  // A torn line would join the next one.
  if (done > kept) (void)!ftruncate(log->file, (off_t)(log->size + kept));
  log->size += kept;
  log->unreported += (uint32_t)(batch.records - whole);
  log->lost += (uint32_t)(batch.records - whole);
  batch.count = 0;
  batch.records = batch.bytes = 0;
  if (log->size >= log->limit) rotate(log);
}

static void push(const char *bytes, size_t size) {
  if (size == 0) return;
  batch.vectors[batch.count++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = size};
  batch.bytes += size;
}

/// Adds the record `pending + text`; pending is used up only when the batch is written.
static void record(struct stream *stream, bool whole, const char *text, size_t size) {
  struct log *log = stream->log;
  push(prefixes[whole ? 1 : 0], prefix_size);
  push(stream->pending, stream->used);
  push(text, size);
  push("\n", 1);
  batch.ends[batch.records++] = batch.bytes;
  bool used = stream->used > 0;
  if (used || batch.records == BATCH || log->size + batch.bytes >= log->limit) flush(log);
  if (used) {
    free(stream->pending);
    stream->pending = NULL;
    stream->used = 0;
  }
}

static void keep(struct stream *stream, const char *text, size_t size) {
  if (size == 0) return;
  char *grown = realloc(stream->pending, stream->used + size);
  if (grown == NULL) {
    stream->log->unreported++, stream->log->lost++;
    return;
  }
  memcpy(grown + stream->used, text, size);
  stream->pending = grown;
  stream->used += size;
}

static void consume(struct stream *stream, const char *text, size_t size) {
  if (stream->log->file < 0) return;
  prepare(stream);
  const char *end = text + size;
  while (text < end) {
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    const char *stop = newline != NULL ? newline : end;
    while (stream->used + (size_t)(stop - text) > LINE_MAX) {
      size_t part = LINE_MAX - stream->used;
      record(stream, false, text, part);
      text += part;
    }
    if (newline == NULL) break;
    record(stream, true, text, (size_t)(newline - text));
    text = newline + 1;
  }
  if (batch.records > 0) flush(stream->log);
  keep(stream, text, (size_t)(end - text));
}

/// Bytes read, 0 at the end of the stream, -1 if there is nothing now.
static ssize_t take(struct stream *stream) {
  static char buffer[READ_SIZE];
  ssize_t size;
  do size = read(stream->watch.fd, buffer, sizeof buffer);
  while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return -1;
  if (size <= 0) return 0;  // a terminal whose last user is gone says EIO
  consume(stream, buffer, (size_t)size);
  return size;
}

static void stream_close(struct stream *stream) {
  if (stream->watch.fd < 0) return;
  if (stream->used > 0) {
    prepare(stream);
    record(stream, false, NULL, 0);
  }
  watch_remove(&stream->watch);
  close_fd(&stream->watch.fd);
}

static void stream_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct stream *stream = CONTAINER_OF(watch, struct stream, watch);
  if (take(stream) == 0) stream_close(stream);
}

static struct log *log_new(void) {
  struct log *log = calloc(1, sizeof *log);
  if (log == NULL) return NULL;
  log->directory = log->file = -1;
  log->output = (struct stream){.watch = {stream_ready, -1}, .log = log, .name = "stdout"};
  log->error = (struct stream){.watch = {stream_ready, -1}, .log = log, .name = "stderr"};
  return log;
}

struct log *log_discard(void) { return log_new(); }

struct log *log_open(int directory, uint32_t attempt, uint64_t size, uint32_t files) {
  struct log *log = log_new();
  if (log == NULL) return NULL;
  log->limit = size;
  log->files = files;
  strcpy(log->name + format_number(log->name, attempt), ".log");
  log->directory = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (log->directory >= 0)
    log->file = openat(log->directory, log->name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
  struct stat status;
  if (log->file < 0 || fstat(log->file, &status) < 0) {
    int error = errno;
    log_finish(log);
    return errno = error, NULL;
  }
  log->size = (uint64_t)status.st_size;
  return log;
}

int log_read_from(struct log *log, int output, int error) {
  const int fds[2] = {output, error};
  struct stream *streams[2] = {&log->output, &log->error};
  int result = 0;
  for (int i = 0; i < 2; i++) {
    if (fds[i] < 0) continue;
    streams[i]->watch.fd = fds[i];
    if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0 || watch_add(&streams[i]->watch, EPOLLIN) < 0) result = -1;
  }
  return result;
}

int log_terminal(const struct log *log) { return log->output.watch.fd; }

uint32_t log_finish(struct log *log) {
  struct stream *streams[2] = {&log->output, &log->error};
  for (int i = 0; i < 2; i++) {
    // A process that was left behind may hold the pipe and even go on writing: what is there now counts.
    ssize_t size = 1;
    for (size_t total = 0; streams[i]->watch.fd >= 0 && size > 0 && total < DRAIN_MAX; total += (size_t)size)
      size = take(streams[i]);
    stream_close(streams[i]);
    free(streams[i]->pending);
  }
  if (log->unreported > 0 && log->file >= 0) report_loss(log);
  close_fd(&log->file);
  close_fd(&log->directory);
  uint32_t lost = log->lost;
  free(log);
  return lost;
}
