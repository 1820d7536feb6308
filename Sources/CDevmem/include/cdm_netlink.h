/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink's numbers and layouts as typed constants: "cdm_" and the kernel's name of a number or,
 * for an offset, of the structure and its member. What the headers of Debian 12 (Linux 6.1) lack
 * is repeated here; numbers.c compares it where newer headers have it.
 */
#pragma once

#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stddef.h>
#include <stdint.h>

/* linux/netlink.h. */
enum : int32_t {
	cdm_NETLINK_ROUTE = NETLINK_ROUTE,
	cdm_NETLINK_SOCK_DIAG = NETLINK_SOCK_DIAG,
	cdm_NETLINK_GENERIC = NETLINK_GENERIC,
};

enum : uint16_t {
	cdm_NLMSG_ERROR = NLMSG_ERROR,
	cdm_NLMSG_DONE = NLMSG_DONE,

	cdm_NLM_F_DUMP_INTR = NLM_F_DUMP_INTR,
	cdm_NLM_F_CAPPED = NLM_F_CAPPED,
	cdm_NLM_F_ACK_TLVS = NLM_F_ACK_TLVS,

	cdm_NLMSGERR_ATTR_MSG = NLMSGERR_ATTR_MSG,
	cdm_NLMSGERR_ATTR_OFFS = NLMSGERR_ATTR_OFFS,
	cdm_NLMSGERR_ATTR_MISS_TYPE = NLMSGERR_ATTR_MISS_TYPE,
	cdm_NLMSGERR_ATTR_MISS_NEST = NLMSGERR_ATTR_MISS_NEST,

	cdm_NLA_F_NESTED = NLA_F_NESTED,
	cdm_NLA_TYPE_MASK = (uint16_t)NLA_TYPE_MASK,

	cdm_NL_POLICY_TYPE_ATTR_POLICY_IDX = NL_POLICY_TYPE_ATTR_POLICY_IDX,
};

enum : intptr_t {
	cdm_nlmsghdr_size = sizeof(struct nlmsghdr),
	cdm_nlmsghdr_type = offsetof(struct nlmsghdr, nlmsg_type),
	cdm_nlmsghdr_flags = offsetof(struct nlmsghdr, nlmsg_flags),
	cdm_nlmsghdr_seq = offsetof(struct nlmsghdr, nlmsg_seq),

	cdm_nlmsgerr_msg = offsetof(struct nlmsgerr, msg),

	cdm_nlattr_size = sizeof(struct nlattr),
	cdm_nlattr_type = offsetof(struct nlattr, nla_type),
};
_Static_assert(offsetof(struct nlmsghdr, nlmsg_len) == 0, "nlmsghdr.nlmsg_len");
_Static_assert(offsetof(struct nlmsgerr, error) == 0, "nlmsgerr.error");
_Static_assert(offsetof(struct nlattr, nla_len) == 0, "nlattr.nla_len");
_Static_assert(NLMSG_ALIGNTO == 4 && NLA_ALIGNTO == 4, "netlink's alignment");

/* linux/genetlink.h. */
enum : int32_t {
	cdm_GENL_ID_CTRL = GENL_ID_CTRL,
};

enum : uint8_t {
	cdm_CTRL_CMD_GETFAMILY = CTRL_CMD_GETFAMILY,
	cdm_CTRL_CMD_GETPOLICY = CTRL_CMD_GETPOLICY,
};

enum : uint16_t {
	cdm_CTRL_ATTR_FAMILY_NAME = CTRL_ATTR_FAMILY_NAME,
	cdm_CTRL_ATTR_OPS = CTRL_ATTR_OPS,
	cdm_CTRL_ATTR_POLICY = CTRL_ATTR_POLICY,
	cdm_CTRL_ATTR_OP_POLICY = CTRL_ATTR_OP_POLICY,
	cdm_CTRL_ATTR_OP_ID = CTRL_ATTR_OP_ID,
	cdm_CTRL_ATTR_POLICY_DO = CTRL_ATTR_POLICY_DO,
};

enum : intptr_t {
	cdm_genlmsghdr_size = sizeof(struct genlmsghdr),
};
_Static_assert(offsetof(struct genlmsghdr, cmd) == 0, "genlmsghdr.cmd");

/* linux/rtnetlink.h, linux/if_link.h and linux/if.h. */
enum : int32_t {
	cdm_RTNLGRP_LINK = RTNLGRP_LINK,
};

