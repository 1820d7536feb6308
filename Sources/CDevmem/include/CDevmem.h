/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the C library and the kernel's headers that Swift cannot import: function-like
 * macros, ioctl numbers, variadic and GNU-only functions, system calls without a function, a BPF
 * program, and uapi newer than Debian 12's headers.
 */
#pragma once

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <linux/udmabuf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "cdm_cuda.h"
#include "cdm_ethtool.h"
#include "cdm_io_uring.h"
#include "cdm_netlink.h"
#include "cdm_rocm.h"

/* asm-generic/socket.h of Linux 6.12; parisc and sparc use other numbers. */
#if defined(__hppa__)
#define CDM_SO_DEVMEM_LINEAR 0x404E
#define CDM_SO_DEVMEM_DMABUF 0x404F
#define CDM_SO_DEVMEM_DONTNEED 0x4050
#elif defined(__sparc__)
#define CDM_SO_DEVMEM_LINEAR 0x0057
#define CDM_SO_DEVMEM_DMABUF 0x0058
#define CDM_SO_DEVMEM_DONTNEED 0x0059
#else
#define CDM_SO_DEVMEM_LINEAR 78
#define CDM_SO_DEVMEM_DMABUF 79
#define CDM_SO_DEVMEM_DONTNEED 80
#endif

#if defined(SO_DEVMEM_DONTNEED)
_Static_assert(SO_DEVMEM_LINEAR == CDM_SO_DEVMEM_LINEAR, "SO_DEVMEM_LINEAR");
_Static_assert(SO_DEVMEM_DMABUF == CDM_SO_DEVMEM_DMABUF, "SO_DEVMEM_DMABUF");
_Static_assert(SO_DEVMEM_DONTNEED == CDM_SO_DEVMEM_DONTNEED, "SO_DEVMEM_DONTNEED");
#endif

/* include/linux/socket.h of the kernel; not exported to uapi. */
#define CDM_MSG_SOCK_DEVMEM 0x2000000

/* include/linux/errno.h; not exported to uapi. */
#define CDM_ENOTSUPP 524
#define CDM_ETOOSMALL 525

/* struct dmabuf_cmsg of linux/uio.h (6.12). */
struct cdm_dmabuf_cmsg {
	uint64_t frag_offset;
	uint32_t frag_size;
	uint32_t frag_token;
	uint32_t dmabuf_id;
	uint32_t flags;
};
_Static_assert(sizeof(struct cdm_dmabuf_cmsg) == 24, "dmabuf_cmsg");
_Static_assert(offsetof(struct cdm_dmabuf_cmsg, dmabuf_id) == 16, "dmabuf_cmsg.dmabuf_id");

/* struct dmabuf_token of linux/uio.h (6.12). */
struct cdm_dmabuf_token {
	uint32_t token_start;
	uint32_t token_count;
};
_Static_assert(sizeof(struct cdm_dmabuf_token) == 8, "dmabuf_token");

/* struct cmsghdr without its flexible array member, which Swift cannot load as a value. */
struct cdm_cmsghdr {
	size_t cmsg_len;
	int cmsg_level;
	int cmsg_type;
};
_Static_assert(sizeof(struct cdm_cmsghdr) == sizeof(struct cmsghdr), "cmsghdr");
_Static_assert(offsetof(struct cdm_cmsghdr, cmsg_type) == offsetof(struct cmsghdr, cmsg_type),
	       "cmsghdr.cmsg_type");

/* struct epoll_params of linux/eventpoll.h (6.9), and its ioctl. */
struct cdm_epoll_params {
	uint32_t busy_poll_usecs;
	uint16_t busy_poll_budget;
	uint8_t prefer_busy_poll;
	uint8_t pad;
};
_Static_assert(sizeof(struct cdm_epoll_params) == 8, "epoll_params");
static const unsigned long cdm_EPIOCSPARAMS = _IOW(0x8A, 0x01, struct cdm_epoll_params);

/* The alignment of control messages, and the space for a dmabuf_cmsg. */
static const size_t cdm_cmsg_alignment = CMSG_ALIGN(1);
static const size_t cdm_cmsg_space_dmabuf = CMSG_SPACE(sizeof(struct cdm_dmabuf_cmsg));

static const unsigned long cdm_UDMABUF_CREATE = UDMABUF_CREATE;
static const unsigned long cdm_DMA_BUF_IOCTL_SYNC = DMA_BUF_IOCTL_SYNC;
static const unsigned long cdm_DMA_HEAP_IOCTL_ALLOC = DMA_HEAP_IOCTL_ALLOC;
static const unsigned long cdm_SIOCETHTOOL = SIOCETHTOOL;

/* linux/capability.h. */
static const uint32_t cdm_CAPABILITY_VERSION = _LINUX_CAPABILITY_VERSION_3;

/* linux/magic.h. */
static const long cdm_PROC_SUPER_MAGIC = PROC_SUPER_MAGIC;

static const uint8_t cdm_SO_EE_ORIGIN_ZEROCOPY = SO_EE_ORIGIN_ZEROCOPY;

/* The importer does not regard a structure that holds a union as one of plain bytes. */
enum : intptr_t {
	cdm_extended_err_size = sizeof(struct sock_extended_err),
	cdm_extended_err_errno = offsetof(struct sock_extended_err, ee_errno),
	cdm_extended_err_origin = offsetof(struct sock_extended_err, ee_origin),
	cdm_extended_err_code = offsetof(struct sock_extended_err, ee_code),
	cdm_extended_err_info = offsetof(struct sock_extended_err, ee_info),
	cdm_extended_err_data = offsetof(struct sock_extended_err, ee_data),
};

