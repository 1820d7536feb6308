// SPDX-License-Identifier: GPL-2.0
/* The receiving side: takes packets from the inbox, decides how to deliver
 * each, and passes the copies to the stack.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>

#include "build.h"

/* A packet of at most LABNIC_COPY_BREAK bytes that is not split is copied to
 * the linear part. Of a longer one with unknown headers only the first
 * LABNIC_UNKNOWN_HEADER bytes are.
 */
#define LABNIC_COPY_BREAK	256
#define LABNIC_UNKNOWN_HEADER	128
/* IPv4 and TCP, both with the most options. */
#define LABNIC_MAX_HEADER	(ETH_HLEN + 60 + 60)
/* What partial_split_nth and lose_linear_nth put into the linear part. */
#define LABNIC_PARTIAL_BYTES	64

/* Decides where the payload goes. With header split, TCP goes to the queue's
 * own pool; anything else stays in memory that the CPU can read.
 */
static void labnic_plan(struct labnic_rxq *rq, const struct labnic_cb *cb,
			int csum, unsigned int header, unsigned int payload,
			struct labnic_delivery *how)
{
	struct labnic_port *end = rq->end;
	u32 threshold = READ_ONCE(end->hds_thresh);

	/* What a driver without the setting would do. */
	if (unlikely(READ_ONCE(end->faults.armed)) &&
	    labnic_fault_value(end, LABNIC_IGNORE_HDS_THRESH))
		threshold = LABNIC_DEF_HDS_THRESH;

	how->header = header;
	how->payload = payload;
	how->split = READ_ONCE(end->split) && payload && cb->hdr_len &&
		     csum == CHECKSUM_UNNECESSARY &&
		     header + payload > threshold;
	if (how->split) {
		how->pool = rq->pool;
		return;
	}
	/* Without memory of its own, the packet is lost. */
	how->lost = payload && rq->unreadable && rq->host_pool == rq->pool;
	how->pool = rq->host_pool;
	if (header + payload <= LABNIC_COPY_BREAK)
		how->linear = payload;
	else if (!header)
		how->linear = min(payload, LABNIC_UNKNOWN_HEADER);
}

/* Returns false if the packet must be dropped. */
static bool labnic_plan_faults(struct labnic_rxq *rq,
			       struct labnic_delivery *how)
{
	struct labnic_port *end = rq->end;
	u32 n = atomic_inc_return(&end->faults.arrived);
	bool lose = labnic_fault_nth(end, LABNIC_LOSE_LINEAR_NTH, n);

	if (labnic_fault_nth(end, LABNIC_DROP_NTH, n))
		return false;
	how->corrupt = labnic_fault_nth(end, LABNIC_CORRUPT_NTH, n);
	how->hold = labnic_fault_nth(end, LABNIC_REORDER_NTH, n);
	how->stale = labnic_fault_nth(end, LABNIC_STALE_NTH, n);
	how->reuse = labnic_fault_nth(end, LABNIC_REUSE_NTH, n);
	how->leak = labnic_fault_nth(end, LABNIC_LEAK_NTH, n);
	if (labnic_fault_nth(end, LABNIC_UNSPLIT_NTH, n)) {
		how->plain = true;
	} else if (how->split && how->payload > 1 &&
		 (lose || labnic_fault_nth(end, LABNIC_PARTIAL_SPLIT_NTH, n))) {
		how->linear = min(how->payload - 1, LABNIC_PARTIAL_BYTES);
		how->lose_linear = lose;
	}
	return true;
}

static void labnic_release_held(struct labnic_rxq *rq)
{
	struct sk_buff *skb = rq->held;

	rq->held = NULL;
	napi_gro_receive(&rq->napi, skb);
}

static void labnic_hand_over(struct labnic_rxq *rq, struct sk_buff *skb,
			     bool hold)
{
	bool held = rq->held;

	if (unlikely(hold && !held)) {
		rq->held = skb;
		return;
	}
	napi_gro_receive(&rq->napi, skb);
	if (unlikely(held))
		labnic_release_held(rq);
}

static void labnic_rx_count_drop(struct labnic_rxq *rq, bool alloc_fail,
				 unsigned int packets)
{
	struct labnic_rx_stats *stats = rq->stats;

	u64_stats_update_begin(&stats->syncp);
	labnic_count(stats->value, LABNIC_RX_DROPS, packets);
	if (alloc_fail)
		labnic_count(stats->value, LABNIC_RX_ALLOC_FAIL, packets);
	u64_stats_update_end(&stats->syncp);
}

