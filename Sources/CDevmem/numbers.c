/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the numbers that CDevmem's headers repeat with those of the installed kernel headers, if
 * they have them. A version below is that of a kernel whose headers certainly do.
 */
#include "CDevmem.h"

#include <linux/if.h>
#include <linux/io_uring.h>
#include <linux/version.h>

#define SAME(name) _Static_assert(cdm_##name == name, #name)

SAME(IFF_UP);
SAME(IFF_LOOPBACK);
SAME(IFF_LOWER_UP);

_Static_assert(offsetof(struct ethtool_rx_flow_spec, h_ext) ==
	       offsetof(struct ethtool_rx_flow_spec, h_u) + sizeof(union ethtool_flow_union),
	       "ethtool_rx_flow_spec.h_ext");
_Static_assert(offsetof(struct ethtool_rx_flow_spec, m_ext) ==
	       offsetof(struct ethtool_rx_flow_spec, m_u) + sizeof(union ethtool_flow_union),
	       "ethtool_rx_flow_spec.m_ext");

/* Addresses, ports and class have the same offsets in rules for TCP and for any protocol. */
#define SAME_PLACE(one, its, other, their) \
	_Static_assert(offsetof(struct one, its) == offsetof(struct other, their), #one "." #its)

SAME_PLACE(ethtool_tcpip4_spec, ip4src, ethtool_usrip4_spec, ip4src);
SAME_PLACE(ethtool_tcpip4_spec, ip4dst, ethtool_usrip4_spec, ip4dst);
SAME_PLACE(ethtool_tcpip4_spec, psrc, ethtool_usrip4_spec, l4_4_bytes);
SAME_PLACE(ethtool_tcpip4_spec, tos, ethtool_usrip4_spec, tos);
SAME_PLACE(ethtool_tcpip6_spec, ip6src, ethtool_usrip6_spec, ip6src);
SAME_PLACE(ethtool_tcpip6_spec, ip6dst, ethtool_usrip6_spec, ip6dst);
SAME_PLACE(ethtool_tcpip6_spec, psrc, ethtool_usrip6_spec, l4_4_bytes);
SAME_PLACE(ethtool_tcpip6_spec, tclass, ethtool_usrip6_spec, tclass);

#ifdef RXH_XFRM_NO_CHANGE
SAME(RXH_XFRM_NO_CHANGE);
_Static_assert(offsetof(struct ethtool_rxfh, input_xfrm) == cdm_ethtool_rxfh_input_xfrm,
	       "ethtool_rxfh.input_xfrm");
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/netdev.h>
SAME(NETDEV_FAMILY_VERSION);
SAME(NETDEV_CMD_PAGE_POOL_GET);
SAME(NETDEV_CMD_QUEUE_GET);
SAME(NETDEV_CMD_NAPI_GET);
SAME(NETDEV_CMD_QSTATS_GET);
SAME(NETDEV_CMD_BIND_RX);
SAME(NETDEV_A_DEV_IFINDEX);
SAME(NETDEV_A_PAGE_POOL_ID);
SAME(NETDEV_A_PAGE_POOL_IFINDEX);
SAME(NETDEV_A_PAGE_POOL_NAPI_ID);
SAME(NETDEV_A_PAGE_POOL_INFLIGHT);
SAME(NETDEV_A_PAGE_POOL_INFLIGHT_MEM);
SAME(NETDEV_A_PAGE_POOL_DETACH_TIME);
SAME(NETDEV_A_PAGE_POOL_DMABUF);
SAME(NETDEV_A_NAPI_IFINDEX);
SAME(NETDEV_A_NAPI_ID);
SAME(NETDEV_A_NAPI_IRQ);
SAME(NETDEV_A_NAPI_PID);
SAME(NETDEV_A_QUEUE_ID);
SAME(NETDEV_A_QUEUE_IFINDEX);
SAME(NETDEV_A_QUEUE_TYPE);
SAME(NETDEV_A_QUEUE_NAPI_ID);
SAME(NETDEV_A_QUEUE_DMABUF);
SAME(NETDEV_A_QSTATS_IFINDEX);
SAME(NETDEV_A_QSTATS_QUEUE_TYPE);
SAME(NETDEV_A_QSTATS_QUEUE_ID);
SAME(NETDEV_A_QSTATS_SCOPE);
SAME(NETDEV_A_QSTATS_RX_PACKETS);
SAME(NETDEV_A_QSTATS_TX_WAKE);
SAME(NETDEV_A_DMABUF_IFINDEX);
SAME(NETDEV_A_DMABUF_QUEUES);
SAME(NETDEV_A_DMABUF_FD);
SAME(NETDEV_A_DMABUF_ID);
SAME(NETDEV_QUEUE_TYPE_RX);
SAME(NETDEV_QUEUE_TYPE_TX);
SAME(NETDEV_QSTATS_SCOPE_QUEUE);

SAME(ETHTOOL_MSG_RSS_GET);
SAME(ETHTOOL_A_RSS_HEADER);
SAME(ETHTOOL_A_RSS_CONTEXT);
SAME(ETHTOOL_A_RSS_HFUNC);
SAME(ETHTOOL_A_RSS_INDIR);
SAME(ETHTOOL_A_RSS_HKEY);
SAME(ETHTOOL_A_RSS_INPUT_XFRM);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
SAME(NETDEV_CMD_BIND_TX);
SAME(NETDEV_A_NAPI_THREADED);
SAME(NETDEV_A_PAGE_POOL_IO_URING);
SAME(NETDEV_A_QUEUE_IO_URING);
SAME(NETDEV_A_QUEUE_XSK);
SAME(ETHTOOL_MSG_RSS_SET);
SAME(ETHTOOL_MSG_RSS_CREATE_ACT);
SAME(ETHTOOL_MSG_RSS_DELETE_ACT);
SAME(ETHTOOL_A_RINGS_HDS_THRESH);
SAME(ETHTOOL_A_RINGS_HDS_THRESH_MAX);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
SAME(NETDEV_CMD_QUEUE_CREATE);
SAME(NETDEV_A_QUEUE_LEASE);
SAME(NETDEV_A_LEASE_IFINDEX);
SAME(NETDEV_A_LEASE_QUEUE);
SAME(NETDEV_A_LEASE_NETNS_ID);
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
SAME(NETDEV_A_DMABUF_RX_PAGE_SIZE);
#endif

#define SAME_SIZE(name) _Static_assert(sizeof(struct cdm_##name) == sizeof(struct name), #name)

SAME(IORING_SETUP_CQSIZE);
SAME(IORING_SETUP_R_DISABLED);
SAME(IORING_SETUP_SUBMIT_ALL);
SAME(IORING_SETUP_CQE32);
SAME(IORING_SETUP_SINGLE_ISSUER);
SAME(IORING_SETUP_DEFER_TASKRUN);
SAME(IORING_ENTER_GETEVENTS);
SAME(IORING_REGISTER_ENABLE_RINGS);
SAME(IORING_OFF_SQ_RING);
SAME(IORING_OFF_SQES);
SAME(IORING_OP_ASYNC_CANCEL);
SAME(IORING_RECV_MULTISHOT);
SAME(IORING_CQE_F_MORE);
SAME_SIZE(io_uring_sqe);
SAME_SIZE(io_sqring_offsets);
SAME_SIZE(io_cqring_offsets);
SAME_SIZE(io_uring_params);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#include <linux/io_uring/query.h>
SAME(IORING_SETUP_NO_SQARRAY);
SAME(IORING_REGISTER_ZCRX_IFQ);
SAME(IORING_REGISTER_ZCRX_CTRL);
SAME(IORING_OP_RECV_ZC);
SAME(IORING_ZCRX_AREA_SHIFT);
SAME(IORING_ZCRX_AREA_DMABUF);
SAME(ZCRX_CTRL_FLUSH_RQ);
SAME(ZCRX_CTRL_EXPORT);
SAME(ZCRX_REG_IMPORT);
SAME(ZCRX_FEATURE_RX_PAGE_SIZE);
SAME(IORING_REGISTER_QUERY);
SAME(IO_URING_QUERY_ZCRX);
SAME_SIZE(io_uring_query_hdr);
SAME_SIZE(io_uring_query_zcrx);
SAME_PLACE(cdm_zcrx_ctrl, zcrx_fd, zcrx_ctrl, zc_export.zcrx_fd);
SAME_PLACE(cdm_io_uring_sqe, zcrx_ifq_idx, io_uring_sqe, zcrx_ifq_idx);
SAME_PLACE(cdm_io_uring_zcrx_area_reg, dmabuf_fd, io_uring_zcrx_area_reg, dmabuf_fd);
SAME_PLACE(cdm_io_uring_zcrx_ifq_reg, rx_buf_len, io_uring_zcrx_ifq_reg, rx_buf_len);
SAME_SIZE(io_uring_region_desc);
SAME_SIZE(io_uring_zcrx_rqe);
SAME_SIZE(io_uring_zcrx_offsets);
SAME_SIZE(io_uring_zcrx_area_reg);
SAME_SIZE(io_uring_zcrx_ifq_reg);
SAME_SIZE(zcrx_ctrl);
#endif
