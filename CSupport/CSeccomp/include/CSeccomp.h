// libseccomp, and the one system call that Swift cannot make by itself.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>

/// seccomp(2), SECCOMP_SET_MODE_FILTER on the calling thread, of `size` bytes of struct sock_filter. 0, or -1 with errno.
int cseccomp_load(const void *program, size_t size);
