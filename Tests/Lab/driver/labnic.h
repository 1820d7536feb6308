/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LABNIC_H
#define LABNIC_H

#include <linux/dma-direct.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/llist.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>
#include <net/netdev_queues.h>

#include "compat.h"
#include "faults.h"
#include "manners.h"

#define LABNIC_NAME		"labnic"
#define LABNIC_VERSION		"1.0"

#define LABNIC_MAX_WIRES	16
#define LABNIC_MAX_QUEUES	256
#define LABNIC_MAX_DMA_DEVICES	4
#define LABNIC_DEF_HDS_THRESH	256
#define LABNIC_INDIR_SIZE	128
/* The maximum of all manners. */
#define LABNIC_MAX_KEY_SIZE	54
#define LABNIC_MAX_INDIR_SIZE	4096
#define LABNIC_MAX_CONTEXTS	33

/* Classification of a packet to be dropped. */
#define LABNIC_NO_QUEUE		-1
/* Stands for a queue in a rule that leaves the choice to an RSS context. */
#define LABNIC_COOKIE_RSS	(RX_CLS_FLOW_WAKE - 1)

/* The fields a packet is classified by, laid out so that a rule is compared
 * word by word. Addresses and ports stand in the order that Toeplitz hashes.
 */
struct labnic_flow {
	union {
		struct {
			__be32	src[4];
			__be32	dst[4];
			__be16	sport;
			__be16	dport;
			__be16	l3_proto;
			u8	l4_proto;
			u8	tos;
		};
		u32	word[10];
	};
};

/* What the sending side knows about a packet, in skb->cb until the receiver
 * has copied it.
 */
struct labnic_cb {
	struct labnic_txq	*txq;
	u64			due;		/* ns; 0: at once */
	u32			len;		/* what BQL was told */
	u32			hash;
	u16			l4_off;		/* 0: no TCP or UDP header */
	u16			hdr_len;	/* with TCP's; 0: not TCP */
	u8			l3_off;
	u8			l4_proto;
	bool			ipv6;
	u8			hash_type;	/* enum pkt_hash_types */
	u8			generation;	/* of txq, when sent */
};

#define LABNIC_CB(skb)	((struct labnic_cb *)(skb)->cb)

enum labnic_rx_counter {
	LABNIC_RX_PACKETS,
	LABNIC_RX_BYTES,
	LABNIC_RX_ALLOC_FAIL,
	LABNIC_RX_DROPS,
	LABNIC_RX_CSUM_UNNECESSARY,
	LABNIC_RX_CSUM_NONE,
	LABNIC_RX_CSUM_BAD,
	LABNIC_RX_GRO_PACKETS,
	LABNIC_RX_GRO_BYTES,
	LABNIC_RX_GRO_WIRE_PACKETS,
	LABNIC_RX_GRO_WIRE_BYTES,
	LABNIC_RX_SPLIT,
	LABNIC_RX_UNSPLIT,
	LABNIC_RX_COUNTERS
};

enum labnic_tx_counter {
	LABNIC_TX_PACKETS,
	LABNIC_TX_BYTES,
	LABNIC_TX_NEEDS_CSUM,
	LABNIC_TX_CSUM_NONE,
	LABNIC_TX_GSO_PACKETS,
	LABNIC_TX_GSO_BYTES,
	LABNIC_TX_GSO_WIRE_PACKETS,
	LABNIC_TX_GSO_WIRE_BYTES,
	LABNIC_TX_STOP,
	LABNIC_TX_COUNTERS
};

/* Counters belong to a queue's index and outlive any one queue. */
struct labnic_rx_stats {
	struct u64_stats_sync	syncp;
	u64_stats_t		value[LABNIC_RX_COUNTERS];
	atomic_long_t		missed;	/* dropped while stopped */
} ____cacheline_aligned_in_smp;

struct labnic_tx_stats {
	struct u64_stats_sync	syncp;
	u64_stats_t		value[LABNIC_TX_COUNTERS];
	atomic_long_t		wake;
};

/* Counters at some moment. */
struct labnic_rx_sample {
	u64			value[LABNIC_RX_COUNTERS];
	u64			missed;
};

struct labnic_tx_sample {
	u64			value[LABNIC_TX_COUNTERS];
	u64			wake;
};

