/* SPDX-License-Identifier: GPL-2.0 */
/* How a driver behaves towards ethtool, the queue API and the stack: one
 * constant table per driver, in a file of its own. labnic's own manners are a
 * table like the others. The rest of the driver asks the table.
 */
#ifndef LABNIC_MANNERS_H
#define LABNIC_MANNERS_H

#include <linux/ethtool.h>
#include <linux/netdev_features.h>
#include <linux/netlink.h>
#include <linux/types.h>

struct labnic_end;

/* What a refused request gets: an error, with a text or without. */
struct labnic_refusal {
	int		err;		/* negative; 0: it is not refused */
	const char	*text;
};

/* The text is the driver's, whole and with its prefix. */
static inline int labnic_refuse(struct netlink_ext_ack *extack,
				const struct labnic_refusal *refusal)
{
	if (refusal->err && refusal->text)
		NL_SET_ERR_MSG_FMT(extack, "%s", refusal->text);
	return refusal->err;
}

struct labnic_ring_limits {
	u32	initial;
	u32	min;
	u32	max;
};

enum labnic_split_report {
	LABNIC_SPLIT_WISH_OR_OFF,	/* the user's setting, unset is off */
	LABNIC_SPLIT_WISH,		/* the user's setting, unset is absent */
	LABNIC_SPLIT_AGGREGATION,	/* on while there are aggregation rings */
	LABNIC_SPLIT_STATE,		/* as it is; "unknown" changes nothing */
	LABNIC_SPLIT_ALWAYS,		/* on */
};

enum labnic_channel_kind {
	LABNIC_COMBINED,		/* combined only */
	LABNIC_APART,			/* rx and tx only */
	LABNIC_COMBINED_OR_APART,	/* combined, or rx and tx */
	LABNIC_MIXED,			/* combined and rx, or combined and tx, or rx and tx */
};

/* What may make the driver close and open all queues. */
enum labnic_event {
	LABNIC_SET_RINGS	= 1 << 0,	/* any rings request that reaches the driver */
	LABNIC_SET_RING_SIZES	= 1 << 1,	/* one that changes a size */
	LABNIC_SET_CHANNELS	= 1 << 2,
	LABNIC_SET_RSS		= 1 << 3,	/* main table or key */
	LABNIC_SET_NTUPLE	= 1 << 4,
	LABNIC_SET_GRO		= 1 << 5,
	LABNIC_SET_MTU		= 1 << 6,
	LABNIC_RESTART_QUEUE	= 1 << 7,	/* one queue; its stop and its start */
};

/* What becomes of a queue's counters when the queue is made anew. */
enum labnic_stats_fate {
	LABNIC_STATS_STAY,
	LABNIC_STATS_TO_BASE,	/* the queue's go to 0, the sum stays */
	LABNIC_STATS_LOST,	/* the queue's go to 0 */
};

enum labnic_header_pool {
	LABNIC_HEADERS_APART_UNREADABLE,	/* a pool of their own on a bound queue */
	LABNIC_HEADERS_APART_LARGE,		/* there and with large pages */
	LABNIC_HEADERS_IN_NO_POOL,		/* a packet that is not split is lost when bound */
};

/* Where a rule may lie. */
enum labnic_rule_place {
	LABNIC_PLACE_EITHER,	/* the user's, or any: from below, or last */
	LABNIC_PLACE_USER,	/* the user's only */
	LABNIC_PLACE_ANY_BELOW,	/* any only, the lowest free one */
	LABNIC_PLACE_ANY_ABOVE,	/* any only, the highest free one */
};

enum labnic_rule_rank {
	LABNIC_RANK_LOCATION,	/* the lowest location wins */
	LABNIC_RANK_FIELDS,	/* the most fields win; among equals the oldest rule */
};

enum labnic_rule_tos {
	LABNIC_TOS_MATCHED,
	LABNIC_TOS_REFUSED,
	LABNIC_TOS_DROPPED,	/* taken, and forgotten */
};

/* Errors are negative; 0 means that it is done, or for ext that it is
 * ignored.
 */
