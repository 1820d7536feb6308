// SPDX-License-Identifier: GPL-2.0
/* The sending side. A packet goes straight into the inbox of the far end's RX
 * queue. Once it is copied, it returns through the TX queue's list of
 * completed packets, so a TX ring's fill level is the number of packets out.
 */
#include <linux/etherdevice.h>

#include "labnic.h"

#define LABNIC_CLOSE_WAIT	(5 * HZ)

static u32 labnic_tx_free(const struct labnic_txq *txq)
{
	u32 out = READ_ONCE(txq->sent) - READ_ONCE(txq->completed);
	u32 size = READ_ONCE(txq->end->tx_ring);

	/* The ring may now be smaller than the number of packets out. */
	return out < size ? size - out : 0;
}

static u32 labnic_tx_wake_at(const struct labnic_txq *txq)
{
	return READ_ONCE(txq->end->tx_ring) / 4;
}

static void labnic_tx_count(struct labnic_txq *txq, const struct sk_buff *skb,
			    bool stopped)
{
	unsigned int segments = labnic_segments(skb);
	u64 bytes = labnic_wire_bytes(skb, segments);
	struct labnic_tx_stats *stats = &txq->stats;
	u64_stats_t *value = stats->value;

	u64_stats_update_begin(&stats->syncp);
	labnic_count(value, LABNIC_TX_PACKETS, segments);
	labnic_count(value, LABNIC_TX_BYTES, bytes);
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		labnic_count(value, LABNIC_TX_NEEDS_CSUM, segments);
	else
		labnic_count(value, LABNIC_TX_CSUM_NONE, segments);
	if (skb_is_gso(skb)) {
		labnic_count(value, LABNIC_TX_GSO_PACKETS, 1);
		labnic_count(value, LABNIC_TX_GSO_BYTES, skb->len);
		labnic_count(value, LABNIC_TX_GSO_WIRE_PACKETS, segments);
		labnic_count(value, LABNIC_TX_GSO_WIRE_BYTES, bytes);
	}
	if (stopped)
		labnic_count(value, LABNIC_TX_STOP, 1);
	u64_stats_update_end(&stats->syncp);
}

/* Returns the queue of the far end for the packet; NULL to drop it. */
static struct labnic_rxq *labnic_route(struct labnic_port *far,
				       struct sk_buff *skb)
{
	struct labnic_flow flow;
	struct labnic_rxq *rq;
	int index;

	labnic_parse(skb, &flow);
	index = labnic_classify(far, skb, &flow);
	if (index == LABNIC_NO_QUEUE) {
		atomic_long_inc(&far->rule_drops);
		return NULL;
	}
	rq = rcu_dereference_bh(far->rxq[index]);
	if (unlikely(!rq))
		atomic_long_inc(&far->rx_stats[index].missed);
	return rq;
}

static u64 labnic_delayed(const struct labnic_port *far)
{
	u32 delay = labnic_fault_value(far, LABNIC_DELAY_US);

	return delay ? ktime_get_ns() + (u64)delay * NSEC_PER_USEC : 0;
}

netdev_tx_t labnic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_txq *txq = &end->txq[skb_get_queue_mapping(skb)];
	struct labnic_cb *cb = LABNIC_CB(skb);
	struct labnic_rxq *rq;

	if (unlikely(!labnic_tx_free(txq))) {
		/* The ring became smaller while the queue ran. */
		if (netif_txq_try_stop(txq->queue, labnic_tx_free(txq),
				       labnic_tx_wake_at(txq)) == 0)
			return NETDEV_TX_BUSY;
	}

	if (unlikely(skb->len < ETH_HLEN || skb_headlen(skb) < ETH_HLEN))
		goto drop;

	cb->txq = txq;
	cb->len = skb->len;
	cb->due = 0;
	cb->generation = txq->generation;
	rq = labnic_route(end->peer, skb);
	if (unlikely(!rq)) {
		labnic_tx_count(txq, skb, false);
		goto drop;
	}

	if (unlikely(READ_ONCE(end->peer->faults.armed)))
		cb->due = labnic_delayed(end->peer);

	skb_tx_timestamp(skb);
	netdev_tx_sent_queue(txq->queue, skb->len);
	WRITE_ONCE(txq->sent, txq->sent + 1);
	labnic_tx_count(txq, skb,
			!netif_txq_maybe_stop(txq->queue, labnic_tx_free(txq),
					      1, labnic_tx_wake_at(txq)));

	/* From here on the packet is the far end's. Whoever fills an empty
	 * inbox rings the bell; the others know that it has been rung.
	 */
	if (llist_add(&skb->ll_node, &rq->inbox))
		napi_schedule(&rq->napi);
	return NETDEV_TX_OK;

drop:
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

void labnic_tx_return_flush(struct labnic_returns *returns)
{
	struct labnic_txq *txq = returns->txq;

	if (txq && llist_add_batch(returns->first, returns->last, &txq->done))
		napi_schedule(&txq->napi);
	returns->txq = NULL;
}

