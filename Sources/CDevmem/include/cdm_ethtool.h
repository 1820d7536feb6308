/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ethtool's numbers and layouts, netlink and ioctl, as typed constants; named as in cdm_netlink.h.
 */
#pragma once

#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <stdint.h>

/* linux/ethtool_netlink.h; from RSS_GET on, of Linux 6.3 and 6.17. */
enum : uint8_t {
	cdm_ETHTOOL_GENL_VERSION = ETHTOOL_GENL_VERSION,

	cdm_ETHTOOL_MSG_LINKMODES_GET = ETHTOOL_MSG_LINKMODES_GET,
	cdm_ETHTOOL_MSG_FEATURES_GET = ETHTOOL_MSG_FEATURES_GET,
	cdm_ETHTOOL_MSG_FEATURES_SET = ETHTOOL_MSG_FEATURES_SET,
	cdm_ETHTOOL_MSG_RINGS_GET = ETHTOOL_MSG_RINGS_GET,
	cdm_ETHTOOL_MSG_RINGS_SET = ETHTOOL_MSG_RINGS_SET,
	cdm_ETHTOOL_MSG_CHANNELS_GET = ETHTOOL_MSG_CHANNELS_GET,
	cdm_ETHTOOL_MSG_CHANNELS_SET = ETHTOOL_MSG_CHANNELS_SET,
	cdm_ETHTOOL_MSG_RSS_GET = 38,
	cdm_ETHTOOL_MSG_RSS_SET = 48,
	cdm_ETHTOOL_MSG_RSS_CREATE_ACT = 49,
	cdm_ETHTOOL_MSG_RSS_DELETE_ACT = 50,

	/* What the kernel sends has numbers of its own. */
	cdm_ETHTOOL_MSG_RINGS_NTF = ETHTOOL_MSG_RINGS_NTF,

	cdm_ETHTOOL_TCP_DATA_SPLIT_UNKNOWN = ETHTOOL_TCP_DATA_SPLIT_UNKNOWN,
	cdm_ETHTOOL_TCP_DATA_SPLIT_DISABLED = ETHTOOL_TCP_DATA_SPLIT_DISABLED,
	cdm_ETHTOOL_TCP_DATA_SPLIT_ENABLED = ETHTOOL_TCP_DATA_SPLIT_ENABLED,
};

/* The thresholds of header split are of Linux 6.14, RSS of 6.3 and its input transform of 6.8. */
enum : uint16_t {
	cdm_ETHTOOL_A_HEADER_DEV_INDEX = ETHTOOL_A_HEADER_DEV_INDEX,

	cdm_ETHTOOL_A_LINKMODES_SPEED = ETHTOOL_A_LINKMODES_SPEED,

	cdm_ETHTOOL_A_RINGS_HEADER = ETHTOOL_A_RINGS_HEADER,
	cdm_ETHTOOL_A_RINGS_RX = ETHTOOL_A_RINGS_RX,
	cdm_ETHTOOL_A_RINGS_RX_MINI = ETHTOOL_A_RINGS_RX_MINI,
	cdm_ETHTOOL_A_RINGS_RX_JUMBO = ETHTOOL_A_RINGS_RX_JUMBO,
	cdm_ETHTOOL_A_RINGS_TX = ETHTOOL_A_RINGS_TX,
	cdm_ETHTOOL_A_RINGS_TCP_DATA_SPLIT = ETHTOOL_A_RINGS_TCP_DATA_SPLIT,
	cdm_ETHTOOL_A_RINGS_HDS_THRESH = 17,
	cdm_ETHTOOL_A_RINGS_HDS_THRESH_MAX = 18,

	cdm_ETHTOOL_A_CHANNELS_HEADER = ETHTOOL_A_CHANNELS_HEADER,
	cdm_ETHTOOL_A_CHANNELS_RX_MAX = ETHTOOL_A_CHANNELS_RX_MAX,
	cdm_ETHTOOL_A_CHANNELS_RX_COUNT = ETHTOOL_A_CHANNELS_RX_COUNT,
	cdm_ETHTOOL_A_CHANNELS_TX_COUNT = ETHTOOL_A_CHANNELS_TX_COUNT,
	cdm_ETHTOOL_A_CHANNELS_OTHER_COUNT = ETHTOOL_A_CHANNELS_OTHER_COUNT,
	cdm_ETHTOOL_A_CHANNELS_COMBINED_COUNT = ETHTOOL_A_CHANNELS_COMBINED_COUNT,

	cdm_ETHTOOL_A_FEATURES_HW = ETHTOOL_A_FEATURES_HW,
	cdm_ETHTOOL_A_FEATURES_WANTED = ETHTOOL_A_FEATURES_WANTED,
	cdm_ETHTOOL_A_FEATURES_ACTIVE = ETHTOOL_A_FEATURES_ACTIVE,

