/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels. No other file asks for the version. */
#ifndef LABNIC_COMPAT_H
#define LABNIC_COMPAT_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
#error "labnic needs Linux 7.3 or later"
#endif

static inline void labnic_enable_netmem_tx(struct net_device *dev)
{
	dev->netmem_tx = NETMEM_TX_DMA;
}

#endif
