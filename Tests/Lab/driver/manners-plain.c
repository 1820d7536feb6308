// SPDX-License-Identifier: GPL-2.0
/* labnic's own manners. */
#include "labnic.h"

static int plain_check_ring(u32 size, const struct labnic_ring_limits *limits,
			    const char *which, struct netlink_ext_ack *extack)
{
	int err = labnic_check_ring_power(size, limits);

	if (err)
		NL_SET_ERR_MSG_FMT(extack,
				   "%s ring size must be a power of 2 from %u",
				   which, limits->min);
	return err;
}

static int plain_check_rings(const struct labnic_manners *manners,
			     struct ethtool_ringparam *ring,
			     struct netlink_ext_ack *extack)
{
	return plain_check_ring(ring->rx_pending, &manners->rx_ring, "RX",
				extack) ?:
	       plain_check_ring(ring->tx_pending, &manners->tx_ring, "TX",
				extack);
}

static u32 plain_indir_size(unsigned int queues)
{
	return LABNIC_INDIR_SIZE;
}

const struct labnic_manners labnic_manners_plain = {
	.name			= "labnic",
	.driver			= LABNIC_NAME,
	.rx_ring		= { 1024, 64, 8192 },
	.tx_ring		= { 1024, 64, 8192 },
	.check_rings		= plain_check_rings,
	.ring_params		= ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
	.split_report		= LABNIC_SPLIT_WISH_OR_OFF,
	/* Not zero at first, as with bnxt and fbnic: a user has to see to
	 * that.
	 */
	.hds_thresh		= LABNIC_DEF_HDS_THRESH,
	.hds_thresh_max		= 1024,
	.channels		= LABNIC_COMBINED,
	.indir_size		= plain_indir_size,
	.key_size		= 40,
	.contexts		= 16,
	.context_keys		= true,
	.wrong_hash		= { -EOPNOTSUPP,
				    "only the Toeplitz hash is supported" },
	.wrong_hash_context	= { -EOPNOTSUPP,
				    "only the Toeplitz hash is supported" },
	.rules = {
		.places		= 64,
		.place		= LABNIC_PLACE_EITHER,
		.rank		= LABNIC_RANK_LOCATION,
		.tos		= LABNIC_TOS_MATCHED,
		.types		= BIT_ULL(TCP_V4_FLOW) | BIT_ULL(UDP_V4_FLOW) |
				  BIT_ULL(TCP_V6_FLOW) | BIT_ULL(UDP_V6_FLOW),
		.wrong_type	= -EOPNOTSUPP,
		.ext		= -EOPNOTSUPP,
		.mac_ext	= -EOPNOTSUPP,
		.high_place	= -ENOSPC,
		.full		= -ENOSPC,
		.ntuple_off	= -EOPNOTSUPP,
		.ntuple_needed	= true,
		.get_none	= -ENOENT,
		.get_high	= -ENOENT,
		.delete_none	= -ENOENT,
		.delete_high	= -ENOENT,
		.count_data	= true,
		.count_special	= true,
		.all_too_few	= -EMSGSIZE,
	},
	.page_size_max		= SZ_2M,
	/* The text, which tells the limits, is the same for both. */
	.page_size_odd		= { -ERANGE,
		"rx-page-size must be a power of 2 from 4096 to 2097152" },
	.page_size_range	= { -ERANGE,
		"rx-page-size must be a power of 2 from 4096 to 2097152" },
	.header_pool		= LABNIC_HEADERS_APART_UNREADABLE,
	.min_mtu		= ETH_MIN_MTU,
	.max_mtu		= ETH_MAX_MTU,
	.rx_stats		= ~0,
	.tx_stats		= ~0,
};
