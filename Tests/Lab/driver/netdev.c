// SPDX-License-Identifier: GPL-2.0
/* One end of a wire as a net device. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "labnic.h"

/* Both ends' states are read and written under the RTNL lock only. */
static void labnic_update_carrier(struct labnic_port *end)
{
	struct net_device *dev = end->dev, *peer = end->peer->dev;

	if (netif_running(dev) && netif_running(peer)) {
		netif_carrier_on(dev);
		netif_carrier_on(peer);
	} else {
		netif_carrier_off(dev);
		netif_carrier_off(peer);
	}
}

static int labnic_open(struct net_device *dev)
{
	struct labnic_port *end = netdev_priv(dev);
	int err;

	err = labnic_open_queues(end);
	if (err)
		return err;
	labnic_rules_up(end);
	labnic_update_carrier(end);
	return 0;
}

static int labnic_stop(struct net_device *dev)
{
	struct labnic_port *end = netdev_priv(dev);

	labnic_update_carrier(end);
	labnic_close_queues(end);
	labnic_rules_down(end);
	return 0;
}

/* The segmenter knows plain headers only; the stack segments the rest. */
static netdev_features_t labnic_features_check(struct sk_buff *skb,
					       struct net_device *dev,
					       netdev_features_t features)
{
	if (skb_is_gso(skb) &&
	    (!skb_is_gso_tcp(skb) || skb->encapsulation ||
	     skb_mac_offset(skb) ||
	     (skb->protocol == htons(ETH_P_IPV6) &&
	      skb_network_header_len(skb) != sizeof(struct ipv6hdr)) ||
	     skb_headlen(skb) < skb_tcp_all_headers(skb)))
		features &= ~NETIF_F_GSO_MASK;
	return vlan_features_check(skb, features);
}

static netdev_features_t labnic_fix_features(struct net_device *dev,
					     netdev_features_t features)
{
	struct labnic_port *end = netdev_priv(dev);
	const struct labnic_manners *manners = end->manners;

	if (manners->ntuple_falls && labnic_ntuple_channels &&
	    dev->real_num_rx_queues > labnic_ntuple_channels)
		features &= ~NETIF_F_NTUPLE;
	/* The values that the core is about to store, not the stored ones. */
	if (manners->split_keeps && labnic_split_after(dev, end->split_wish) ==
				    ETHTOOL_TCP_DATA_SPLIT_ENABLED)
		features |= manners->split_needs;
	return features;
}

/* The features are read where they have an effect. */
static int labnic_set_features(struct net_device *dev,
			       netdev_features_t features)
{
	struct labnic_port *end = netdev_priv(dev);
	netdev_features_t gone = dev->features & ~features;
	netdev_features_t changed = dev->features ^ features;
	u32 events = 0;

	if (labnic_fault_refuse(end, LABNIC_FAIL_FEATURES))
		return -EIO;
	if (changed & NETIF_F_NTUPLE)
		events |= LABNIC_SET_NTUPLE;
	if (changed & NETIF_F_GRO_HW)
		events |= LABNIC_SET_GRO;

	labnic_close_for(end, events);
	if (gone & NETIF_F_NTUPLE && end->manners->rules.ntuple_off_drops)
		labnic_rules_destroy(end);
	labnic_split_update(end, features);
	return labnic_reopen_after(end);
}

static int labnic_change_mtu(struct net_device *dev, int mtu)
{
	struct labnic_port *end = netdev_priv(dev);

	labnic_close_for(end, LABNIC_SET_MTU);
	WRITE_ONCE(dev->mtu, mtu);
	labnic_split_update(end, dev->features);
	return labnic_reopen_after(end);
}

static int labnic_get_phys_port_name(struct net_device *dev, char *name,
				     size_t len)
{
	struct labnic_port *end = netdev_priv(dev);

	return snprintf(name, len, "w%u%c", end->wire, end->side) >= len ?
		-EINVAL : 0;
}

