// SPDX-License-Identifier: GPL-2.0
/* mlx5_core, with a ConnectX that can split (SHAMPO) and a kernel with aRFS.
 * Each entry names the file, under drivers/net/ethernet/mellanox/mlx5/core/ of
 * Linux 7.3, and the function.
 */
#include <linux/log2.h>

#include "labnic.h"

/* en_ethtool.c:mlx5e_ethtool_set_ringparam: sizes are rounded up */
static int mlx5_check_rings(const struct labnic_manners *manners,
			    struct ethtool_ringparam *ring,
			    struct netlink_ext_ack *extack)
{
	if (ring->rx_pending < manners->rx_ring.min) {
		NL_SET_ERR_MSG_FMT(extack, "mlx5_core: rx (%d) < min (%d)",
				   ring->rx_pending, manners->rx_ring.min);
		return -EINVAL;
	}
	if (ring->tx_pending < manners->tx_ring.min) {
		NL_SET_ERR_MSG_FMT(extack, "mlx5_core: tx (%d) < min (%d)",
				   ring->tx_pending, manners->tx_ring.min);
		return -EINVAL;
	}
	ring->rx_pending = roundup_pow_of_two(ring->rx_pending);
	ring->tx_pending = roundup_pow_of_two(ring->tx_pending);
	return 0;
}

/* en/rqt.c:mlx5e_rqt_size, en/rqt.h: MLX5E_INDIR_MIN_RQT_SIZE,
 * MLX5E_UNIFORM_SPREAD_RQT_FACTOR
 */
static u32 mlx5_indir_size(unsigned int queues)
{
	return max(256UL, roundup_pow_of_two(queues * 4));
}