	cdm_ETHTOOL_A_BITSET_NOMASK = ETHTOOL_A_BITSET_NOMASK,
	cdm_ETHTOOL_A_BITSET_BITS = ETHTOOL_A_BITSET_BITS,
	cdm_ETHTOOL_A_BITSET_BITS_BIT = ETHTOOL_A_BITSET_BITS_BIT,
	cdm_ETHTOOL_A_BITSET_BIT_NAME = ETHTOOL_A_BITSET_BIT_NAME,
	cdm_ETHTOOL_A_BITSET_BIT_VALUE = ETHTOOL_A_BITSET_BIT_VALUE,

	cdm_ETHTOOL_A_RSS_HEADER = 1,
	cdm_ETHTOOL_A_RSS_CONTEXT = 2,
	cdm_ETHTOOL_A_RSS_HFUNC = 3,
	cdm_ETHTOOL_A_RSS_INDIR = 4,
	cdm_ETHTOOL_A_RSS_HKEY = 5,
	cdm_ETHTOOL_A_RSS_INPUT_XFRM = 6,
};
/* The header is the first attribute of every message, and the limits stand in the counts' order. */
_Static_assert(ETHTOOL_A_RINGS_HEADER == 1 && ETHTOOL_A_CHANNELS_HEADER == 1 &&
	       ETHTOOL_A_FEATURES_HEADER == 1 && ETHTOOL_A_LINKMODES_HEADER == 1,
	       "ETHTOOL_A_*_HEADER");
_Static_assert(ETHTOOL_A_CHANNELS_COMBINED_MAX == ETHTOOL_A_CHANNELS_RX_MAX + 3 &&
	       ETHTOOL_A_CHANNELS_COMBINED_COUNT == ETHTOOL_A_CHANNELS_RX_COUNT + 3,
	       "ETHTOOL_A_CHANNELS_*");

/* linux/ethtool.h. */
enum : uint32_t {
	cdm_SPEED_UNKNOWN = (uint32_t)SPEED_UNKNOWN,

	cdm_ETH_RXFH_CONTEXT_ALLOC = ETH_RXFH_CONTEXT_ALLOC,

	cdm_RX_CLS_LOC_SPECIAL = RX_CLS_LOC_SPECIAL,
	cdm_RX_CLS_LOC_ANY = RX_CLS_LOC_ANY,

	cdm_TCP_V4_FLOW = TCP_V4_FLOW,
	cdm_UDP_V4_FLOW = UDP_V4_FLOW,
	cdm_SCTP_V4_FLOW = SCTP_V4_FLOW,
	cdm_TCP_V6_FLOW = TCP_V6_FLOW,
	cdm_UDP_V6_FLOW = UDP_V6_FLOW,
	cdm_SCTP_V6_FLOW = SCTP_V6_FLOW,
	cdm_AH_V4_FLOW = AH_V4_FLOW,
	cdm_ESP_V4_FLOW = ESP_V4_FLOW,
	cdm_AH_V6_FLOW = AH_V6_FLOW,
	cdm_ESP_V6_FLOW = ESP_V6_FLOW,
	cdm_IPV4_USER_FLOW = IPV4_USER_FLOW,
	cdm_IPV6_USER_FLOW = IPV6_USER_FLOW,
	cdm_ETHER_FLOW = ETHER_FLOW,
	cdm_FLOW_EXT = FLOW_EXT,
	cdm_FLOW_MAC_EXT = FLOW_MAC_EXT,
	cdm_FLOW_RSS = FLOW_RSS,
};

enum : uint64_t {
	cdm_RX_CLS_FLOW_DISC = RX_CLS_FLOW_DISC,
	cdm_RX_CLS_FLOW_WAKE = RX_CLS_FLOW_WAKE,
	cdm_ETHTOOL_RX_FLOW_SPEC_RING = ETHTOOL_RX_FLOW_SPEC_RING,
	cdm_ETHTOOL_RX_FLOW_SPEC_RING_VF = ETHTOOL_RX_FLOW_SPEC_RING_VF,
	cdm_ETHTOOL_RX_FLOW_SPEC_RING_VF_OFF = ETHTOOL_RX_FLOW_SPEC_RING_VF_OFF,
};

/* Of Linux 6.8: until then the byte behind the hash function was reserved. */
enum : uint8_t {
	cdm_RXH_XFRM_NO_CHANGE = 0xff,
};

enum : uint16_t {
	cdm_ETH_P_IP = ETH_P_IP,
	cdm_ETH_P_IPV6 = ETH_P_IPV6,
	cdm_ETH_P_8021Q = ETH_P_8021Q,
	cdm_ETH_P_8021AD = ETH_P_8021AD,
};