struct labnic_rxq {
	struct napi_struct	napi;
	struct labnic_port	*end;
	struct page_pool	*pool;
	struct page_pool	*host_pool;	/* pool, or for headers */
	struct labnic_rx_stats	*stats;
	struct sk_buff		*todo;		/* of inbox, oldest first */
	struct sk_buff		*held;		/* for reorder_nth */
	struct hrtimer		timer;
	struct labnic_rxq	*next;		/* while closing */
	u16			index;
	bool			unreadable;
	bool			proven;		/* never fails to start */

	struct llist_head	inbox ____cacheline_aligned_in_smp;
};

/* Lives as long as its end, so the far end may point to it at any time. */
struct labnic_txq {
	struct napi_struct	napi;
	struct labnic_port	*end;
	struct netdev_queue	*queue;
	u32			sent;		/* written by xmit */
	u8			generation;	/* counts openings */
	bool			closing;
	struct labnic_tx_stats	stats;

	struct llist_head	done ____cacheline_aligned_in_smp;
	u32			completed;	/* written by the TX NAPI */
} ____cacheline_aligned_in_smp;

/* Packets that return to their TX queue. */
struct labnic_returns {
	struct labnic_txq	*txq;
	struct llist_node	*first;
	struct llist_node	*last;
};

struct labnic_port {
	struct net_device	*dev;
	struct labnic_port	*peer;
	struct device		*parent;
	struct labnic_rxq __rcu	**rxq;
	struct labnic_rx_stats	*rx_stats;
	struct labnic_txq	*txq;
	struct labnic_rss __rcu	*rss[LABNIC_MAX_CONTEXTS];
	struct labnic_rules __rcu *rules;
	u32			rules_made;
	const struct labnic_manners *manners;
	u32			tx_ring;
	u32			rx_ring;
	u32			hds_thresh;
	bool			split;
	u8			split_wish;	/* ETHTOOL_TCP_DATA_SPLIT_... */
	bool			opened;
	bool			blinked_off;	/* the carrier was on */
	/* As they were set. */
	u16			combined;
	u16			only_rx;
	u16			only_tx;
	u16			wire;
	char			side;		/* 'a' or 'b' */
	atomic_long_t		rule_drops;
	/* Subtracted from each queue's counters, and part of the base. */
	struct labnic_rx_sample	*rx_zero;
	struct labnic_tx_sample	*tx_zero;
	struct labnic_rx_sample	rx_base;
	struct labnic_tx_sample	tx_base;
	struct labnic_faults	faults;
};

/* Rules and RSS tables change under the instance lock; before and after
 * registration nobody else sees them.
 */
static inline bool labnic_is_guarded(const struct labnic_port *end)
{
	return labnic_is_locked(end->dev) ||
	       (end->dev->reg_state != NETREG_REGISTERED &&
		end->dev->reg_state != NETREG_UNREGISTERING);
}

/* With no IOMMU and no bounce buffers a DMA address is a physical one, and
 * the NIC's DMA is a memcpy.
 */
static inline void *labnic_dma_va(const struct labnic_port *end,
				  dma_addr_t addr)
{
	return phys_to_virt(dma_to_phys(end->parent, addr));
}

static inline unsigned int labnic_segments(const struct sk_buff *skb)
{
	return skb_is_gso(skb) ? max_t(u16, skb_shinfo(skb)->gso_segs, 1) : 1;
}

/* Bytes on the wire: a TSO packet repeats its headers in each segment. */
static inline u64 labnic_wire_bytes(const struct sk_buff *skb,
				    unsigned int segments)
{
	return skb->len + (u64)(segments - 1) * LABNIC_CB(skb)->hdr_len;
}

/* main.c */
extern unsigned int labnic_rss_entries;
extern unsigned int labnic_ntuple_channels;
DECLARE_STATIC_KEY_FALSE(labnic_relays);
struct device *labnic_dma_device(const struct labnic_port *end,
				 unsigned int queue);

/* netdev.c */
struct net_device *labnic_port_create(struct device *parent,
				      const struct labnic_manners *manners,
				      unsigned int queues, u16 wire, char side);
void labnic_port_destroy(struct labnic_port *end);

/* reopen.c */
int labnic_open_queues(struct labnic_port *end);
void labnic_close_queues(struct labnic_port *end);
void labnic_close_for(struct labnic_port *end, u32 events);
int labnic_reopen_after(struct labnic_port *end);
bool labnic_blink_off(struct labnic_port *end, u32 events);
void labnic_blink_on(struct labnic_port *end, bool was_on);

/* split.c */
bool labnic_aggregates(const struct labnic_port *end,
		       netdev_features_t features);
