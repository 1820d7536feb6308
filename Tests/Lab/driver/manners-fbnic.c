// SPDX-License-Identifier: GPL-2.0
/* fbnic. Each entry names the file, under drivers/net/ethernet/meta/fbnic/ of
 * Linux 7.3, and the function.
 */
#include <linux/ipv6.h>
#include <linux/log2.h>

#include "labnic.h"

/* fbnic_txrx.h: FBNIC_HPQ_SIZE_DEFAULT and FBNIC_PPQ_SIZE_DEFAULT */
#define FBNIC_BUFFER_RINGS	256

static u32 fbnic_rounded(u32 size)
{
	return size && size <= BIT(31) ? roundup_pow_of_two(size) : 0;
}

/* fbnic_ethtool.c:fbnic_set_ringparam, fbnic_ring_size_pow2 */
static int fbnic_check_rings(const struct labnic_manners *manners,
			     struct ethtool_ringparam *ring,
			     struct netlink_ext_ack *extack)
{
	ring->rx_pending = fbnic_rounded(ring->rx_pending);
	ring->tx_pending = fbnic_rounded(ring->tx_pending);
	if (ring->rx_pending >= manners->rx_ring.min &&
	    ring->tx_pending >= manners->tx_ring.min)
		return 0;
	NL_SET_ERR_MSG(extack, "fbnic: requested ring size too small");
	return -EINVAL;
}

/* fbnic_ethtool.c:fbnic_get_ringparam. The rings of buffers are shown, and a
 * change of theirs is taken, without effect.
 */
static void fbnic_report_rings(const struct labnic_port *end,
			       struct ethtool_ringparam *ring,
			       struct kernel_ethtool_ringparam *kernel)
{
	ring->rx_mini_max_pending = SZ_64K;
	ring->rx_jumbo_max_pending = SZ_64K;
	ring->rx_mini_pending = FBNIC_BUFFER_RINGS;
	ring->rx_jumbo_pending = FBNIC_BUFFER_RINGS;
}

/* fbnic_csr.h:FBNIC_RPC_RSS_TBL_SIZE */
static u32 fbnic_indir_size(unsigned int queues)
{
	return 256;
}

