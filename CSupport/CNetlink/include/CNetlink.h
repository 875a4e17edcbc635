#pragma once
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