struct labnic_rule_manners {
	u32			places;
	enum labnic_rule_place	place;
	enum labnic_rule_rank	rank;
	enum labnic_rule_tos	tos;
	u64			types;		/* bits by flow type, such as TCP_V4_FLOW */
	int			wrong_type;
	int			ext;		/* FLOW_EXT */
	int			mac_ext;	/* FLOW_MAC_EXT */
	int			wrong_place;	/* another kind of location than place says */
	int			high_place;	/* a location beyond the last */
	int			occupied;	/* 0: the rule there is replaced */
	int			full;
	int			same_match;
	int			no_field;	/* no mask is set */
	int			drop;		/* the action "drop" */
	int			rss_main;	/* the action "main RSS context" */
	bool			rss_ignored;	/* an RSS action becomes queue 0 */
	int			down;		/* adding one while the interface is down */
	bool			down_pending;	/* none is listed from "down" to "up" */
	int			ntuple_off;	/* adding one with the feature off */
	bool			ntuple_needed;	/* with the feature off, rules have no effect */
	bool			ntuple_off_drops;	/* turning it off deletes them */
	int			delete_ntuple_off;
	int			get_none;
	int			get_high;
	int			delete_none;
	int			delete_high;
	bool			count_data;	/* GRXCLSRLCNT says how many places there are */
	bool			count_special;	/* and that any location will do */
	bool			all_data_used;	/* GRXCLSRLALL's data: rules in use, not places */
	bool			all_hashed;	/* its order is none */
	int			all_too_few;	/* room for fewer than there are; 0: so many */
	int			all_too_many;	/* room for more than there are */
};

struct labnic_manners {
	const char			*name;		/* for the parameter "manners" */
	const char			*driver;	/* for "ethtool -i" */

	/* Rings and header split. */
	struct labnic_ring_limits	rx_ring;
	struct labnic_ring_limits	tx_ring;
	/* May change the sizes asked for. */
	int (*check_rings)(const struct labnic_manners *manners,
			   struct ethtool_ringparam *ring,
			   struct netlink_ext_ack *extack);
	/* Adds to what is reported; may be absent. */
	void (*report_rings)(const struct labnic_end *end,
			     struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kernel);
	u32				ring_params;	/* ETHTOOL_RING_USE_... */
	enum labnic_split_report	split_report;
	u32				rx_max_split;	/* not 0: while it is on; larger rings are cut */
	struct labnic_refusal		split_off;	/* unless it is off by the user's wish */
	netdev_features_t		split_needs;	/* for "on" */
	struct labnic_refusal		split_lacks;	/* without these */
	bool				split_keeps;	/* they stay on while split is */
	u32				hds_thresh;
	u32				hds_thresh_max;
	/* Not 0: with a threshold below it, all packets are split; with one
	 * from it on, none.
	 */
	u32				split_below;

	enum labnic_channel_kind	channels;
	u32				other_channels;
	/* With many channels the feature ntuple may fall. */
	bool				ntuple_falls;

	/* Receive side scaling. */
	u32 (*indir_size)(unsigned int queues);
	u32				indir_space;	/* 0: the size is the same always */
	u32				key_size;
	u32				contexts;	/* the main one included; 1: no others */
	bool				context_keys;
	bool				context_spread;	/* a new one has entry i % queues */
	u8				input_xfrm;	/* at first; 0: it cannot be set */
	bool				xor_hash;	/* besides Toeplitz */
	struct labnic_refusal		wrong_hash;
	struct labnic_refusal		wrong_hash_context;
	struct labnic_refusal		context_down;
	bool				table_hidden_down;	/* the main one reads as zeros then */

	struct labnic_rule_manners	rules;

	/* Features, out of those that labnic has. */
	netdev_features_t		features_missing;
	netdev_features_t		features_off;	/* at first */
	netdev_features_t		features_fixed;	/* on */

	/* Single queues. */
	int				queue_down;	/* restarting one while down */
	int				queue_zero;	/* stopping the first one */
	u32				page_size_max;	/* 0: it cannot be set */
	struct labnic_refusal		page_size_odd;
	struct labnic_refusal		page_size_range;
	enum labnic_header_pool		header_pool;

	u32				min_mtu;
	u32				max_mtu;

	/* enum labnic_event. */
	u32				reopens;
	u32				blinks;		/* the carrier goes off and on */
	enum labnic_stats_fate		stats_restart;
	enum labnic_stats_fate		stats_reopen;
	/* Bits by enum labnic_rx_counter and labnic_tx_counter, of qstats-get. */
	u32				rx_stats;
	u32				tx_stats;
};

extern const struct labnic_manners labnic_manners_plain;
extern const struct labnic_manners labnic_manners_bnxt;
extern const struct labnic_manners labnic_manners_fbnic;
extern const struct labnic_manners labnic_manners_gve;
extern const struct labnic_manners labnic_manners_mlx5;

/* manners.c */
const struct labnic_manners *labnic_manners_find(const char *name);
int labnic_check_ring_power(u32 size, const struct labnic_ring_limits *limits);

#endif
