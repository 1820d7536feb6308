/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels. No other file asks for the version. */
#ifndef LABNIC_COMPAT_H
#define LABNIC_COMPAT_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/netdev_queues.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#error "labnic needs Linux 7.3 or later"
#endif

/* The core owns the setting; this is for its first value. */
static inline void labnic_set_hds_thresh(struct net_device *dev, u32 bytes)
{
	dev->cfg->hds_thresh = bytes;
}

static inline void labnic_enable_netmem_tx(struct net_device *dev)
{
	dev->netmem_tx = NETMEM_TX_DMA;
}

#endif
