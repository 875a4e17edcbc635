// The round trips of scripts/bench overlay: one byte there, one byte back, over TCP or UDP.
//   ping-pong serve PORT                            answers both, one TCP connection at a time, until it is killed
//   ping-pong tcp|udp ADDRESS PORT MILLISECONDS     prints how many round trips, and their median and 99th percentile in ns
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int serve(struct sockaddr_in *address) {
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0), stream = -1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)address, sizeof *address) || listen(listener, 8)) return fail("listen");
  if (bind(datagrams, (struct sockaddr *)address, sizeof *address)) return fail("bind");
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd polls[3] = {{listener, POLLIN, 0}, {datagrams, POLLIN, 0}, {stream, POLLIN, 0}};
    if (poll(polls, 3, -1) < 0) return fail("poll");
    char byte;
    if (polls[0].revents) {
      if (stream >= 0) close(stream);
      stream = accept(listener, NULL, NULL);
      setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    } else if (polls[2].revents && (read(stream, &byte, 1) != 1 || write(stream, &byte, 1) != 1)) {
      close(stream);
      stream = -1;
    }
    if (polls[1].revents) {
      struct sockaddr_in peer;
      socklen_t size = sizeof peer;
      if (recvfrom(datagrams, &byte, 1, 0, (struct sockaddr *)&peer, &size) == 1)
        sendto(datagrams, &byte, 1, 0, (struct sockaddr *)&peer, size);
    }
  }
}

static int compare(const void *a, const void *b) {
  long long x = *(const long long *)a, y = *(const long long *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **words) {
  if (count < 3) return 2;
  int is_server = !strcmp(words[1], "serve");
  if (!is_server && count < 5) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[is_server ? 2 : 3]))};
  if (is_server) return serve(&address);
  if (inet_pton(AF_INET, words[2], &address.sin_addr) != 1) return 2;
  int is_tcp = !strcmp(words[1], "tcp"), on = 1, other = socket(AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
  struct timeval limit = {1, 0};
  setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (is_tcp) setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(other, (struct sockaddr *)&address, sizeof address)) return fail("connect");
  enum { most = 1 << 22 };
  long long *times = malloc(most * sizeof *times), end = now() + atoll(words[4]) * 1000000;
  if (!times) return fail("malloc");
  size_t trips = 0;
  char byte = 'x';
  for (long long start = now(); start < end && trips < most; start = now()) {
    if (write(other, &byte, 1) != 1 || read(other, &byte, 1) != 1) return fail("round trip");
    times[trips++] = now() - start;
  }
  qsort(times, trips, sizeof *times, compare);
  printf("%zu %lld %lld\n", trips, times[trips / 2], times[trips - trips / 100 - 1]);
  return 0;
}