static const struct net_device_ops labnic_netdev_ops = {
	.ndo_open		= labnic_open,
	.ndo_stop		= labnic_stop,
	.ndo_start_xmit		= labnic_xmit,
	.ndo_features_check	= labnic_features_check,
	.ndo_fix_features	= labnic_fix_features,
	.ndo_set_features	= labnic_set_features,
	.ndo_change_mtu		= labnic_change_mtu,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_get_stats64	= labnic_get_stats64,
	.ndo_get_phys_port_name	= labnic_get_phys_port_name,
};

static void labnic_setup(struct net_device *dev,
			 const struct labnic_manners *manners)
{
	netdev_features_t fixed = NETIF_F_HIGHDMA | NETIF_F_RXCSUM;
	netdev_features_t settable = NETIF_F_SG | NETIF_F_HW_CSUM |
		NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN |
		NETIF_F_TSO_MANGLEID | NETIF_F_GRO_HW | NETIF_F_NTUPLE |
		NETIF_F_RXHASH;

	dev->netdev_ops = &labnic_netdev_ops;
	dev->ethtool_ops = &labnic_ethtool_ops;
	dev->queue_mgmt_ops = &labnic_queue_ops;
	dev->stat_ops = &labnic_stat_ops;

	/* The NIC links packets into lists while it holds them. */
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;

	/* RXCSUM is fixed: no checksum is computed on the wire, so the stack
	 * could not verify it.
	 */
	settable &= ~manners->features_missing;
	dev->hw_features = settable & ~manners->features_fixed;
	dev->features = fixed | (settable & ~manners->features_off);
	dev->min_mtu = manners->min_mtu;
	dev->max_mtu = manners->max_mtu;
	labnic_enable_netmem_tx(dev);
}

void labnic_port_destroy(struct labnic_port *end)
{
	labnic_rules_destroy(end);
	labnic_rss_destroy(end);
	labnic_stats_destroy(end);
	labnic_tx_destroy(end);
	kvfree(end->rx_stats);
	kvfree(end->rxq);
	free_netdev(end->dev);
}

struct net_device *labnic_port_create(struct device *parent,
				      const struct labnic_manners *manners,
				      unsigned int queues, u16 wire, char side)
{
	struct labnic_port *end;
	struct net_device *dev;
	unsigned int i;
	int err = -ENOMEM;

	dev = alloc_etherdev_mqs(sizeof(*end), queues, queues);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	SET_NETDEV_DEV(dev, parent);
	dev->dev_port = side - 'a';
	eth_hw_addr_random(dev);
	labnic_setup(dev, manners);
	netif_carrier_off(dev);
	netdev_lockdep_set_classes(dev);

	end = netdev_priv(dev);
	end->dev = dev;
	end->parent = parent;
	end->manners = manners;
	end->wire = wire;
	end->side = side;
	end->rx_ring = manners->rx_ring.initial;
	end->tx_ring = manners->tx_ring.initial;
	if (manners->channels == LABNIC_APART) {
		end->only_rx = queues;
		end->only_tx = queues;
	} else {
		end->combined = queues;
	}
	labnic_split_set(end, ETHTOOL_TCP_DATA_SPLIT_UNKNOWN,
			 labnic_set_hds_thresh(dev, manners->hds_thresh));

	end->rxq = kvcalloc(queues, sizeof(*end->rxq), GFP_KERNEL);
	end->rx_stats = kvcalloc(queues, sizeof(*end->rx_stats), GFP_KERNEL);
	end->txq = kvcalloc(queues, sizeof(*end->txq), GFP_KERNEL);
	if (!end->rxq || !end->rx_stats || !end->txq)
		goto err_destroy;

	for (i = 0; i < queues; i++) {
		end->txq[i].end = end;
		end->txq[i].queue = netdev_get_tx_queue(dev, i);
		init_llist_head(&end->txq[i].done);
	}
	err = labnic_stats_init(end) ?: labnic_rss_init(end);
	if (err)
		goto err_destroy;
	return dev;

err_destroy:
	labnic_port_destroy(end);
	return ERR_PTR(err);
}
