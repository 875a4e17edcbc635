// Connections: whoever is root may connect; one packet is one message. A packet that is not a well-formed message ends
// its connection and nothing else.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "podinit.h"

struct client {
  struct watch watch;
  struct client *next;
  bool broken;  // to be closed when its request was handled
};

static struct client *clients;
static unsigned client_count;

static void client_free(struct client *client) {
  struct client **link = &clients;
  while (*link != client) link = &(*link)->next;
  *link = client->next;
  client_count--;
  starts_forget_client(client);
  execs_forget_client(client);
  watch_remove(&client->watch);
  close(client->watch.fd);
  free(client);
  // Without a sandbox there is nothing to keep for another agent: the one that started this podinit has died.
  if (!podinit.ready && client_count == 0) _exit(0);
}

void client_close(struct client *client) {
  client->broken = true;
  // The loop sees the end of the connection and frees the client outside of any use of it.
  shutdown(client->watch.fd, SHUT_RDWR);
}

/// Receives one packet with its descriptors; -1 with EBADMSG if it was cut short.
static ssize_t receive(int socket, void *packet, size_t size, int *fds, size_t *count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * PI_DESCRIPTORS_MAX)];
  } control;
  struct iovec vector = {.iov_base = packet, .iov_len = size};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *count = 0;
  ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (length < 0) return -1;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t numbers = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < numbers && *count < PI_DESCRIPTORS_MAX; i++)
      memcpy(&fds[(*count)++], CMSG_DATA(part) + i * sizeof(int), sizeof(int));
  }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (size_t i = 0; i < *count; i++) close(fds[i]);
    *count = 0;
    return errno = EBADMSG, -1;
  }
  return length;
}

static void client_ready(struct watch *watch, uint32_t events) {
  struct client *client = CONTAINER_OF(watch, struct client, watch);
  (void)events;
  static _Alignas(8) uint8_t packet[PI_MESSAGE_MAX];
  int fds[PI_DESCRIPTORS_MAX];
  size_t count;
  ssize_t length = receive(watch->fd, packet, sizeof packet, fds, &count);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) return client_free(client);
  struct pi_header header;
  bool good = (size_t)length >= sizeof header;
  if (good) {
    memcpy(&header, packet, sizeof header);
    good = header.magic == PI_MAGIC && header.version == PI_VERSION && header.zero == 0 &&
           header.length == (size_t)length - sizeof header;
  }
  if (!good) {
    for (size_t i = 0; i < count; i++) close(fds[i]);
    return client_free(client);
  }
  if (!handle_request(client, &header, packet + sizeof header, fds, count) || client->broken) client_free(client);
}

void client_accept(struct watch *watch, uint32_t events) {
  (void)events;
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct ucred peer;
  socklen_t size = sizeof peer;
  // The socket's directory is for root only; this is the second lock.
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != 0 || client_count >= PI_CLIENTS_MAX) {
    close(fd);
    return;
  }
  struct client *client = calloc(1, sizeof *client);
  if (client == NULL) {
    close(fd);
    return;
  }
  client->watch = (struct watch){.ready = client_ready, .fd = fd};
  if (watch_add(&client->watch, EPOLLIN) < 0) {
    close(fd);
    free(client);
    return;
  }
  client->next = clients;
  clients = client;
  client_count++;
}

static void send_message(struct client *client, uint16_t type, uint64_t request, const void *body, size_t size,
                         const int *fds, size_t count) {
  struct pi_header header = {
      .magic = PI_MAGIC, .version = PI_VERSION, .type = type, .request = request, .length = (uint32_t)size};
  struct iovec vector[2] = {{&header, sizeof header}, {(void *)body, size}};
  struct msghdr message = {.msg_iov = vector, .msg_iovlen = size > 0 ? 2 : 1};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * 4)];
  } control = {0};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(part), fds, sizeof(int) * count);
  }
  // A client that does not read must not stop the pod: it is let go and finds everything in PI_STATUS later.
  if (sendmsg(client->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) client_close(client);
}

void answer(struct client *client, uint16_t type, uint64_t request, const void *body, size_t size, const int *fds,
            size_t count) {
  if (client != NULL) send_message(client, type, request, body, size, fds, count);
}

void answer_failure(struct client *client, uint64_t request, const struct failure *failure) {
  struct {
    struct pi_error error;
    char subject[PI_SUBJECT_MAX];
  } body = {.error = {.step = failure->step, .error = failure->error}};
  size_t length = strnlen(failure->subject, PI_SUBJECT_MAX);
  body.error.length = (uint32_t)length;
  memcpy(body.subject, failure->subject, length);
  answer(client, PI_ERROR, request, &body, sizeof body.error + length, NULL, 0);
}

void broadcast(uint16_t type, const void *body, size_t size) {
  for (struct client *client = clients; client != NULL; client = client->next)
    send_message(client, type, 0, body, size, NULL, 0);
}