enum : uint32_t {
	cdm_IFF_UP = 1 << 0,
	cdm_IFF_LOOPBACK = 1 << 3,
	cdm_IFF_LOWER_UP = 1 << 16,

	cdm_XDP_FLAGS_SKB_MODE = XDP_FLAGS_SKB_MODE,
	cdm_XDP_ATTACHED_DRV = XDP_ATTACHED_DRV,
	cdm_XDP_ATTACHED_SKB = XDP_ATTACHED_SKB,
	cdm_XDP_ATTACHED_HW = XDP_ATTACHED_HW,
	cdm_XDP_ATTACHED_MULTI = XDP_ATTACHED_MULTI,
};

enum : uint8_t {
	cdm_RTN_LOCAL = RTN_LOCAL,
};

enum : uint16_t {
	cdm_RTM_NEWLINK = RTM_NEWLINK,
	cdm_RTM_DELLINK = RTM_DELLINK,
	cdm_RTM_GETLINK = RTM_GETLINK,
	cdm_RTM_SETLINK = RTM_SETLINK,
	cdm_RTM_GETROUTE = RTM_GETROUTE,
	cdm_RTM_NEWNSID = RTM_NEWNSID,
	cdm_RTM_GETNSID = RTM_GETNSID,

	cdm_NETNSA_NSID = NETNSA_NSID,
	cdm_NETNSA_FD = NETNSA_FD,

	cdm_RTA_DST = RTA_DST,
	cdm_RTA_SRC = RTA_SRC,
	cdm_RTA_OIF = RTA_OIF,

	cdm_IFLA_ADDRESS = IFLA_ADDRESS,
	cdm_IFLA_IFNAME = IFLA_IFNAME,
	cdm_IFLA_MTU = IFLA_MTU,
	cdm_IFLA_LINK = IFLA_LINK,
	cdm_IFLA_MASTER = IFLA_MASTER,
	cdm_IFLA_OPERSTATE = IFLA_OPERSTATE,
	cdm_IFLA_LINKINFO = IFLA_LINKINFO,
	cdm_IFLA_INFO_KIND = IFLA_INFO_KIND,
	cdm_IFLA_LINK_NETNSID = IFLA_LINK_NETNSID,
	cdm_IFLA_XDP = IFLA_XDP,
	cdm_IFLA_NEW_NETNSID = IFLA_NEW_NETNSID,
	cdm_IFLA_TARGET_NETNSID = IFLA_TARGET_NETNSID,
	cdm_IFLA_PARENT_DEV_NAME = IFLA_PARENT_DEV_NAME,
	cdm_IFLA_PARENT_DEV_BUS_NAME = IFLA_PARENT_DEV_BUS_NAME,

	cdm_IFLA_XDP_FD = IFLA_XDP_FD,
	cdm_IFLA_XDP_ATTACHED = IFLA_XDP_ATTACHED,
	cdm_IFLA_XDP_FLAGS = IFLA_XDP_FLAGS,
	cdm_IFLA_XDP_PROG_ID = IFLA_XDP_PROG_ID,
};

enum : int32_t {
	cdm_NETNSA_NSID_NOT_ASSIGNED = NETNSA_NSID_NOT_ASSIGNED,
};

enum : intptr_t {
	/* What follows it is aligned. */
	cdm_rtgenmsg_size = NLMSG_ALIGN(sizeof(struct rtgenmsg)),

	cdm_ifinfomsg_size = sizeof(struct ifinfomsg),
	cdm_ifinfomsg_family = offsetof(struct ifinfomsg, ifi_family),
	cdm_ifinfomsg_index = offsetof(struct ifinfomsg, ifi_index),
	cdm_ifinfomsg_flags = offsetof(struct ifinfomsg, ifi_flags),

	cdm_rtmsg_size = sizeof(struct rtmsg),
	cdm_rtmsg_family = offsetof(struct rtmsg, rtm_family),
	cdm_rtmsg_dst_len = offsetof(struct rtmsg, rtm_dst_len),
	cdm_rtmsg_src_len = offsetof(struct rtmsg, rtm_src_len),
	cdm_rtmsg_type = offsetof(struct rtmsg, rtm_type),
};

/* linux/sock_diag.h and linux/unix_diag.h. */
enum : uint16_t {
	cdm_SOCK_DIAG_BY_FAMILY = SOCK_DIAG_BY_FAMILY,
	cdm_UNIX_DIAG_NAME = UNIX_DIAG_NAME,
	cdm_UNIX_DIAG_UID = UNIX_DIAG_UID,
};