static void labnic_rx_count(struct labnic_rxq *rq, const struct sk_buff *skb,
			    const struct labnic_delivery *how, int csum,
			    unsigned int segments)
{
	u64 bytes = skb->len + (u64)(segments - 1) * how->header;
	struct labnic_rx_stats *stats = rq->stats;
	u64_stats_t *value = stats->value;

	u64_stats_update_begin(&stats->syncp);
	labnic_count(value, LABNIC_RX_PACKETS, segments);
	labnic_count(value, LABNIC_RX_BYTES, bytes);
	if (csum == CHECKSUM_UNNECESSARY)
		labnic_count(value, LABNIC_RX_CSUM_UNNECESSARY, segments);
	else if (csum == CHECKSUM_NONE)
		labnic_count(value, LABNIC_RX_CSUM_NONE, segments);
	else
		labnic_count(value, LABNIC_RX_CSUM_BAD, segments);
	if (skb_is_gso(skb)) {
		labnic_count(value, LABNIC_RX_GRO_PACKETS, 1);
		labnic_count(value, LABNIC_RX_GRO_BYTES, skb->len);
		labnic_count(value, LABNIC_RX_GRO_WIRE_PACKETS, segments);
		labnic_count(value, LABNIC_RX_GRO_WIRE_BYTES, bytes);
	}
	if (how->split && !how->plain)
		labnic_count(value, LABNIC_RX_SPLIT, segments);
	else
		labnic_count(value, LABNIC_RX_UNSPLIT, segments);
	u64_stats_update_end(&stats->syncp);
}

/* Leaves the checksum that the sender left to the NIC to the next NIC. */
static void labnic_pass_checksum(const struct labnic_port *end,
				 const struct sk_buff *tx, struct sk_buff *skb)
{
	if (end->side == 'b' && tx->ip_summed == CHECKSUM_PARTIAL)
		skb_partial_csum_set(skb, skb_checksum_start_offset(tx),
				     tx->csum_offset);
}

/* Delivers the next @payload bytes of the sender's packet with @header, as
 * one aggregate of @segments packets of the wire.
 */
static void labnic_deliver(struct labnic_rxq *rq, struct labnic_source *src,
			   const void *header, unsigned int header_len,
			   unsigned int payload, int csum,
			   unsigned int segments)
{
	const struct skb_shared_info *from = skb_shinfo(src->skb);
	const struct labnic_cb *cb = LABNIC_CB(src->skb);
	struct net_device *dev = rq->end->dev;
	struct labnic_delivery how = {};
	struct skb_shared_info *info;
	struct sk_buff *skb;

	labnic_plan(rq, cb, csum, header_len, payload, &how);
	if (unlikely(READ_ONCE(rq->end->faults.armed)) && cb->hdr_len &&
	    payload && !labnic_plan_faults(rq, &how)) {
		labnic_rx_count_drop(rq, false, segments);
		return;
	}
	if (unlikely(how.lost && !how.plain)) {
		labnic_rx_count_drop(rq, false, segments);
		return;
	}
	skb = labnic_build(rq, src, header, &how);
	if (unlikely(!skb)) {
		labnic_rx_count_drop(rq, true, segments);
		return;
	}
	if (segments > 1) {
		info = skb_shinfo(skb);
		info->gso_size = from->gso_size;
		info->gso_segs = segments;
		info->gso_type = from->gso_type & (SKB_GSO_TCPV4 |
			SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN | SKB_GSO_TCP_FIXEDID);
	}
	labnic_rx_count(rq, skb, &how, csum, segments);

	skb->ip_summed = csum == CHECKSUM_UNNECESSARY ? csum : CHECKSUM_NONE;
	if (static_branch_unlikely(&labnic_relays))
		labnic_pass_checksum(rq->end, src->skb, skb);
	if (dev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, cb->hash, cb->hash_type);
	skb_record_rx_queue(skb, rq->index);
	skb->protocol = eth_type_trans(skb, dev);
	labnic_hand_over(rq, skb, how.hold);
}

/* Delivers the segments of a TSO packet one by one, as a plain NIC does. A
 * segment that is dropped half copied must not move the start of the next.
 */
