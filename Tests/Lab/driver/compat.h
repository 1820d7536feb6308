/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels. No other file asks for the version. */
#ifndef LABNIC_COMPAT_H
#define LABNIC_COMPAT_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0) || \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0) && \
	 LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0))
#error "labnic needs Linux 6.12, or 7.2 or later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#include "compat-6.12.h"
#else
#include <net/netdev_lock.h>

/* The core has a configuration of each queue, and the driver reads it. */
#define LABNIC_QUEUE_CONFIG

/* What protects the settings and the queues of a device. */
static inline bool labnic_is_locked(const struct net_device *dev)
{
	return lockdep_is_held(&dev->lock);
}

/* The core owns the setting; this is for its first value. Returns the
 * threshold in effect.
 */
static inline u32 labnic_set_hds_thresh(struct net_device *dev, u32 bytes)
{
	dev->cfg->hds_thresh = bytes;
	return bytes;
}

static inline void labnic_forget_hds_thresh(struct net_device *dev)
{
	dev->cfg_pending->hds_thresh = 0;
}

static inline u32
labnic_ring_hds_thresh(const struct kernel_ethtool_ringparam *ring)
{
	return ring->hds_thresh;
}

static inline void
labnic_ring_set_hds_max(struct kernel_ethtool_ringparam *ring, u32 max)
{
	ring->hds_thresh_max = max;
}

/* The user's header split as the core keeps it, before and after the change
 * that is under way. An older core keeps nothing, and the driver's @own counts.
 */
static inline u8 labnic_split_before(const struct net_device *dev, u8 own)
{
	return dev->cfg->hds_config;
}

static inline u8 labnic_split_after(const struct net_device *dev, u8 own)
{
	return dev->cfg_pending->hds_config;
}

/* The user's header split in a request to report the rings. */
static inline u8
labnic_ring_split(const struct kernel_ethtool_ringparam *ring, u8 own)
{
	return ring->tcp_data_split;
}

/* The same in a request to set them. An older core repeats what is @reported
 * unless the user wants another.
 */
static inline u8
labnic_ring_split_wish(const struct kernel_ethtool_ringparam *ring, u8 own,
		       u8 reported)
{
	return ring->tcp_data_split;
}

/* The error for a queue that is restarted while the device is down, which the
 * core does not ask to start.
 */
static inline int labnic_queue_down(int manners)
{
	return manners;
}

static inline void labnic_enable_netmem_tx(struct net_device *dev)
{
	dev->netmem_tx = NETMEM_TX_DMA;
}

/* A fragment of a dma-buf that is to be sent, and its DMA address. */
static inline bool labnic_frag_is_dmabuf(const skb_frag_t *frag,
					 dma_addr_t *dma)
{
	netmem_ref netmem = skb_frag_netmem(frag);

	if (!netmem_is_net_iov(netmem))
		return false;
	*dma = netmem_get_dma_addr(netmem);
	return true;
}

/* The operations that run under the RTNL lock, ETHTOOL_OP_NEEDS_RTNL_... */
static inline void labnic_need_rtnl(struct ethtool_ops *ops, u32 which)
{
	ops->op_needs_rtnl |= which;
}

/* An older core asks get_rxnfc for the number of rings. */
static inline void
labnic_set_ring_count(struct ethtool_ops *ops,
		      u32 (*count)(struct net_device *dev))
{
	ops->get_rx_ring_count = count;
}

static inline int labnic_get_rxnfc_other(struct net_device *dev,
					 struct ethtool_rxnfc *nfc)
{
	return -EOPNOTSUPP;
}
#endif

#endif