const struct labnic_manners labnic_manners_fbnic = {
	.name			= "fbnic",
	.driver			= "fbnic",
	/* fbnic_txrx.h: FBNIC_RCQ_SIZE_DEFAULT, FBNIC_TXQ_SIZE_DEFAULT,
	 * FBNIC_QUEUE_SIZE_MIN and _MAX, FBNIC_RX_DESC_MIN, FBNIC_TX_DESC_MIN
	 */
	.rx_ring		= { 1024, 64, SZ_64K },
	.tx_ring		= { 1024, 64, SZ_64K },
	.check_rings		= fbnic_check_rings,
	.report_rings		= fbnic_report_rings,
	/* fbnic_ethtool.c:fbnic_ethtool_ops */
	.ring_params		= ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
	/* fbnic_ethtool.c:fbnic_get_ringparam, fbnic_set_ringparam */
	.split_report		= LABNIC_SPLIT_ALWAYS,
	.split_off		= { -EINVAL,
				    "fbnic: Cannot disable TCP data split" },
	/* fbnic_txrx.h: FBNIC_HDS_THRESH_DEFAULT, FBNIC_HDS_THRESH_MAX, with
	 * the skb_shared_info of x86-64
	 */
	.hds_thresh		= 1536,
	.hds_thresh_max		= 3584,
	/* fbnic_txrx.c:fbnic_config_drop_mode_rcq and fbnic_enable_rcq:
	 * FBNIC_HDR_BYTES_MIN
	 */
	.split_below		= 256,
	/* fbnic_ethtool.c:fbnic_set_channels, fbnic_get_channels:
	 * FBNIC_NON_NAPI_VECTORS
	 */
	.channels		= LABNIC_MIXED,
	.other_channels		= 2,
	.indir_size		= fbnic_indir_size,
	/* fbnic_csr.h:FBNIC_RPC_RSS_KEY_BYTE_LEN */
	.key_size		= 54,
	/* fbnic_ethtool.c:fbnic_ethtool_ops; no key per context */
	.contexts		= 2,
	.context_keys		= false,
	/* fbnic_ethtool.c:fbnic_create_rxfh_context */
	.context_spread		= true,
	/* fbnic_ethtool.c:fbnic_set_rxfh, fbnic_create_rxfh_context */
	.wrong_hash		= { -EINVAL },
	.wrong_hash_context	= { -EOPNOTSUPP,
				    "fbnic: RSS hash function not supported" },
	.rules = {
		/* fbnic_rpc.h:FBNIC_RPC_ACT_TBL_NFC_ENTRIES */
		.places		= 48,
		/* fbnic_ethtool.c:fbnic_set_cls_rule_ins and
		 * fbnic_cls_rule_any_loc
		 */
		.place		= LABNIC_PLACE_ANY_ABOVE,
		.wrong_place	= -EINVAL,
		.full		= -ENOSPC,
		/* A lookup table ordered by location: inferred */
		.rank		= LABNIC_RANK_LOCATION,
		/* fbnic_ethtool.c:fbnic_set_cls_rule_ins; ether is not done */
		.tos		= LABNIC_TOS_DROPPED,
		.types		= BIT_ULL(TCP_V4_FLOW) | BIT_ULL(UDP_V4_FLOW) |
				  BIT_ULL(TCP_V6_FLOW) | BIT_ULL(UDP_V6_FLOW) |
				  BIT_ULL(IP_USER_FLOW) |
				  BIT_ULL(IPV6_USER_FLOW),
		.wrong_type	= -EINVAL,
		.mac_ext	= -EINVAL,
		/* fbnic_rpc.c:fbnic_clear_valid_act_tcam makes valid rules
		 * FBNIC_TCAM_S_UPDATE, and fbnic_write_rules, which only runs
		 * while up, the reverse; fbnic_get_cls_rule_all
		 */
		.down_pending	= true,
		/* fbnic_ethtool.c:fbnic_get_cls_rule, fbnic_set_cls_rule_del */
		.get_none	= -EINVAL,
		.get_high	= -EINVAL,
		.delete_none	= -EINVAL,
		.delete_high	= -EINVAL,
		/* fbnic_ethtool.c:fbnic_get_rxnfc, fbnic_get_cls_rule_all */
		.count_data	= true,
		.count_special	= true,
		.all_too_few	= -EMSGSIZE,
	},
	/* fbnic_netdev.c:fbnic_netdev_alloc */
	.features_missing	= NETIF_F_GRO_HW,
	.features_fixed		= NETIF_F_NTUPLE,
	/* fbnic_txrx.c:fbnic_queue_mgmt_ops: no ndo_validate_qcfg and no
	 * supported_params
	 */
	.page_size_max		= 0,
	/* fbnic_txrx.c:fbnic_alloc_qt_page_pools */
	.header_pool		= LABNIC_HEADERS_APART_UNREADABLE,
	/* fbnic_netdev.c:fbnic_netdev_alloc: FBNIC_MAX_JUMBO_FRAME_SIZE less
	 * ETH_HLEN
	 */
	.min_mtu		= IPV6_MIN_MTU,
	.max_mtu		= 9728,
	/* fbnic_ethtool.c:fbnic_set_ringparam, fbnic_set_channels; neither
	 * touches the carrier (fbnic_pci.c:fbnic_down_noidle, fbnic_up)
	 */
	.reopens		= LABNIC_SET_RINGS | LABNIC_SET_CHANNELS,
	/* fbnic_txrx.c:fbnic_queue_start, fbnic_remove_rx_ring */
	.stats_restart		= LABNIC_STATS_TO_BASE,
	.stats_reopen		= LABNIC_STATS_TO_BASE,
	/* fbnic_netdev.c:fbnic_get_queue_stats_rx, fbnic_get_queue_stats_tx; it
	 * has csum-complete, which labnic does not count, and hw-drop-overruns
	 */
	.rx_stats		= BIT(LABNIC_RX_PACKETS) |
				  BIT(LABNIC_RX_BYTES) |
				  BIT(LABNIC_RX_ALLOC_FAIL) |
				  BIT(LABNIC_RX_CSUM_NONE) |
				  BIT(LABNIC_RX_DROPS),
	.tx_stats		= BIT(LABNIC_TX_PACKETS) |
				  BIT(LABNIC_TX_BYTES) |
				  BIT(LABNIC_TX_NEEDS_CSUM) |
				  BIT(LABNIC_TX_GSO_WIRE_PACKETS) |
				  BIT(LABNIC_TX_STOP),
};
