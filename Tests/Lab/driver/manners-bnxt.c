// SPDX-License-Identifier: GPL-2.0
/* bnxt_en, for a physical function of the P5 generation (57500) or later with
 * the queue API. Each entry names the file, under
 * drivers/net/ethernet/broadcom/bnxt/ of Linux 7.3, and the function.
 */
#include <linux/etherdevice.h>

#include "labnic.h"

/* bnxt.h: BNXT_MAX_RX_DESC_CNT, BNXT_MAX_RX_DESC_CNT_JUM_ENA,
 * BNXT_MAX_RX_JUM_DESC_CNT, with pages of 4 KiB.
 */
#define BNXT_RX_MAX		8191
#define BNXT_RX_MAX_AGGREGATED	2047
#define BNXT_JUMBO_MAX		8191
/* bnxt.c:bnxt_set_ring_params: aggregation buffers per receive buffer. */
#define BNXT_AGGREGATION_FACTOR	4

/* bnxt_ethtool.c:bnxt_set_ringparam: a wrong size has no text; a size of rx
 * has no lower limit there.
 */
static int bnxt_check_rings(const struct labnic_manners *manners,
			    struct ethtool_ringparam *ring,
			    struct netlink_ext_ack *extack)
{
	if (ring->rx_pending > BNXT_RX_MAX || !ring->rx_pending ||
	    ring->tx_pending > manners->tx_ring.max ||
	    ring->tx_pending < manners->tx_ring.min)
		return -EINVAL;
	return 0;
}

/* bnxt_ethtool.c:bnxt_get_ringparam */
static void bnxt_report_rings(const struct labnic_port *end,
			      struct ethtool_ringparam *ring,
			      struct kernel_ethtool_ringparam *kernel)
{
	u32 wanted = end->rx_ring * BNXT_AGGREGATION_FACTOR;

	if (!labnic_aggregates(end, end->dev->features))
		return;
	ring->rx_max_pending = BNXT_RX_MAX_AGGREGATED;
	ring->rx_jumbo_max_pending = BNXT_JUMBO_MAX;
	ring->rx_jumbo_pending = min(wanted, BNXT_JUMBO_MAX);
}

/* bnxt.c:bnxt_get_nr_rss_ctxs, bnxt_calc_nr_ring_pages: tables of 64 entries,
 * a power of two of them. (Newer firmware always has the largest.)
 */
static u32 bnxt_indir_size(unsigned int queues)
{
	return 64 * roundup_pow_of_two(DIV_ROUND_UP(max(queues, 1U), 64));
}

