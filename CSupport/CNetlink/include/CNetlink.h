#pragma once
// First, as the kernel's headers leave to glibc what both define.
#include <netinet/in.h>
#include <time.h>
#include <linux/errqueue.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/if_link.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/gen_stats.h>
#include <linux/lwtunnel.h>
#include <linux/pkt_sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>

/// open(2) with O_CLOEXEC, on the calling thread while it is in the network namespace `nsfd`: a file below /proc/sys/net
/// is that of the namespace it was opened in.
int cn_open_in_netns(int nsfd, const char *path, int flags);

/// What the error queue of a socket with IP_RECVERR or IPV6_RECVERR holds (ip(7), struct sock_extended_err).
struct cn_socket_error {
  uint32_t error;   // errno
  uint32_t info;    // of an error about size, the MTU
  uint8_t origin;   // SO_EE_ORIGIN_*
  uint8_t type, code;
  uint8_t from_size; // bytes of `from`: 4, 16, or 0 where nobody sent it
  uint8_t from[16];
  uint8_t packet[8]; // how the payload of the packet that it is about begins
  uint32_t packet_size;
};
/// recvmsg(2) with MSG_ERRQUEUE, never blocking: 0, or -1 (EAGAIN: the queue is empty).
int cn_receive_error(int sock, struct cn_socket_error *error);