static void labnic_deliver_segments(struct labnic_rxq *rq,
				    const struct sk_buff *tx)
{
	const struct labnic_cb *cb = LABNIC_CB(tx);
	unsigned int mss = skb_shinfo(tx)->gso_size;
	unsigned int total = tx->len - cb->hdr_len;
	struct labnic_source src = {
		.end = rq->end, .skb = tx, .frag = -1, .pos = cb->hdr_len,
	}, this;
	u8 header[LABNIC_MAX_HEADER];
	unsigned int done, n, index = 0;

	for (done = 0; done < total; done += n, index++) {
		n = min(total - done, mss);
		memcpy(header, tx->data, cb->hdr_len);
		labnic_segment_fix(header, tx, index, n, done + n == total);
		this = src;
		labnic_deliver(rq, &this, header, cb->hdr_len, n,
			       CHECKSUM_UNNECESSARY, 1);
		labnic_source_skip(&src, n);
	}
}

/* Returns what counts against the NAPI budget: 1 for an aggregate or a packet
 * delivered as it is, else the number of segments.
 */
static unsigned int labnic_receive(struct labnic_rxq *rq,
				   const struct sk_buff *tx)
{
	const struct labnic_cb *cb = LABNIC_CB(tx);
	struct net_device *dev = rq->end->dev;
	unsigned int segments = labnic_segments(tx);
	unsigned int header = cb->hdr_len;
	unsigned int longest;
	struct labnic_source src = {
		.end = rq->end, .skb = tx, .frag = -1, .pos = header,
	};

	longest = skb_is_gso(tx) ? header + skb_shinfo(tx)->gso_size : tx->len;
	if (unlikely(longest > READ_ONCE(dev->mtu) + VLAN_ETH_HLEN ||
		     (segments > 1 && !header))) {
		labnic_rx_count_drop(rq, false, segments);
		return segments;
	}

	if (segments > 1 && !(dev->features & NETIF_F_GRO_HW)) {
		labnic_deliver_segments(rq, tx);
		return segments;
	}
	labnic_deliver(rq, &src, tx->data, header, tx->len - header,
		       labnic_checksum(tx), segments);
	return 1;
}

static struct sk_buff *labnic_rx_next(struct labnic_rxq *rq)
{
	struct llist_node *node;

	if (!rq->todo) {
		node = llist_reverse_order(llist_del_all(&rq->inbox));
		if (node)
			rq->todo = llist_entry(node, struct sk_buff, ll_node);
	}
	return rq->todo;
}

static void labnic_rx_advance(struct labnic_rxq *rq, struct sk_buff *skb)
{
	struct llist_node *next = skb->ll_node.next;

	rq->todo = next ? llist_entry(next, struct sk_buff, ll_node) : NULL;
}

/* Returns true if the packet is not due; then a timer wakes the queue. */
static bool labnic_rx_early(struct labnic_rxq *rq, struct sk_buff *skb)
{
	u64 now, due = LABNIC_CB(skb)->due;

	if (likely(!due))
		return false;
	now = ktime_get_ns();
	if (now >= due || READ_ONCE(LABNIC_CB(skb)->txq->closing))
		return false;
	hrtimer_start(&rq->timer, ns_to_ktime(due - now), HRTIMER_MODE_REL);
	return true;
}

int labnic_rx_poll(struct napi_struct *napi, int budget)
{
	struct labnic_rxq *rq = container_of(napi, struct labnic_rxq, napi);
	struct labnic_returns returns = {};
	struct sk_buff *skb;
	int done = 0;

	while (done < budget) {
		skb = labnic_rx_next(rq);
		if (!skb || labnic_rx_early(rq, skb))
			break;
		done += labnic_receive(rq, skb);
		labnic_rx_advance(rq, skb);
		labnic_tx_return(&returns, skb);
	}
	labnic_tx_return_flush(&returns);

	if (done >= budget)
		return budget;
	if (unlikely(rq->held))
		labnic_release_held(rq);
	napi_complete_done(napi, done);
	return done;
}

/* Returns the undelivered packets of a stopped queue. */
void labnic_rx_purge(struct labnic_rxq *rq)
{
	struct labnic_returns returns = {};
	struct sk_buff *skb;

	kfree_skb(rq->held);
	rq->held = NULL;

	local_bh_disable();
	while ((skb = labnic_rx_next(rq))) {
		atomic_long_add(labnic_segments(skb), &rq->stats->missed);
		labnic_rx_advance(rq, skb);
		labnic_tx_return(&returns, skb);
	}
	labnic_tx_return_flush(&returns);
	local_bh_enable();
}
