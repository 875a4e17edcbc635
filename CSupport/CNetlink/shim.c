#define _GNU_SOURCE
#include "CNetlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int cn_open_in_netns(int nsfd, const char *path, int flags) {
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return -1;
  if (setns(nsfd, CLONE_NEWNET) < 0) {
    int saved = errno;
    close(home);
    return errno = saved, -1;
  }
  int fd = open(path, flags | O_CLOEXEC);
  int saved = errno;
  // A thread that cannot go home would act in the wrong namespace from then on: there is nothing safe left to do.
  if (setns(home, CLONE_NEWNET) < 0) abort();
  close(home);
  return errno = saved, fd;
}

int cn_receive_error(int sock, struct cn_socket_error *error) {
  memset(error, 0, sizeof *error);
  union {
    char bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
    struct cmsghdr align;
  } control;
  struct iovec data = {error->packet, sizeof error->packet};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t size = recvmsg(sock, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  if (size < 0) return -1;
  error->packet_size = (uint32_t)size;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    int is_error = (part->cmsg_level == SOL_IP && part->cmsg_type == IP_RECVERR) ||
                   (part->cmsg_level == SOL_IPV6 && part->cmsg_type == IPV6_RECVERR);
    if (!is_error || part->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err))) continue;
    struct sock_extended_err what;
    memcpy(&what, CMSG_DATA(part), sizeof what);
    error->error = what.ee_errno;
    error->info = what.ee_info;
    error->origin = what.ee_origin;
    error->type = what.ee_type;
    error->code = what.ee_code;
    // The address of who complained follows (SO_EE_OFFENDER).
    size_t rest = part->cmsg_len - CMSG_LEN(sizeof what);
    const unsigned char *from = CMSG_DATA(part) + sizeof what;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (rest >= sizeof v4 && (memcpy(&v4, from, sizeof v4), v4.sin_family == AF_INET)) {
      error->from_size = 4;
      memcpy(error->from, &v4.sin_addr, 4);
    } else if (rest >= sizeof v6 && (memcpy(&v6, from, sizeof v6), v6.sin6_family == AF_INET6)) {
      error->from_size = 16;
      memcpy(error->from, &v6.sin6_addr, 16);
    }
  }
  return 0;
}