enum : intptr_t {
	cdm_ethtool_drvinfo_size = sizeof(struct ethtool_drvinfo),
	cdm_ethtool_drvinfo_driver = offsetof(struct ethtool_drvinfo, driver),
	cdm_ethtool_drvinfo_version = offsetof(struct ethtool_drvinfo, version),
	cdm_ethtool_drvinfo_fw_version = offsetof(struct ethtool_drvinfo, fw_version),
	cdm_ethtool_drvinfo_bus_info = offsetof(struct ethtool_drvinfo, bus_info),
	cdm_ethtool_drvinfo_text = sizeof(((struct ethtool_drvinfo *)0)->driver),

	cdm_ethtool_rxnfc_size = sizeof(struct ethtool_rxnfc),
	cdm_ethtool_rxnfc_data = offsetof(struct ethtool_rxnfc, data),
	cdm_ethtool_rxnfc_fs = offsetof(struct ethtool_rxnfc, fs),
	/* One word for two things: how many rules there are, and a rule's RSS context. */
	cdm_ethtool_rxnfc_rule_cnt = offsetof(struct ethtool_rxnfc, rule_cnt),
	cdm_ethtool_rxnfc_rss_context = offsetof(struct ethtool_rxnfc, rss_context),
	cdm_ethtool_rxnfc_rule_locs = offsetof(struct ethtool_rxnfc, rule_locs),

	cdm_ethtool_rxfh_rss_context = offsetof(struct ethtool_rxfh, rss_context),
	cdm_ethtool_rxfh_indir_size = offsetof(struct ethtool_rxfh, indir_size),
	cdm_ethtool_rxfh_input_xfrm = offsetof(struct ethtool_rxfh, hfunc) + 1,
	cdm_ethtool_rxfh_rss_config = offsetof(struct ethtool_rxfh, rss_config),

	cdm_ethtool_rx_flow_spec_size = sizeof(struct ethtool_rx_flow_spec),
	cdm_ethtool_rx_flow_spec_flow_type = offsetof(struct ethtool_rx_flow_spec, flow_type),
	cdm_ethtool_rx_flow_spec_h_u = offsetof(struct ethtool_rx_flow_spec, h_u),
	cdm_ethtool_rx_flow_spec_m_u = offsetof(struct ethtool_rx_flow_spec, m_u),
	cdm_ethtool_rx_flow_spec_ring_cookie = offsetof(struct ethtool_rx_flow_spec, ring_cookie),
	cdm_ethtool_rx_flow_spec_location = offsetof(struct ethtool_rx_flow_spec, location),

	/* From h_u or m_u on, which h_ext or m_ext follows. */
	cdm_ethtool_flow_match_size =
		sizeof(union ethtool_flow_union) + sizeof(struct ethtool_flow_ext),
	cdm_ethtool_flow_ext_h_dest =
		sizeof(union ethtool_flow_union) + offsetof(struct ethtool_flow_ext, h_dest),
	cdm_ethtool_flow_ext_vlan_etype =
		sizeof(union ethtool_flow_union) + offsetof(struct ethtool_flow_ext, vlan_etype),
	cdm_ethtool_flow_ext_vlan_tci =
		sizeof(union ethtool_flow_union) + offsetof(struct ethtool_flow_ext, vlan_tci),
	cdm_ethtool_flow_ext_data =
		sizeof(union ethtool_flow_union) + offsetof(struct ethtool_flow_ext, data),

	cdm_ethtool_usrip4_spec_ip4src = offsetof(struct ethtool_usrip4_spec, ip4src),
	cdm_ethtool_usrip4_spec_ip4dst = offsetof(struct ethtool_usrip4_spec, ip4dst),
	cdm_ethtool_usrip4_spec_l4_4_bytes = offsetof(struct ethtool_usrip4_spec, l4_4_bytes),
	cdm_ethtool_usrip4_spec_tos = offsetof(struct ethtool_usrip4_spec, tos),
	cdm_ethtool_usrip4_spec_proto = offsetof(struct ethtool_usrip4_spec, proto),

	cdm_ethtool_usrip6_spec_ip6src = offsetof(struct ethtool_usrip6_spec, ip6src),
	cdm_ethtool_usrip6_spec_ip6dst = offsetof(struct ethtool_usrip6_spec, ip6dst),
	cdm_ethtool_usrip6_spec_l4_4_bytes = offsetof(struct ethtool_usrip6_spec, l4_4_bytes),
	cdm_ethtool_usrip6_spec_tclass = offsetof(struct ethtool_usrip6_spec, tclass),
	cdm_ethtool_usrip6_spec_l4_proto = offsetof(struct ethtool_usrip6_spec, l4_proto),

	cdm_ethhdr_h_dest = offsetof(struct ethhdr, h_dest),
	cdm_ethhdr_h_source = offsetof(struct ethhdr, h_source),
	cdm_ethhdr_h_proto = offsetof(struct ethhdr, h_proto),
};
