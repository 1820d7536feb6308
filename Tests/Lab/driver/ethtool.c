// SPDX-License-Identifier: GPL-2.0
/* Rings, channels, link and identity. */
#include <linux/ethtool.h>
#include <linux/log2.h>

#include "labnic.h"

static void labnic_get_drvinfo(struct net_device *dev,
			       struct ethtool_drvinfo *info)
{
	struct labnic_port *end = netdev_priv(dev);

	strscpy(info->driver, end->manners->driver);
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
	struct labnic_port *end = netdev_priv(dev);

	ring->rx_max_pending = end->manners->rx_ring.max;
	ring->tx_max_pending = end->manners->tx_ring.max;
	ring->rx_pending = end->rx_ring;
	ring->tx_pending = end->tx_ring;
	labnic_ring_set_hds_max(kernel, end->manners->hds_thresh_max);
	kernel->tcp_data_split =
		labnic_split_report(end, labnic_ring_split(kernel,
							   end->split_wish));
	if (end->manners->report_rings)
		end->manners->report_rings(end, ring, kernel);
}

/* Replaces the queues if the manners do not close and open them. */
static int labnic_resize_rx(struct labnic_port *end, u32 size,
			    struct netlink_ext_ack *extack)
{
	u32 old = end->rx_ring;
	int err;

	if (size == old)
		return 0;
	end->rx_ring = size;
	err = end->opened ? labnic_rx_rebuild(end) : 0;
	if (err) {
		end->rx_ring = old;
		NL_SET_ERR_MSG(extack, "out of memory for the RX rings");
	}
	return err;
}

static int labnic_set_ringparam(struct net_device *dev,
				struct ethtool_ringparam *ring,
				struct kernel_ethtool_ringparam *kernel,
				struct netlink_ext_ack *extack)
{
	struct labnic_port *end = netdev_priv(dev);
	u8 before = end->split_wish;
	u8 wish = labnic_ring_split_wish(kernel, before,
					 labnic_split_report(end, before));
	u32 events = LABNIC_SET_RINGS;
	int err;

	err = labnic_split_check(end, wish, extack) ?:
	      end->manners->check_rings(end->manners, ring, extack);
	if (err)
		return err;
	if (labnic_fault_refuse(end, LABNIC_FAIL_RING_SET)) {
		NL_SET_ERR_MSG(extack, "ring change refused by fail_ring_set");
		return -EOPNOTSUPP;
	}
	if (labnic_split_turns_on(end, wish) &&
	    labnic_fault_value(end, LABNIC_REFUSE_HDS)) {
		NL_SET_ERR_MSG(extack,
			       "header split is not supported in this mode");
		return -EOPNOTSUPP;
	}

	if (ring->rx_pending != end->rx_ring ||
	    ring->tx_pending != end->tx_ring)
		events |= LABNIC_SET_RING_SIZES;
	labnic_close_for(end, events);
	err = labnic_resize_rx(end, ring->rx_pending, extack);
	if (err)
		return err;
	WRITE_ONCE(end->tx_ring, ring->tx_pending);
	labnic_split_set(end, wish, labnic_ring_hds_thresh(kernel));
	if (labnic_fault_value(end, LABNIC_FORGET_HDS_THRESH))
		labnic_forget_hds_thresh(dev);
	err = labnic_reopen_after(end);
	/* Features that header split kept on may be turned off now. */
	if (!err && end->manners->split_keeps &&
	    wish == ETHTOOL_TCP_DATA_SPLIT_DISABLED &&
	    labnic_split_before(dev, before) == ETHTOOL_TCP_DATA_SPLIT_ENABLED)
		netdev_update_features(dev);
	return err;
}

static void labnic_get_channels(struct net_device *dev,
				struct ethtool_channels *channels)
{
	struct labnic_port *end = netdev_priv(dev);
	const struct labnic_manners *manners = end->manners;

	if (manners->channels != LABNIC_APART)
		channels->max_combined = dev->num_rx_queues;
	if (manners->channels != LABNIC_COMBINED) {
		channels->max_rx = dev->num_rx_queues;
		channels->max_tx = dev->num_tx_queues;
	}
	channels->max_other = manners->other_channels;
	channels->other_count = manners->other_channels;
	channels->combined_count = end->combined;
	channels->rx_count = end->only_rx;
	channels->tx_count = end->only_tx;
}

/* The core has checked that there is a queue to receive and one to send, and
 * that no number exceeds its maximum.
 */
