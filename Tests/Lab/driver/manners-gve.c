// SPDX-License-Identifier: GPL-2.0
/* gve, with a device that speaks DQO RDA and has header buffers, flow rules
 * and an RSS table that the driver keeps. Each entry names the file, under
 * drivers/net/ethernet/google/gve/ of Linux 7.3, and the function. What the
 * device says of itself is marked.
 */
#include "labnic.h"

/* gve_ethtool.c:gve_validate_req_ring_size, which has no text */
static int gve_check_rings(const struct labnic_manners *manners,
			   struct ethtool_ringparam *ring,
			   struct netlink_ext_ack *extack)
{
	return labnic_check_ring_power(ring->rx_pending, &manners->rx_ring) ?:
	       labnic_check_ring_power(ring->tx_pending, &manners->tx_ring);
}

/* gve_ethtool.c:gve_get_ringparam, gve.h:GVE_DEFAULT_RX_BUFFER_SIZE. A change,
 * which needs a device with larger buffers, is not offered here.
 */
static void gve_report_rings(const struct labnic_port *end,
			     struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kernel)
{
	kernel->rx_buf_len = SZ_2K;
}

/* gve.h:GVE_RSS_INDIR_SIZE */
static u32 gve_indir_size(unsigned int queues)
{
	return 128;
}

const struct labnic_manners labnic_manners_gve = {
	.name			= "gve",
	.driver			= "gve",
	/* The device's; gve.h:GVE_DEFAULT_MIN_RX_RING_SIZE and ..._TX_... */
	.rx_ring		= { 1024, 512, 4096 },
	.tx_ring		= { 1024, 256, 4096 },
	.check_rings		= gve_check_rings,
	.report_rings		= gve_report_rings,
	/* gve_ethtool.c:gve_ethtool_ops: no hds-thresh */
	.ring_params		= ETHTOOL_RING_USE_TCP_DATA_SPLIT,
	/* gve_ethtool.c:gve_get_ringparam; gve_main.c:gve_set_hsplit_config */
	.split_report		= LABNIC_SPLIT_STATE,
	/* gve_ethtool.c:gve_set_channels, gve_get_channels */
	.channels		= LABNIC_APART,
	.indir_size		= gve_indir_size,
	/* gve.h:GVE_RSS_KEY_SIZE */
	.key_size		= 40,
	/* gve_ethtool.c:gve_ethtool_ops: no contexts */
	.contexts		= 1,
	/* gve_adminq.c:gve_adminq_configure_rss, gve_ethtool.c:gve_set_rxfh */
	.wrong_hash		= { -EOPNOTSUPP,
				    "gve: Fail to configure RSS config" },
	.rules = {
		/* The device's */
		.places		= 16,
		/* gve_flow_rule.c:gve_add_flow_rule; the rest is the device's
		 * refusal, which gve_adminq.c:gve_adminq_parse_err makes EINVAL
		 */
		.place		= LABNIC_PLACE_USER,
		.wrong_place	= -EINVAL,
		.high_place	= -EINVAL,
		.occupied	= -EINVAL,
		.full		= -EINVAL,
		/* The device's: inferred */
		.rank		= LABNIC_RANK_LOCATION,
		/* gve_flow_rule.c:gve_generate_flow_rule, which ignores
		 * FLOW_EXT and FLOW_MAC_EXT; ah and esp are not done here, and
		 * the ports of sctp match nothing
		 */
		.tos		= LABNIC_TOS_DROPPED,
		.types		= BIT_ULL(TCP_V4_FLOW) | BIT_ULL(UDP_V4_FLOW) |
				  BIT_ULL(SCTP_V4_FLOW) |
				  BIT_ULL(TCP_V6_FLOW) | BIT_ULL(UDP_V6_FLOW) |
				  BIT_ULL(SCTP_V6_FLOW),
		.wrong_type	= -EINVAL,
		.drop		= -EOPNOTSUPP,
		.rss_ignored	= true,
		/* gve_ethtool.c:gve_set_rxnfc; gve_main.c:gve_set_features */
		.ntuple_off	= -EOPNOTSUPP,
		.delete_ntuple_off = -EOPNOTSUPP,
		.ntuple_needed	= true,
		.ntuple_off_drops = true,
		/* gve_flow_rule.c:gve_get_flow_rule_entry; deletion: guessed */
		.get_none	= -EINVAL,
		.get_high	= -EINVAL,
		.delete_none	= -EINVAL,
		.delete_high	= -EINVAL,
		/* gve_ethtool.c:gve_get_rxnfc,
		 * gve_flow_rule.c:gve_get_flow_rule_ids
		 */
		.count_data	= true,
		.all_too_few	= -EMSGSIZE,
	},
	/* gve_main.c:gve_init_priv and gve_adminq.c for what is on at first */
	.features_off		= NETIF_F_NTUPLE,
	/* gve_main.c:gve_rx_queue_mem_alloc, gve_rx_queue_stop, no text */
	.queue_down		= -EAGAIN,
	.queue_zero		= -ERANGE,
	/* gve_main.c:gve_queue_mgmt_ops */
	.page_size_max		= 0,
	/* gve_rx_dqo.c:gve_rx_dqo: headers are in coherent memory; what is not
	 * split and lies in device memory is dropped
	 */
	.header_pool		= LABNIC_HEADERS_IN_NO_POOL,
	/* gve_main.c:gve_probe; the most is the device's */
	.min_mtu		= ETH_MIN_MTU,
	.max_mtu		= 8896,
	/* gve_main.c:gve_adjust_config, gve_adjust_queues, gve_set_features */
	.reopens		= LABNIC_SET_RINGS | LABNIC_SET_CHANNELS |
				  LABNIC_SET_GRO,
	/* gve_main.c:gve_turndown, gve_turnup_and_check_status */
	.blinks			= LABNIC_SET_RINGS | LABNIC_SET_CHANNELS |
				  LABNIC_SET_GRO | LABNIC_RESTART_QUEUE,
	/* gve_rx_dqo.c:gve_rx_alloc_ring_dqo; gve_main.c:gve_get_base_stats */
	.stats_restart		= LABNIC_STATS_LOST,
	.stats_reopen		= LABNIC_STATS_LOST,
	/* gve_main.c:gve_get_rx_queue_stats, gve_get_tx_queue_stats */
	.rx_stats		= BIT(LABNIC_RX_PACKETS) |
				  BIT(LABNIC_RX_BYTES) |
				  BIT(LABNIC_RX_ALLOC_FAIL),
	.tx_stats		= BIT(LABNIC_TX_PACKETS) |
				  BIT(LABNIC_TX_BYTES),
};