/*
 * GNU extensions, defined in CDevmem.c: if this header defined _GNU_SOURCE, this module would see
 * other layouts of the C library's types than the modules imported with it.
 */
extern const int cdm_F_SETPIPE_SZ;
extern const int cdm_F_GETPIPE_SZ;
extern const int cdm_EPOLL_CLOEXEC;
extern const uint32_t cdm_EPOLLET;
extern const int cdm_TFD_CLOEXEC;
extern const int cdm_TFD_NONBLOCK;
extern const int cdm_O_DIRECT;
extern const int cdm_O_PATH;
extern const int cdm_AT_EMPTY_PATH;
extern const int cdm_F_ADD_SEALS;
extern const int cdm_F_SEAL_SHRINK;
extern const int cdm_F_SEAL_WRITE;
extern const unsigned int cdm_MFD_CLOEXEC;
extern const unsigned int cdm_MFD_ALLOW_SEALING;
extern const unsigned int cdm_MFD_HUGETLB;
extern const unsigned int cdm_MFD_HUGE_SHIFT;
extern const int cdm_RUSAGE_THREAD;

/*
 * Enumerators of the C library under names of our own: theirs lie in headers that other modules
 * include as well, and in which of them the importer finds one depends on the order of loading.
 */
enum : int32_t {
	cdm_SOCK_STREAM = SOCK_STREAM,
	cdm_SOCK_DGRAM = SOCK_DGRAM,
	cdm_SOCK_CLOEXEC = SOCK_CLOEXEC,
	cdm_SOCK_NONBLOCK = SOCK_NONBLOCK,
	cdm_MSG_DONTWAIT = MSG_DONTWAIT,
	cdm_MSG_NOSIGNAL = MSG_NOSIGNAL,
	cdm_MSG_ERRQUEUE = MSG_ERRQUEUE,
	cdm_MSG_ZEROCOPY = MSG_ZEROCOPY,
	cdm_MSG_PEEK = MSG_PEEK,
	cdm_MSG_CTRUNC = MSG_CTRUNC,
	cdm_MSG_CMSG_CLOEXEC = MSG_CMSG_CLOEXEC,
	cdm_SCM_RIGHTS = SCM_RIGHTS,
	cdm_MPOL_PREFERRED = MPOL_PREFERRED,
	cdm_SHUT_WR = SHUT_WR,
	cdm_SO_MAX_PACING_RATE = SO_MAX_PACING_RATE,
	cdm_SO_NETNS_COOKIE = SO_NETNS_COOKIE,
	cdm_SI_KERNEL = SI_KERNEL,
	/* linux/tcp.h of Linux 6.15. */
	cdm_TCP_RTO_MAX_MS = 44,

	cdm_IPPROTO_IP = IPPROTO_IP,
	cdm_IPPROTO_TCP = IPPROTO_TCP,
	cdm_IPPROTO_UDP = IPPROTO_UDP,
	cdm_IPPROTO_IPV6 = IPPROTO_IPV6,
	cdm_IPPROTO_ESP = IPPROTO_ESP,
	cdm_IPPROTO_AH = IPPROTO_AH,
	cdm_IPPROTO_SCTP = IPPROTO_SCTP,
};

/* States of net/tcp_states.h in the kernel, which netinet/tcp.h repeats. */
enum : uint8_t {
	cdm_TCP_CLOSE = TCP_CLOSE,
	cdm_TCP_CLOSE_WAIT = TCP_CLOSE_WAIT,
	cdm_TCP_LAST_ACK = TCP_LAST_ACK,
	cdm_TCP_LISTEN = TCP_LISTEN,
	cdm_TCP_CLOSING = TCP_CLOSING,
};

int cdm_ioctl(int fd, unsigned long request, void *argument);
int cdm_open(const char *path, int flags, mode_t mode);
int cdm_openat(int folder, const char *path, int flags, mode_t mode);
const char *cdm_secure_getenv(const char *name);
char **cdm_environment(void);
int cdm_pidfd_open(pid_t pid);
int cdm_enter_network_namespace(int fd);
int cdm_capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data);
int cdm_capset(struct __user_cap_header_struct *header,
	       const struct __user_cap_data_struct *data);
/* prctl(2) with PR_SET_NO_NEW_PRIVS. */
int cdm_set_no_new_privs(void);
/* Loads an XDP program that passes every packet, also one in fragments, with bpf(2). */
int cdm_load_xdp_pass(void);
int cdm_WTERMSIG(int status);
int cdm_WEXITSTATUS(int status);
int cdm_flock(int fd, int operation);
int cdm_fcntl(int fd, int command, long argument);
/* Moves a mapping with MREMAP_FIXED. */
void *cdm_mremap(void *from, size_t size, void *to);
int cdm_ppoll(struct pollfd *watched, unsigned long count, const struct timespec *timeout);
int cdm_memfd_create(const char *name, unsigned int flags);
/* set_mempolicy(2) and get_mempolicy(2), which the C library does not have. */
long cdm_set_mempolicy(int mode, const unsigned long *nodes, unsigned long bits);
long cdm_get_mempolicy(int *mode, unsigned long *nodes, unsigned long bits);
int cdm_set_affinity(const void *mask, size_t size);
int cdm_get_affinity(void *mask, size_t size);
const char *cdm_commit(void);
int cdm_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