/* Collects packets, so that a burst from one TX queue costs one atomic. */
void labnic_tx_return(struct labnic_returns *returns, struct sk_buff *skb)
{
	struct labnic_txq *txq = LABNIC_CB(skb)->txq;

	if (returns->txq != txq) {
		labnic_tx_return_flush(returns);
		returns->txq = txq;
		returns->first = NULL;
		returns->last = &skb->ll_node;
	}
	skb->ll_node.next = returns->first;
	returns->first = &skb->ll_node;
}

static int labnic_tx_poll(struct napi_struct *napi, int budget)
{
	struct labnic_txq *txq = container_of(napi, struct labnic_txq, napi);
	unsigned int packets = 0, bytes = 0;
	bool armed = READ_ONCE(txq->end->faults.armed);
	struct llist_node *node;
	struct sk_buff *skb;

	node = llist_del_all(&txq->done);
	while (node) {
		skb = llist_entry(node, struct sk_buff, ll_node);
		node = node->next;
		if (unlikely(LABNIC_CB(skb)->generation != txq->generation)) {
			dev_kfree_skb_any(skb);
			continue;
		}
		packets++;
		bytes += LABNIC_CB(skb)->len;
		if (unlikely(armed) && labnic_keep_skb(txq->end, skb))
			continue;
		skb_mark_not_on_list(skb);
		napi_consume_skb(skb, budget);
	}
	WRITE_ONCE(txq->completed, txq->completed + packets);
	if (netif_txq_completed_wake(txq->queue, packets, bytes,
				     labnic_tx_free(txq),
				     labnic_tx_wake_at(txq)) == 0)
		atomic_long_inc(&txq->stats.wake);

	if (budget)
		napi_complete_done(napi, 0);
	return 0;
}

/* All TX queues get their NAPI whatever the number of channels, so that a
 * queue taken out of use still gets its packets back.
 */
void labnic_tx_open(struct labnic_port *end)
{
	struct net_device *dev = end->dev;
	unsigned int i;

	for (i = 0; i < dev->num_tx_queues; i++) {
		struct labnic_txq *txq = &end->txq[i];

		netdev_tx_reset_queue(txq->queue);
		WRITE_ONCE(txq->closing, false);
		set_bit(NAPI_STATE_NO_BUSY_POLL, &txq->napi.state);
		netif_napi_add_locked(dev, &txq->napi, labnic_tx_poll);
		netif_queue_set_napi(dev, i, NETDEV_QUEUE_TYPE_TX, &txq->napi);
		napi_enable_locked(&txq->napi);
		/* labnic_tx_return_flush() schedules for an empty list only. */
		if (!llist_empty(&txq->done)) {
			local_bh_disable();
			napi_schedule(&txq->napi);
			local_bh_enable();
		}
	}
}

/* Makes the far end deliver delayed packets now. */
static void labnic_tx_hurry(struct labnic_port *end)
{
	struct labnic_port *far = end->peer;
	struct labnic_rxq *rq;
	unsigned int i;

	for (i = 0; i < end->dev->num_tx_queues; i++)
		WRITE_ONCE(end->txq[i].closing, true);

	rcu_read_lock_bh();
	for (i = 0; i < far->dev->num_rx_queues; i++) {
		rq = rcu_dereference_bh(far->rxq[i]);
		if (rq)
			napi_schedule(&rq->napi);
	}
	rcu_read_unlock_bh();
}

/* The far end returns every packet: it delivers them, or drops them when it
 * stops. That takes long only if its NAPI does not get to run. A packet that
 * returns after the wait is freed when the queue opens again, or with the
 * device, and is not counted: BQL has been reset by then.
 */
void labnic_tx_close(struct labnic_port *end)
{
	unsigned long until = jiffies + LABNIC_CLOSE_WAIT;
	struct net_device *dev = end->dev;
	unsigned int i;

	labnic_tx_hurry(end);
	for (i = 0; i < dev->num_tx_queues; i++) {
		struct labnic_txq *txq = &end->txq[i];

		while (READ_ONCE(txq->completed) != READ_ONCE(txq->sent)) {
			if (time_after(jiffies, until)) {
				netdev_err(dev, "TX queue %u closes with %u packets out\n",
					   i, txq->sent - txq->completed);
				break;
			}
			usleep_range(100, 500);
		}
		napi_disable_locked(&txq->napi);
		netif_queue_set_napi(dev, i, NETDEV_QUEUE_TYPE_TX, NULL);
		__netif_napi_del_locked(&txq->napi);
		netdev_tx_reset_queue(txq->queue);
		txq->generation++;
		WRITE_ONCE(txq->completed, txq->sent);
	}
	synchronize_net();
}

/* Both ends are closed by now, so no packet returns any more. */
void labnic_tx_destroy(struct labnic_port *end)
{
	struct llist_node *node;
	struct sk_buff *skb;
	unsigned int i;

	for (i = 0; end->txq && i < end->dev->num_tx_queues; i++) {
		node = llist_del_all(&end->txq[i].done);
		while (node) {
			skb = llist_entry(node, struct sk_buff, ll_node);
			node = node->next;
			dev_kfree_skb_any(skb);
		}
	}
	kvfree(end->txq);
}
