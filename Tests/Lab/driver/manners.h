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

struct labnic_port;

/* The reply to a refused request: an error, with or without a text. */
struct labnic_refusal {
	int		err;		/* negative; 0: it is not refused */
	const char	*text;
};

/* The text is the driver's, complete and with its prefix. */
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
	LABNIC_SPLIT_WISH_OR_OFF,	/* the user's setting, or off */
	LABNIC_SPLIT_WISH,		/* the user's setting, or absent */
	LABNIC_SPLIT_AGGREGATION,	/* on with aggregation rings */
	LABNIC_SPLIT_STATE,		/* as it is, whatever was set */
	LABNIC_SPLIT_ALWAYS,		/* on */
};

enum labnic_channel_kind {
	LABNIC_COMBINED,		/* combined only */
	LABNIC_APART,			/* rx and tx only */
	LABNIC_COMBINED_OR_APART,	/* combined, or rx and tx */
	LABNIC_MIXED,			/* any two of combined, rx and tx */
};

/* What may make the driver close and open all queues. */
enum labnic_event {
	LABNIC_SET_RINGS	= 1 << 0,	/* any rings request */
	LABNIC_SET_RING_SIZES	= 1 << 1,	/* one that changes a size */
	LABNIC_SET_CHANNELS	= 1 << 2,
	LABNIC_SET_RSS		= 1 << 3,	/* main table or key */
	LABNIC_SET_NTUPLE	= 1 << 4,
	LABNIC_SET_GRO		= 1 << 5,
	LABNIC_SET_MTU		= 1 << 6,
	LABNIC_RESTART_QUEUE	= 1 << 7,	/* stop or start of one */
};

/* What happens to a queue's counters when the queue is recreated. */
enum labnic_stats_fate {
	LABNIC_STATS_STAY,
	LABNIC_STATS_TO_BASE,	/* the queue's go to 0, the sum stays */
	LABNIC_STATS_LOST,	/* the queue's go to 0 */
};

enum labnic_header_pool {
	LABNIC_HEADERS_APART_UNREADABLE,	/* for a bound queue */
	LABNIC_HEADERS_APART_LARGE,		/* and with large pages */
	LABNIC_HEADERS_IN_NO_POOL,		/* lost if not split */
};

/* The location that a rule may have. */
enum labnic_rule_place {
	LABNIC_PLACE_EITHER,	/* the user's, or any: from below, or last */
	LABNIC_PLACE_USER,	/* the user's only */
	LABNIC_PLACE_ANY_BELOW,	/* any only, the lowest free one */
	LABNIC_PLACE_ANY_ABOVE,	/* any only, the highest free one */
};

enum labnic_rule_rank {
	LABNIC_RANK_LOCATION,	/* the lowest location wins */
	LABNIC_RANK_FIELDS,	/* the most fields win, then the oldest */
};

enum labnic_rule_tos {
	LABNIC_TOS_MATCHED,
	LABNIC_TOS_REFUSED,
	LABNIC_TOS_DROPPED,	/* accepted, and ignored */
};

/* Errors are negative; 0 means success, or for ext that it is ignored. */
struct labnic_rule_manners {
	u32			places;
	enum labnic_rule_place	place;
	enum labnic_rule_rank	rank;
	enum labnic_rule_tos	tos;
	u64			types;		/* bits such as TCP_V4_FLOW */
	int			wrong_type;
	int			ext;		/* FLOW_EXT */
	int			mac_ext;	/* FLOW_MAC_EXT */
	int			wrong_place;	/* not as place says */
	int			high_place;	/* a location beyond the last */
	int			occupied;	/* 0: it is replaced */
	int			full;
	int			same_match;
	int			no_field;	/* no mask is set */
	int			drop;		/* the action "drop" */
	int			rss_main;	/* action: main context */
	bool			rss_ignored;	/* and sent to queue 0 */
	int			down;		/* adding one while down */
	bool			down_pending;	/* not listed until up */
	int			ntuple_off;	/* adding one without it */
	bool			ntuple_needed;	/* else without effect */
	bool			ntuple_off_drops; /* off deletes them */
	int			delete_ntuple_off;
	int			get_none;
	int			get_high;
	int			delete_none;
	int			delete_high;
	bool			count_data;	/* GRXCLSRLCNT: places */
	bool			count_special;	/* and any location */
	bool			all_data_used;	/* GRXCLSRLALL: rules */
	bool			all_hashed;	/* in no order */
	int			all_too_few;	/* 0: as many as fit */
	int			all_too_many;	/* room for more */
};

struct labnic_manners {
	const char			*name;		/* as the parameter */
	const char			*driver;	/* for "ethtool -i" */

	/* Rings and header split. */
	struct labnic_ring_limits	rx_ring;
	struct labnic_ring_limits	tx_ring;
	/* May change the requested sizes. */
	int (*check_rings)(const struct labnic_manners *manners,
			   struct ethtool_ringparam *ring,
			   struct netlink_ext_ack *extack);
	/* Adds to what is reported; may be absent. */
	void (*report_rings)(const struct labnic_port *end,
			     struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kernel);
	u32				ring_params;	/* ETHTOOL_RING_USE_ */
	enum labnic_split_report	split_report;
	/* Not 0: the largest RX ring with split; larger ones are cut. */
	u32				rx_max_split;
	/* Unless the user has turned it off. */
	struct labnic_refusal		split_off;
	netdev_features_t		split_needs;	/* for "on" */
	struct labnic_refusal		split_lacks;	/* without these */
	bool				split_keeps;	/* on, with split */
	u32				hds_thresh;
	u32				hds_thresh_max;
	/* Not 0: with a threshold below it, all packets are split; with one
	 * from it on, none.
	 */
	u32				split_below;

	enum labnic_channel_kind	channels;
	u32				other_channels;
	/* With many channels the feature ntuple may turn off. */
	bool				ntuple_falls;

	/* Receive side scaling. */
	u32 (*indir_size)(unsigned int queues);
	u32				indir_space;	/* 0: a fixed size */
	u32				key_size;
	u32				contexts;	/* with the main one */
	bool				context_keys;
	bool				context_spread;	/* i % queues, if new */
	u8				input_xfrm;	/* 0: cannot be set */
	bool				xor_hash;	/* besides Toeplitz */
	struct labnic_refusal		wrong_hash;
	struct labnic_refusal		wrong_hash_context;
	struct labnic_refusal		context_down;
	/* The main table reads as zeros while down. */
	bool				table_hidden_down;

	struct labnic_rule_manners	rules;

	/* Features, out of those that labnic has. */
	netdev_features_t		features_missing;
	netdev_features_t		features_off;	/* at first */
	netdev_features_t		features_fixed;	/* on */

	/* Single queues. */
	int				queue_down;	/* restart while down */
	int				queue_zero;	/* stopping the first */
	u32				page_size_max;	/* 0: cannot be set */
	struct labnic_refusal		page_size_odd;
	struct labnic_refusal		page_size_range;
	enum labnic_header_pool		header_pool;

	u32				min_mtu;
	u32				max_mtu;

	/* enum labnic_event. */
	u32				reopens;
	u32				blinks;		/* the carrier */
	enum labnic_stats_fate		stats_restart;
	enum labnic_stats_fate		stats_reopen;
	/* For qstats-get: bits by labnic_rx_counter and labnic_tx_counter. */
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
