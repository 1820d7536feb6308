// SPDX-License-Identifier: GPL-2.0
/* Rings, channels, link and identity. */
#include <linux/ethtool.h>
#include <linux/log2.h>
#include <net/netdev_lock.h>

#include "labnic.h"

static void labnic_get_drvinfo(struct net_device *dev,
			       struct ethtool_drvinfo *info)
{
	strscpy(info->driver, LABNIC_NAME);
	strscpy(info->version, LABNIC_VERSION);
	strscpy(info->fw_version, "software");
}

static u32 labnic_get_link(struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

static int labnic_get_link_ksettings(struct net_device *dev,
				     struct ethtool_link_ksettings *link)
{
	bool up = netif_carrier_ok(dev);

	link->base.speed = up ? SPEED_100000 : SPEED_UNKNOWN;
	link->base.duplex = up ? DUPLEX_FULL : DUPLEX_UNKNOWN;
	link->base.autoneg = AUTONEG_DISABLE;
	link->base.port = PORT_OTHER;
	return 0;
}

static void labnic_get_ringparam(struct net_device *dev,
				 struct ethtool_ringparam *ring,
				 struct kernel_ethtool_ringparam *kernel,
				 struct netlink_ext_ack *extack)
{
	struct labnic_end *end = netdev_priv(dev);

	ring->rx_max_pending = LABNIC_MAX_RING;
	ring->tx_max_pending = LABNIC_MAX_RING;
	ring->rx_pending = end->rx_ring;
	ring->tx_pending = end->tx_ring;
	kernel->hds_thresh_max = LABNIC_MAX_HDS_THRESH;
	if (kernel->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_UNKNOWN)
		kernel->tcp_data_split = ETHTOOL_TCP_DATA_SPLIT_DISABLED;
}

static int labnic_check_ring(u32 size, const char *which,
			     struct netlink_ext_ack *extack)
{
	if (is_power_of_2(size) && size >= LABNIC_MIN_RING)
		return 0;
	NL_SET_ERR_MSG_FMT(extack, "%s ring size must be a power of 2 from %u",
			   which, LABNIC_MIN_RING);
	return -EINVAL;
}

static int labnic_set_ringparam(struct net_device *dev,
				struct ethtool_ringparam *ring,
				struct kernel_ethtool_ringparam *kernel,
				struct netlink_ext_ack *extack)
{
	bool split = kernel->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
	struct labnic_end *end = netdev_priv(dev);
	u32 old_rx_ring = end->rx_ring;
	int err;

	err = labnic_check_ring(ring->rx_pending, "RX", extack) ?:
	      labnic_check_ring(ring->tx_pending, "TX", extack);
	if (err)
		return err;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RING_SET)) {
		NL_SET_ERR_MSG(extack, "ring change refused by fail_ring_set");
		return -EOPNOTSUPP;
	}
	if (split && !end->split &&
	    labnic_fault_value(end, LABNIC_REFUSE_HDS)) {
		NL_SET_ERR_MSG(extack,
			       "header split is not supported in this mode");
		return -EOPNOTSUPP;
	}

	if (ring->rx_pending != old_rx_ring) {
		end->rx_ring = ring->rx_pending;
		err = netif_running(dev) ? labnic_rx_rebuild(end) : 0;
		if (err) {
			end->rx_ring = old_rx_ring;
			NL_SET_ERR_MSG(extack, "out of memory for the RX rings");
			return err;
		}
	}
	WRITE_ONCE(end->tx_ring, ring->tx_pending);
	WRITE_ONCE(end->hds_thresh, kernel->hds_thresh);
	WRITE_ONCE(end->split, split);
	if (labnic_fault_value(end, LABNIC_FORGET_HDS_THRESH))
		dev->cfg_pending->hds_thresh = 0;
	return 0;
}

static void labnic_get_channels(struct net_device *dev,
				struct ethtool_channels *channels)
{
	channels->max_combined = dev->num_rx_queues;
	channels->combined_count = dev->real_num_rx_queues;
}

/* Queues that stay are left running; only the difference starts or stops. */
static int labnic_change_queues(struct labnic_end *end, unsigned int now,
				unsigned int wanted)
{
	struct net_device *dev = end->dev;
	bool running = netif_running(dev);
	int err;

	if (running && wanted > now) {
		err = labnic_rx_open(end, now, wanted);
		if (err)
			return err;
	}
	err = netif_set_real_num_queues(dev, wanted, wanted);
	if (err) {
		if (running && wanted > now)
			labnic_rx_close(end, now, wanted);
		return err;
	}
	if (running && wanted < now)
		labnic_rx_close(end, wanted, now);
	return 0;
}

static int labnic_set_channels(struct net_device *dev,
			       struct ethtool_channels *channels)
{
	unsigned int wanted = channels->combined_count;
	struct labnic_end *end = netdev_priv(dev);
	unsigned int now = dev->real_num_rx_queues;
	bool spread = !netif_is_rxfh_configured(dev);
	int err;

	if (!wanted)
		return -EINVAL;
	if (labnic_fault_refuse(end, LABNIC_FAIL_CHANNELS))
		return -EIO;

	/* The table never leads to a queue that is not there. */
	if (spread && wanted < now) {
		err = labnic_rss_spread(end, wanted);
		if (err)
			return err;
	}
	err = labnic_change_queues(end, now, wanted);
	if (spread && (err ? wanted < now : wanted > now))
		labnic_rss_spread(end, err ? now : wanted);
	return err;
}

static u32 labnic_get_rx_ring_count(struct net_device *dev)
{
	return dev->real_num_rx_queues;
}

const struct ethtool_ops labnic_ethtool_ops = {
	.supported_ring_params	= ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
	.op_needs_rtnl		= ETHTOOL_OP_NEEDS_RTNL_SCHANNELS,
	.rxfh_per_ctx_key	= true,
	.rxfh_max_num_contexts	= LABNIC_CONTEXTS,
	.get_drvinfo		= labnic_get_drvinfo,
	.get_link		= labnic_get_link,
	.get_link_ksettings	= labnic_get_link_ksettings,
	.get_ts_info		= ethtool_op_get_ts_info,
	.get_ringparam		= labnic_get_ringparam,
	.set_ringparam		= labnic_set_ringparam,
	.get_channels		= labnic_get_channels,
	.set_channels		= labnic_set_channels,
	.get_rx_ring_count	= labnic_get_rx_ring_count,
	.get_rxfh_key_size	= labnic_get_rxfh_key_size,
	.get_rxfh_indir_size	= labnic_get_rxfh_indir_size,
	.get_rxfh		= labnic_get_rxfh,
	.set_rxfh		= labnic_set_rxfh,
	.get_rxfh_fields	= labnic_get_rxfh_fields,
	.create_rxfh_context	= labnic_create_rxfh_context,
	.modify_rxfh_context	= labnic_modify_rxfh_context,
	.remove_rxfh_context	= labnic_remove_rxfh_context,
	.get_rxnfc		= labnic_get_rxnfc,
	.set_rxnfc		= labnic_set_rxnfc,
	.get_sset_count		= labnic_get_sset_count,
	.get_strings		= labnic_get_strings,
	.get_ethtool_stats	= labnic_get_ethtool_stats,
};
