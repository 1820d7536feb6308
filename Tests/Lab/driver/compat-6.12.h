/* SPDX-License-Identifier: GPL-2.0 */
/* What Linux 6.12 lacks of compat.h: it has no memory to send from, no split
 * threshold, no lock of a device and no pages larger than one.
 */
#ifndef LABNIC_COMPAT_6_12_H
#define LABNIC_COMPAT_6_12_H

#include <linux/ethtool_netlink.h>
#include <linux/hrtimer.h>
#include <linux/mod_devicetable.h>
#include <linux/rtnetlink.h>

/* From 6.12.91 on the pool of a dma-buf is synced, before it must not be. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 91)
#error "labnic needs Linux 6.12.91 or later"
#endif

#define ETHTOOL_RING_USE_HDS_THRS		0
#define ETHTOOL_OP_NEEDS_RTNL_SCHANNELS		0
#define ETHTOOL_OP_NEEDS_RTNL_SRINGPARAM	0
#define ETHTOOL_OP_NEEDS_RTNL_RSS		0
#define SKB_GSO_TCP_ACCECN			0

#define cmp_int(a, b)	(((a) > (b)) - ((a) < (b)))

/* The RTNL lock protects all devices. */
#define napi_enable_locked		napi_enable
#define napi_disable_locked		napi_disable
#define netif_napi_add_locked		netif_napi_add
#define netif_napi_del_locked		netif_napi_del
#define __netif_napi_del_locked		__netif_napi_del
#define netif_close			dev_close

static inline void
netif_napi_add_config_locked(struct net_device *dev, struct napi_struct *napi,
			     int (*poll)(struct napi_struct *napi, int budget),
			     int index)
{
	netif_napi_add(dev, napi, poll);
}

static inline bool labnic_is_locked(const struct net_device *dev)
{
	return lockdep_rtnl_is_held();
}

static inline void
hrtimer_setup(struct hrtimer *timer,
	      enum hrtimer_restart (*function)(struct hrtimer *timer),
	      clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}

struct netdev_queue_config {
	u32	rx_page_size;
};

static inline void netdev_queue_config(struct net_device *dev, int index,
				       struct netdev_queue_config *cfg)
{
	cfg->rx_page_size = PAGE_SIZE;
}

static inline bool netif_rxq_has_unreadable_mp(struct net_device *dev,
					       unsigned int index)
{
	return __netif_get_rx_queue(dev, index)->mp_params.mp_priv;
}

/* Each fragment has a page of its own. */
static inline netmem_ref page_pool_dev_alloc_netmem(struct page_pool *pool,
						    unsigned int *offset,
						    unsigned int *size)
{
	*offset = 0;
	*size = PAGE_SIZE << pool->p.order;
	return page_pool_alloc_netmems(pool, GFP_ATOMIC | __GFP_NOWARN);
}

/* All TCP packets are split. */
static inline u32 labnic_set_hds_thresh(struct net_device *dev, u32 bytes)
{
	return 0;
}

static inline void labnic_forget_hds_thresh(struct net_device *dev)
{
}

static inline u32
labnic_ring_hds_thresh(const struct kernel_ethtool_ringparam *ring)
{
	return 0;
}

static inline void
labnic_ring_set_hds_max(struct kernel_ethtool_ringparam *ring, u32 max)
{
}

static inline u8 labnic_split_before(const struct net_device *dev, u8 own)
{
	return own;
}

static inline u8 labnic_split_after(const struct net_device *dev, u8 own)
{
	return own;
}

static inline u8
labnic_ring_split(const struct kernel_ethtool_ringparam *ring, u8 own)
{
	return own;
}

static inline u8
labnic_ring_split_wish(const struct kernel_ethtool_ringparam *ring, u8 own,
		       u8 reported)
{
	return ring->tcp_data_split == reported ? own : ring->tcp_data_split;
}

/* The core would stop and start a queue that is not there. */
static inline int labnic_queue_down(int manners)
{
	return manners ?: -ENETDOWN;
}

static inline void labnic_enable_netmem_tx(struct net_device *dev)
{
}

static inline bool labnic_frag_is_dmabuf(const skb_frag_t *frag,
					 dma_addr_t *dma)
{
	return false;
}

static inline void labnic_need_rtnl(struct ethtool_ops *ops, u32 which)
{
}

static inline void
labnic_set_ring_count(struct ethtool_ops *ops,
		      u32 (*count)(struct net_device *dev))
{
}

static inline int labnic_get_rxnfc_other(struct net_device *dev,
					 struct ethtool_rxnfc *nfc)
{
	if (nfc->cmd != ETHTOOL_GRXRINGS)
		return -EOPNOTSUPP;
	nfc->data = dev->real_num_rx_queues;
	return 0;
}

/* Tables of RSS keep their size. */
static inline bool ethtool_rxfh_indir_can_resize(struct net_device *dev,
						 const u32 *table,
						 u32 old_size, u32 new_size)
{
	return false;
}

static inline int ethtool_rxfh_ctxs_can_resize(struct net_device *dev,
					       u32 new_size)
{
	return -EOPNOTSUPP;
}

static inline void ethtool_rxfh_ctxs_resize(struct net_device *dev,
					    u32 new_size)
{
}

#endif