const struct labnic_manners labnic_manners_mlx5 = {
	.name			= "mlx5",
	.driver			= "mlx5_core",
	/* en.h: MLX5E_PARAMS_DEFAULT_, _MINIMUM_, _MAXIMUM_LOG_RQ_SIZE and
	 * _LOG_SQ_SIZE
	 */
	.rx_ring		= { 1024, 16, 8192 },
	.tx_ring		= { 1024, 64, 8192 },
	.check_rings		= mlx5_check_rings,
	/* en_ethtool.c:mlx5e_ethtool_ops */
	.ring_params		= ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
	/* en_ethtool.c:mlx5e_ethtool_get_ringparam, which leaves it alone */
	.split_report		= LABNIC_SPLIT_WISH,
	/* en_ethtool.c:mlx5e_ethtool_set_tcp_data_split */
	.split_needs		= NETIF_F_GRO_HW,
	.split_lacks		= {
		.err	= -EINVAL,
		.text	= "mlx5_core: TCP-data-split is not supported when GRO HW is disabled",
	},
	/* en_main.c:mlx5e_fix_features */
	.split_keeps		= true,
	/* en_ethtool.c:mlx5e_ethtool_get_ringparam */
	.hds_thresh		= 0,
	.hds_thresh_max		= 0,
	/* en_ethtool.c:mlx5e_ethtool_set_channels */
	.channels		= LABNIC_COMBINED,
	/* en_ethtool.c:mlx5e_get_rxfh_indir_size, mlx5e_ethtool_ops; the space
	 * is MLX5E_MAX_INDIR_RQT_SIZE
	 */
	.indir_size		= mlx5_indir_size,
	.indir_space		= 1024,
	.key_size		= 40,
	/* en/rx_res.h:MLX5E_MAX_NUM_RSS */
	.contexts		= 16,
	.context_keys		= true,
	/* en/rss.c:mlx5e_rss_params_indir_init_uniform */
	.context_spread		= true,
	/* en/rss.c:mlx5e_rss_params_init */
	.input_xfrm		= RXH_XFRM_SYM_OR_XOR,
	/* en/rss.c:mlx5e_rss_set_rxfh */
	.xor_hash		= true,
	.wrong_hash		= { -EINVAL },
	.wrong_hash_context	= { -EINVAL },
	.rules = {
		/* en_fs_ethtool.c:MAX_NUM_OF_ETHTOOL_RULES */
		.places		= 1024,
		/* en_fs_ethtool.c:validate_flow, get_ethtool_rule: what lies
		 * there is replaced
		 */
		.place		= LABNIC_PLACE_USER,
		.wrong_place	= -ENOSPC,
		.high_place	= -ENOSPC,
		/* en_fs_ethtool.c:get_flow_table: a table per number of fields;
		 * among equals it is inferred
		 */
		.rank		= LABNIC_RANK_FIELDS,
		/* en_fs_ethtool.c:validate_tcpudp4 and its like; ether is not
		 * done here
		 */
		.tos		= LABNIC_TOS_REFUSED,
		.types		= BIT_ULL(TCP_V4_FLOW) | BIT_ULL(UDP_V4_FLOW) |
				  BIT_ULL(TCP_V6_FLOW) | BIT_ULL(UDP_V6_FLOW) |
				  BIT_ULL(IP_USER_FLOW) |
				  BIT_ULL(IPV6_USER_FLOW),
		.wrong_type	= -EOPNOTSUPP,
		/* en_fs_ethtool.c:validate_vlan, of a rule without a VLAN. One
		 * with, and a destination MAC, are done by the driver, and here
		 * refused and ignored.
		 */
		.ext		= -EINVAL,
		.mac_ext	= 0,
		/* en_fs_ethtool.c:mlx5e_ethtool_get_flow,
		 * mlx5e_ethtool_flow_remove
		 */
		.get_none	= -ENOENT,
		.get_high	= -EINVAL,
		.delete_none	= -ENOENT,
		.delete_high	= -ENOSPC,
		/* en_fs_ethtool.c:mlx5e_ethtool_get_rxnfc leaves GRXCLSRLCNT's
		 * data alone; mlx5e_ethtool_get_all_flows
		 */
		.count_data	= false,
		.all_too_many	= -EINVAL,
	},
	/* en_main.c:mlx5e_build_nic_netdev; ntuple is aRFS, not rules */
	.features_off		= NETIF_F_GRO_HW | NETIF_F_NTUPLE,
	/* en_main.c:mlx5e_queue_mem_alloc, without a text */
	.queue_down		= -ENODEV,
	/* en_main.c:mlx5e_queue_validate_qcfg, which tells dmesg only;
	 * en/params.c:mlx5e_mpwrq_max_page_size
	 */
	.page_size_max		= SZ_128K,
	.page_size_odd		= { -EINVAL },
	.page_size_range	= { -ERANGE },
	/* en_rx.c:mlx5e_handle_rx_cqe_mpwrq_shampo: headers are in plain pages;
	 * what is not split and lies in device memory is dropped
	 */
	.header_pool		= LABNIC_HEADERS_IN_NO_POOL,
	/* en_main.c:mlx5e_set_netdev_mtu_boundaries; the most is the port's */
	.min_mtu		= ETH_MIN_MTU,
	.max_mtu		= 9978,
	/* en_main.c:mlx5e_safe_switch_params: en_ethtool.c:
	 * mlx5e_ethtool_set_ringparam, mlx5e_ethtool_set_channels; en_main.c:
	 * set_feature_hw_gro, mlx5e_change_mtu
	 */
	.reopens		= LABNIC_SET_RING_SIZES | LABNIC_SET_CHANNELS |
				  LABNIC_SET_GRO | LABNIC_SET_MTU,
	/* en_main.c:mlx5e_switch_priv_channels */
	.blinks			= LABNIC_SET_RING_SIZES | LABNIC_SET_CHANNELS |
				  LABNIC_SET_GRO | LABNIC_SET_MTU,
	/* en_main.c:mlx5e_get_queue_stats_rx: they belong to the index */
	.stats_restart		= LABNIC_STATS_STAY,
	.stats_reopen		= LABNIC_STATS_STAY,
	/* en_main.c:mlx5e_get_queue_stats_rx, mlx5e_get_queue_stats_tx */
	.rx_stats		= BIT(LABNIC_RX_PACKETS) |
				  BIT(LABNIC_RX_BYTES) |
				  BIT(LABNIC_RX_ALLOC_FAIL) |
				  BIT(LABNIC_RX_GRO_PACKETS) |
				  BIT(LABNIC_RX_GRO_WIRE_PACKETS) |
				  BIT(LABNIC_RX_GRO_WIRE_BYTES),
	.tx_stats		= BIT(LABNIC_TX_PACKETS) |
				  BIT(LABNIC_TX_BYTES) |
				  BIT(LABNIC_TX_CSUM_NONE) |
				  BIT(LABNIC_TX_GSO_PACKETS) |
				  BIT(LABNIC_TX_GSO_BYTES) |
				  BIT(LABNIC_TX_STOP),
};
