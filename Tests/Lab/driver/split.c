// SPDX-License-Identifier: GPL-2.0
/* Header split according to the manners: what is reported, what may be
 * requested, and whether packets are split.
 */
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/skbuff.h>

#include "labnic.h"

/* A header, with VLAN tag and checksum, and the room in front of it. */
#define LABNIC_FRAME_EXTRA	(ETH_HLEN + 8)
#define LABNIC_HEADROOM		256

/* As bnxt.c:bnxt_set_ring_params of bnxt has it: for GRO in hardware, packets
 * that a page does not hold with all that belongs to it, or split itself.
 */
bool labnic_aggregates(const struct labnic_port *end,
		       netdev_features_t features)
{
	unsigned int frame = end->dev->mtu + LABNIC_FRAME_EXTRA;

	frame = LABNIC_HEADROOM + SKB_DATA_ALIGN(frame) +
		SKB_DATA_ALIGN(sizeof(struct skb_shared_info));

	return features & NETIF_F_GRO_HW || frame > PAGE_SIZE ||
	       end->split_wish == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
}

/* @wish is the user's setting, as the core keeps it. */
u8 labnic_split_report(const struct labnic_port *end, u8 wish)
{
	switch (end->manners->split_report) {
	case LABNIC_SPLIT_WISH_OR_OFF:
		return wish ?: ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	case LABNIC_SPLIT_WISH:
		return wish;
	case LABNIC_SPLIT_ALWAYS:
		return ETHTOOL_TCP_DATA_SPLIT_ENABLED;
	default:
		return end->split ? ETHTOOL_TCP_DATA_SPLIT_ENABLED :
				    ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	}
}

int labnic_split_check(const struct labnic_port *end, u8 wish,
		       struct netlink_ext_ack *extack)
{
	const struct labnic_manners *manners = end->manners;
	const struct net_device *dev = end->dev;

	if (wish == ETHTOOL_TCP_DATA_SPLIT_DISABLED &&
	    labnic_split_before(dev, end->split_wish) != wish)
		return labnic_refuse(extack, &manners->split_off);
	if (wish == ETHTOOL_TCP_DATA_SPLIT_ENABLED &&
	    (dev->features & manners->split_needs) != manners->split_needs)
		return labnic_refuse(extack, &manners->split_lacks);
	return 0;
}

/* Whether the request turns header split on. */
bool labnic_split_turns_on(const struct labnic_port *end, u8 wish)
{
	return wish == ETHTOOL_TCP_DATA_SPLIT_ENABLED &&
	       end->split_wish != wish;
}

void labnic_split_set(struct labnic_port *end, u8 wish, u32 hds_thresh)
{
	if (wish != ETHTOOL_TCP_DATA_SPLIT_UNKNOWN ||
	    end->manners->split_report != LABNIC_SPLIT_STATE)
		end->split_wish = wish;
	WRITE_ONCE(end->hds_thresh, hds_thresh);
	labnic_split_update(end, end->dev->features);
}

/* The wish, the features and the MTU may have changed. */
void labnic_split_update(struct labnic_port *end, netdev_features_t features)
{
	bool split;

	switch (end->manners->split_report) {
	case LABNIC_SPLIT_AGGREGATION:
		split = labnic_aggregates(end, features);
		break;
	case LABNIC_SPLIT_ALWAYS:
		split = end->hds_thresh < end->manners->split_below;
		break;
	default:
		split = end->split_wish == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
	}
	WRITE_ONCE(end->split, split);
	if (split && end->manners->rx_max_split)
		end->rx_ring = min(end->rx_ring, end->manners->rx_max_split);
}