u8 labnic_split_report(const struct labnic_port *end, u8 wish);
int labnic_split_check(const struct labnic_port *end, u8 wish,
		       struct netlink_ext_ack *extack);
bool labnic_split_turns_on(const struct labnic_port *end, u8 wish);
void labnic_split_set(struct labnic_port *end, u8 wish, u32 hds_thresh);
void labnic_split_update(struct labnic_port *end, netdev_features_t features);

/* queue.c */
extern struct netdev_queue_mgmt_ops labnic_queue_ops;
void labnic_queue_setup(const struct labnic_manners *manners);
int labnic_rx_open(struct labnic_port *end, unsigned int from, unsigned int to);
void labnic_rx_close(struct labnic_port *end, unsigned int from,
		     unsigned int to);
int labnic_rx_rebuild(struct labnic_port *end);

/* rx.c */
int labnic_rx_poll(struct napi_struct *napi, int budget);
void labnic_rx_purge(struct labnic_rxq *rq);

/* segment.c */
void labnic_segment_fix(void *header, const struct sk_buff *tx,
			unsigned int index, unsigned int payload, bool last);

/* tx.c */
netdev_tx_t labnic_xmit(struct sk_buff *skb, struct net_device *dev);
void labnic_tx_open(struct labnic_port *end);
void labnic_tx_close(struct labnic_port *end);
void labnic_tx_destroy(struct labnic_port *end);
void labnic_tx_return(struct labnic_returns *returns, struct sk_buff *skb);
void labnic_tx_return_flush(struct labnic_returns *returns);

/* parse.c */
void labnic_parse(struct sk_buff *skb, struct labnic_flow *flow);
int labnic_checksum(const struct sk_buff *skb);
int labnic_classify(struct labnic_port *end, struct sk_buff *skb,
		    const struct labnic_flow *flow);

/* rss.c */
int labnic_rss_init(struct labnic_port *end);
void labnic_rss_destroy(struct labnic_port *end);
int labnic_rss_check_channels(struct labnic_port *end, unsigned int queues);
int labnic_rss_follow_channels(struct labnic_port *end, unsigned int queues);
u32 labnic_rss_pick(struct labnic_port *end, u32 context, struct sk_buff *skb,
		    const struct labnic_flow *flow);
u32 labnic_get_rxfh_key_size(struct net_device *dev);
u32 labnic_get_rxfh_indir_size(struct net_device *dev);
int labnic_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh);
int labnic_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		    struct netlink_ext_ack *extack);
int labnic_get_rxfh_fields(struct net_device *dev,
			   struct ethtool_rxfh_fields *fields);
int labnic_create_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx,
			       const struct ethtool_rxfh_param *rxfh,
			       struct netlink_ext_ack *extack);
int labnic_modify_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx,
			       const struct ethtool_rxfh_param *rxfh,
			       struct netlink_ext_ack *extack);
int labnic_remove_rxfh_context(struct net_device *dev,
			       struct ethtool_rxfh_context *ctx, u32 context,
			       struct netlink_ext_ack *extack);

/* ntuple.c */
void labnic_rules_match(struct labnic_port *end, const struct labnic_flow *flow,
			u64 *cookie, u32 *context);
void labnic_rules_destroy(struct labnic_port *end);
void labnic_rules_up(struct labnic_port *end);
void labnic_rules_down(struct labnic_port *end);
int labnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc,
		     u32 *locations);
int labnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *nfc);

/* ethtool.c */
extern struct ethtool_ops labnic_ethtool_ops;
void labnic_ethtool_setup(const struct labnic_manners *manners);

/* stats.c */
extern const struct netdev_stat_ops labnic_stat_ops;
int labnic_stats_init(struct labnic_port *end);
void labnic_stats_destroy(struct labnic_port *end);
void labnic_stats_restart(struct labnic_port *end, unsigned int index);
void labnic_stats_reopen(struct labnic_port *end);
void labnic_get_stats64(struct net_device *dev,
			struct rtnl_link_stats64 *stats);
int labnic_get_sset_count(struct net_device *dev, int sset);
void labnic_get_strings(struct net_device *dev, u32 sset, u8 *data);
void labnic_get_ethtool_stats(struct net_device *dev,
			      struct ethtool_stats *unused, u64 *data);

static inline void labnic_count(u64_stats_t *values, unsigned int which,
				unsigned long n)
{
	u64_stats_add(&values[which], n);
}

#endif
