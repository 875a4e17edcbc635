// libnftnl's nftnl_batch_is_supported() probes for kernels older than 3.16 and shares an object file with what is used, so
// the names it refers to must exist. Nobody here calls it; who did would be told at its first step that there is no
// socket, and get no further. (Without libmnl's header: these are names only.)
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

void *mnl_socket_open(int bus);
void *mnl_socket_open(int bus) {
  (void)bus;
  return errno = ENOSYS, NULL;
}

#define NEVER_REACHED(name) \
  void name(void);          \
  void name(void) { abort(); }

NEVER_REACHED(mnl_socket_bind)
NEVER_REACHED(mnl_socket_close)
NEVER_REACHED(mnl_socket_get_portid)
NEVER_REACHED(mnl_socket_recvfrom)
NEVER_REACHED(mnl_socket_sendto)
NEVER_REACHED(mnl_nlmsg_batch_start)
NEVER_REACHED(mnl_nlmsg_batch_stop)
NEVER_REACHED(mnl_nlmsg_batch_next)
NEVER_REACHED(mnl_nlmsg_batch_current)
NEVER_REACHED(mnl_nlmsg_batch_head)
NEVER_REACHED(mnl_nlmsg_batch_size)
NEVER_REACHED(mnl_nlmsg_batch_is_empty)
NEVER_REACHED(mnl_cb_run)