static int labnic_check_channels(struct labnic_port *end,
				 const struct ethtool_channels *channels)
{
	bool combined = channels->combined_count;
	bool rx = channels->rx_count, tx = channels->tx_count;
	u32 all_rx = channels->combined_count + channels->rx_count;
	u32 all_tx = channels->combined_count + channels->tx_count;
	bool right = false;

	switch (end->manners->channels) {
	case LABNIC_COMBINED:
		right = combined;
		break;
	case LABNIC_APART:
		right = !combined && rx && tx;
		break;
	case LABNIC_COMBINED_OR_APART:
		right = combined ? !rx && !tx : rx && tx;
		break;
	case LABNIC_MIXED:
		right = !(combined && rx && tx);
		break;
	}
	if (!right || channels->other_count != end->manners->other_channels ||
	    all_rx > end->dev->num_rx_queues ||
	    all_tx > end->dev->num_tx_queues)
		return -EINVAL;
	return labnic_rss_check_channels(end, all_rx);
}

/* Queues that stay keep running; only the others start or stop. */
static int labnic_change_queues(struct labnic_port *end, unsigned int rx,
				unsigned int tx)
{
	unsigned int now = end->dev->real_num_rx_queues;
	struct net_device *dev = end->dev;
	bool running = end->opened;
	int err;

	if (running && rx > now) {
		err = labnic_rx_open(end, now, rx);
		if (err)
			return err;
	}
	err = netif_set_real_num_queues(dev, tx, rx);
	if (err) {
		if (running && rx > now)
			labnic_rx_close(end, now, rx);
		return err;
	}
	if (running && rx < now)
		labnic_rx_close(end, rx, now);
	return 0;
}

static int labnic_set_channels(struct net_device *dev,
			       struct ethtool_channels *channels)
{
	unsigned int rx = channels->combined_count + channels->rx_count;
	unsigned int tx = channels->combined_count + channels->tx_count;
	struct labnic_port *end = netdev_priv(dev);
	unsigned int now = dev->real_num_rx_queues;
	int err, reopened;

	err = labnic_check_channels(end, channels);
	if (err)
		return err;
	if (labnic_fault_refuse(end, LABNIC_FAIL_CHANNELS))
		return -EIO;

	labnic_close_for(end, LABNIC_SET_CHANNELS);
	/* The table never leads to a queue that does not exist. */
	if (rx < now)
		err = labnic_rss_follow_channels(end, rx);
	if (!err)
		err = labnic_change_queues(end, rx, tx);
	if (err ? rx < now : rx > now)
		labnic_rss_follow_channels(end, err ? now : rx);
	if (!err) {
		end->combined = channels->combined_count;
		end->only_rx = channels->rx_count;
		end->only_tx = channels->tx_count;
		if (end->manners->ntuple_falls)
			netdev_update_features(dev);
	}
	reopened = labnic_reopen_after(end);
	return err ?: reopened;
}

static u32 labnic_get_rx_ring_count(struct net_device *dev)
{
	return dev->real_num_rx_queues;
}

/* What labnic_ethtool_setup() does not set is the same with all manners. */
struct ethtool_ops labnic_ethtool_ops = {
	.get_drvinfo		= labnic_get_drvinfo,
	.get_link		= labnic_get_link,
	.get_link_ksettings	= labnic_get_link_ksettings,
	.get_ts_info		= ethtool_op_get_ts_info,
	.get_ringparam		= labnic_get_ringparam,
	.set_ringparam		= labnic_set_ringparam,
	.get_channels		= labnic_get_channels,
	.set_channels		= labnic_set_channels,
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

void labnic_ethtool_setup(const struct labnic_manners *manners)
{
	struct ethtool_ops *ops = &labnic_ethtool_ops;

	ops->supported_ring_params = manners->ring_params;
	ops->supported_input_xfrm = manners->input_xfrm;
	ops->rxfh_indir_space = labnic_rss_entries ? 0 : manners->indir_space;
	ops->rxfh_per_ctx_key = manners->context_keys;
	/* The core requires both or neither. */
	ops->rxfh_per_ctx_fields = manners->input_xfrm && manners->context_keys;
	if (manners->contexts > 1) {
		ops->rxfh_max_num_contexts = manners->contexts;
	} else {
		ops->create_rxfh_context = NULL;
		ops->modify_rxfh_context = NULL;
		ops->remove_rxfh_context = NULL;
	}
	labnic_set_ring_count(ops, labnic_get_rx_ring_count);
	labnic_need_rtnl(ops, ETHTOOL_OP_NEEDS_RTNL_SCHANNELS);
	/* The carrier and the features are changed under the RTNL lock only. */
	if (manners->reopens & (LABNIC_SET_RINGS | LABNIC_SET_RING_SIZES) ||
	    manners->split_keeps)
		labnic_need_rtnl(ops, ETHTOOL_OP_NEEDS_RTNL_SRINGPARAM);
	if (manners->reopens & LABNIC_SET_RSS)
		labnic_need_rtnl(ops, ETHTOOL_OP_NEEDS_RTNL_RSS);
}