enum : uint32_t {
	cdm_UDIAG_SHOW_NAME = UDIAG_SHOW_NAME,
	cdm_UDIAG_SHOW_UID = UDIAG_SHOW_UID,
};

enum : intptr_t {
	cdm_unix_diag_req_size = sizeof(struct unix_diag_req),
	cdm_unix_diag_req_family = offsetof(struct unix_diag_req, sdiag_family),
	cdm_unix_diag_req_states = offsetof(struct unix_diag_req, udiag_states),
	cdm_unix_diag_req_show = offsetof(struct unix_diag_req, udiag_show),

	cdm_unix_diag_msg_size = sizeof(struct unix_diag_msg),
	cdm_unix_diag_msg_type = offsetof(struct unix_diag_msg, udiag_type),
	cdm_unix_diag_msg_ino = offsetof(struct unix_diag_msg, udiag_ino),
};

/* linux/netdev.h of Linux 7.3. */
enum : uint8_t {
	cdm_NETDEV_FAMILY_VERSION = 1,

	cdm_NETDEV_CMD_PAGE_POOL_GET = 5,
	cdm_NETDEV_CMD_QUEUE_GET = 10,
	cdm_NETDEV_CMD_NAPI_GET = 11,
	cdm_NETDEV_CMD_QSTATS_GET = 12,
	cdm_NETDEV_CMD_BIND_RX = 13,
	cdm_NETDEV_CMD_BIND_TX = 15,
	cdm_NETDEV_CMD_QUEUE_CREATE = 16,
};

enum : uint16_t {
	cdm_NETDEV_A_DEV_IFINDEX = 1,

	cdm_NETDEV_A_PAGE_POOL_ID = 1,
	cdm_NETDEV_A_PAGE_POOL_IFINDEX = 2,
	cdm_NETDEV_A_PAGE_POOL_NAPI_ID = 3,
	cdm_NETDEV_A_PAGE_POOL_INFLIGHT = 4,
	cdm_NETDEV_A_PAGE_POOL_INFLIGHT_MEM = 5,
	cdm_NETDEV_A_PAGE_POOL_DETACH_TIME = 6,
	cdm_NETDEV_A_PAGE_POOL_DMABUF = 7,
	cdm_NETDEV_A_PAGE_POOL_IO_URING = 8,

	cdm_NETDEV_A_NAPI_IFINDEX = 1,
	cdm_NETDEV_A_NAPI_ID = 2,
	cdm_NETDEV_A_NAPI_IRQ = 3,
	cdm_NETDEV_A_NAPI_PID = 4,
	cdm_NETDEV_A_NAPI_THREADED = 8,

	cdm_NETDEV_A_QUEUE_ID = 1,
	cdm_NETDEV_A_QUEUE_IFINDEX = 2,
	cdm_NETDEV_A_QUEUE_TYPE = 3,
	cdm_NETDEV_A_QUEUE_NAPI_ID = 4,
	cdm_NETDEV_A_QUEUE_DMABUF = 5,
	cdm_NETDEV_A_QUEUE_IO_URING = 6,
	cdm_NETDEV_A_QUEUE_XSK = 7,
	cdm_NETDEV_A_QUEUE_LEASE = 8,

	cdm_NETDEV_A_QSTATS_IFINDEX = 1,
	cdm_NETDEV_A_QSTATS_QUEUE_TYPE = 2,
	cdm_NETDEV_A_QSTATS_QUEUE_ID = 3,
	cdm_NETDEV_A_QSTATS_SCOPE = 4,
	cdm_NETDEV_A_QSTATS_RX_PACKETS = 8,
	cdm_NETDEV_A_QSTATS_TX_WAKE = 34,

	cdm_NETDEV_A_LEASE_IFINDEX = 1,
	cdm_NETDEV_A_LEASE_QUEUE = 2,
	cdm_NETDEV_A_LEASE_NETNS_ID = 3,

	cdm_NETDEV_A_DMABUF_IFINDEX = 1,
	cdm_NETDEV_A_DMABUF_QUEUES = 2,
	cdm_NETDEV_A_DMABUF_FD = 3,
	cdm_NETDEV_A_DMABUF_ID = 4,
	cdm_NETDEV_A_DMABUF_RX_PAGE_SIZE = 5,
};

enum : uint32_t {
	cdm_NETDEV_QUEUE_TYPE_RX = 0,
	cdm_NETDEV_QUEUE_TYPE_TX = 1,
};

enum : uint64_t {
	cdm_NETDEV_QSTATS_SCOPE_QUEUE = 1,
};