const struct labnic_manners labnic_manners_bnxt = {
	.name			= "bnxt",
	.driver			= "bnxt_en",
	/* bnxt.h: BNXT_DEFAULT_RX_RING_SIZE and BNXT_DEFAULT_TX_RING_SIZE,
	 * BNXT_MIN_TX_DESC_CNT, BNXT_MAX_TX_DESC_CNT
	 */
	.rx_ring		= { 511, 1, BNXT_RX_MAX },
	.tx_ring		= { 511, MAX_SKB_FRAGS + 2, 2047 },
	.check_rings		= bnxt_check_rings,
	.report_rings		= bnxt_report_rings,
	/* bnxt_ethtool.c:bnxt_ethtool_ops */
	.ring_params		= ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
	/* bnxt_ethtool.c:bnxt_get_ringparam */
	.split_report		= LABNIC_SPLIT_AGGREGATION,
	/* bnxt.c:bnxt_set_ring_params: for good */
	.rx_max_split		= BNXT_RX_MAX_AGGREGATED,
	/* bnxt_ethtool.c:bnxt_set_ringparam, without a text */
	.split_off		= { -EINVAL },
	/* bnxt.c:bnxt_init_ring_params: 1 KiB less NET_SKB_PAD and
	 * skb_shared_info
	 */
	.hds_thresh		= SZ_1K - MAX(32, L1_CACHE_BYTES) -
			SKB_DATA_ALIGN(sizeof(struct skb_shared_info)),
	/* bnxt.h:BNXT_HDS_THRESHOLD_MAX */
	.hds_thresh_max		= 1023,
	/* bnxt_ethtool.c:bnxt_set_channels; bnxt_get_channels: no "other" */
	.channels		= LABNIC_COMBINED_OR_APART,
	/* bnxt.c:bnxt_fix_features, bnxt_rfs_capable */
	.ntuple_falls		= true,
	/* bnxt_ethtool.c:bnxt_get_rxfh_indir_size, bnxt_ethtool_ops */
	.indir_size		= bnxt_indir_size,
	.indir_space		= 512,
	/* bnxt_ethtool.c:bnxt_get_rxfh_key_size */
	.key_size		= 40,
	/* bnxt_ethtool.c:bnxt_ethtool_ops: BNXT_MAX_ETH_RSS_CTX + 1 */
	.contexts		= 33,
	.context_keys		= true,
	/* bnxt.c:bnxt_set_dflt_rss_indir_tbl */
	.context_spread		= true,
	/* bnxt_ethtool.c:bnxt_set_rxfh, bnxt_rxfh_context_check */
	.wrong_hash		= { -EOPNOTSUPP },
	.wrong_hash_context	= { -EOPNOTSUPP,
		"bnxt_en: RSS hash function not supported" },
	/* bnxt_ethtool.c:bnxt_get_rxfh, without bp->vnic_info */
	.table_hidden_down	= true,
	.context_down		= { -EAGAIN,
		"bnxt_en: Unable to set RSS contexts when interface is down" },
	.rules = {
		/* bnxt.c:bnxt_init_one, bnxt.h:BNXT_MAX_FLTR: at least these */
		.places		= 5120,
		/* bnxt_ethtool.c:bnxt_srxclsrlins;
		 * bnxt.c:bnxt_insert_ntp_filter takes the first free bit
		 */
		.place		= LABNIC_PLACE_ANY_BELOW,
		.wrong_place	= -EINVAL,
		.full		= -ENOMEM,
		/* In firmware, so not known. The oldest rule wins here, which
		 * is as hard on a newcomer as can be.
		 */
		.rank		= LABNIC_RANK_LOCATION,
		/* bnxt_ethtool.c:bnxt_add_ntuple_cls_rule */
		.tos		= LABNIC_TOS_DROPPED,
		.types		= BIT_ULL(TCP_V4_FLOW) | BIT_ULL(UDP_V4_FLOW) |
				  BIT_ULL(TCP_V6_FLOW) | BIT_ULL(UDP_V6_FLOW) |
				  BIT_ULL(IP_USER_FLOW) |
				  BIT_ULL(IPV6_USER_FLOW),
		.wrong_type	= -EOPNOTSUPP,
		.ext		= -EOPNOTSUPP,
		.same_match	= -EEXIST,
		.no_field	= -EOPNOTSUPP,
		/* bnxt_ethtool.c:bnxt_get_rss_ctx_from_index: no context 0 */
		.rss_main	= -EINVAL,
		/* bnxt_ethtool.c:bnxt_srxclsrlins */
		.mac_ext	= -EINVAL,
		.down		= -EAGAIN,
		.ntuple_off	= -EPERM,
		.ntuple_needed	= true,
		/* bnxt.c:bnxt_set_features, bnxt_clear_usr_fltrs */
		.ntuple_off_drops = true,
		/* bnxt_ethtool.c:bnxt_grxclsrule, bnxt_srxclsrldel */
		.get_none	= -EINVAL,
		.get_high	= -EINVAL,
		.delete_none	= -ENOENT,
		.delete_high	= -ENOENT,
		/* bnxt_ethtool.c:bnxt_get_rxnfc */
		.count_data	= true,
		.count_special	= true,
		/* bnxt_ethtool.c:bnxt_grxclsrlall, bnxt_get_all_fltr_ids_rcu */
		.all_data_used	= true,
		.all_hashed	= true,
	},
	/* bnxt.c:bnxt_queue_mem_alloc, without a text */
	.queue_down		= -ENETDOWN,
	/* bnxt.c:bnxt_validate_qcfg, bnxt.h:BNXT_MAX_RX_PAGE_SIZE */
	.page_size_max		= SZ_32K,
	.page_size_odd		= { -ERANGE },
	.page_size_range	= { -ERANGE },
	/* bnxt.c:bnxt_alloc_rx_page_pool */
	.header_pool		= LABNIC_HEADERS_APART_LARGE,
	/* bnxt.c:bnxt_init_one, bnxt.h:BNXT_MAX_MTU */
	.min_mtu		= ETH_ZLEN,
	.max_mtu		= 9500,
	/* bnxt_ethtool.c:bnxt_set_ringparam, bnxt_set_channels, bnxt_set_rxfh;
	 * bnxt.c:bnxt_set_features, bnxt_change_mtu
	 */
	.reopens		= LABNIC_SET_RINGS | LABNIC_SET_CHANNELS |
				  LABNIC_SET_RSS | LABNIC_SET_NTUPLE |
				  LABNIC_SET_GRO | LABNIC_SET_MTU,
	/* bnxt.c:bnxt_tx_disable, bnxt_tx_enable */
	.blinks			= LABNIC_SET_RINGS | LABNIC_SET_CHANNELS |
				  LABNIC_SET_RSS | LABNIC_SET_NTUPLE |
				  LABNIC_SET_GRO | LABNIC_SET_MTU,
	/* bnxt.c:bnxt_get_base_stats; __bnxt_close_nic saves what there was */
	.stats_restart		= LABNIC_STATS_STAY,
	.stats_reopen		= LABNIC_STATS_TO_BASE,
	/* bnxt.c:bnxt_get_queue_stats_rx, bnxt_get_queue_stats_tx */
	.rx_stats		= BIT(LABNIC_RX_PACKETS) |
				  BIT(LABNIC_RX_BYTES) |
				  BIT(LABNIC_RX_ALLOC_FAIL) |
				  BIT(LABNIC_RX_GRO_PACKETS) |
				  BIT(LABNIC_RX_GRO_WIRE_PACKETS),
	.tx_stats		= BIT(LABNIC_TX_PACKETS) |
				  BIT(LABNIC_TX_BYTES),
};
