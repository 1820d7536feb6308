// SPDX-License-Identifier: GPL-2.0
/* Counters, as the stack's per-queue and device statistics and ethtool -S. */
#include <linux/ethtool.h>

#include "labnic.h"

struct labnic_rx_sample {
	u64 value[LABNIC_RX_COUNTERS];
	u64 missed;
};

struct labnic_tx_sample {
	u64 value[LABNIC_TX_COUNTERS];
	u64 wake;
};

/* ethtool -S shows what the other interfaces have no name for. */
static const char labnic_strings[][ETH_GSTRING_LEN] = {
	"rx_split",
	"rx_unsplit",
	"rx_dropped_queue_stopped",
	"rx_dropped_by_rule",
};

static void labnic_rx_add(struct labnic_end *end, unsigned int index,
			  struct labnic_rx_sample *sum)
{
	struct labnic_rx_stats *stats = &end->rx_stats[index];
	u64 value[LABNIC_RX_COUNTERS];
	unsigned int start, i;

	do {
		start = u64_stats_fetch_begin(&stats->syncp);
		for (i = 0; i < LABNIC_RX_COUNTERS; i++)
			value[i] = u64_stats_read(&stats->value[i]);
	} while (u64_stats_fetch_retry(&stats->syncp, start));

	for (i = 0; i < LABNIC_RX_COUNTERS; i++)
		sum->value[i] += value[i];
	sum->missed += atomic_long_read(&stats->missed);
}

static void labnic_tx_add(struct labnic_end *end, unsigned int index,
			  struct labnic_tx_sample *sum)
{
	struct labnic_tx_stats *stats = &end->txq[index].stats;
	u64 value[LABNIC_TX_COUNTERS];
	unsigned int start, i;

	do {
		start = u64_stats_fetch_begin(&stats->syncp);
		for (i = 0; i < LABNIC_TX_COUNTERS; i++)
			value[i] = u64_stats_read(&stats->value[i]);
	} while (u64_stats_fetch_retry(&stats->syncp, start));

	for (i = 0; i < LABNIC_TX_COUNTERS; i++)
		sum->value[i] += value[i];
	sum->wake += atomic_long_read(&stats->wake);
}

static void labnic_rx_fill(struct netdev_queue_stats_rx *rx,
			   const struct labnic_rx_sample *s)
{
	rx->packets = s->value[LABNIC_RX_PACKETS];
	rx->bytes = s->value[LABNIC_RX_BYTES];
	rx->alloc_fail = s->value[LABNIC_RX_ALLOC_FAIL];
	rx->hw_drops = s->value[LABNIC_RX_DROPS] + s->missed;
	rx->csum_unnecessary = s->value[LABNIC_RX_CSUM_UNNECESSARY];
	rx->csum_none = s->value[LABNIC_RX_CSUM_NONE];
	rx->csum_bad = s->value[LABNIC_RX_CSUM_BAD];
	rx->hw_gro_packets = s->value[LABNIC_RX_GRO_PACKETS];
	rx->hw_gro_bytes = s->value[LABNIC_RX_GRO_BYTES];
	rx->hw_gro_wire_packets = s->value[LABNIC_RX_GRO_WIRE_PACKETS];
	rx->hw_gro_wire_bytes = s->value[LABNIC_RX_GRO_WIRE_BYTES];
}

static void labnic_tx_fill(struct netdev_queue_stats_tx *tx,
			   const struct labnic_tx_sample *s)
{
	tx->packets = s->value[LABNIC_TX_PACKETS];
	tx->bytes = s->value[LABNIC_TX_BYTES];
	tx->needs_csum = s->value[LABNIC_TX_NEEDS_CSUM];
	tx->csum_none = s->value[LABNIC_TX_CSUM_NONE];
	tx->hw_gso_packets = s->value[LABNIC_TX_GSO_PACKETS];
	tx->hw_gso_bytes = s->value[LABNIC_TX_GSO_BYTES];
	tx->hw_gso_wire_packets = s->value[LABNIC_TX_GSO_WIRE_PACKETS];
	tx->hw_gso_wire_bytes = s->value[LABNIC_TX_GSO_WIRE_BYTES];
	tx->stop = s->value[LABNIC_TX_STOP];
	tx->wake = s->wake;
}

static void labnic_get_queue_stats_rx(struct net_device *dev, int index,
				      struct netdev_queue_stats_rx *stats)
{
	struct labnic_rx_sample sample = {};

	labnic_rx_add(netdev_priv(dev), index, &sample);
	labnic_rx_fill(stats, &sample);
}

static void labnic_get_queue_stats_tx(struct net_device *dev, int index,
				      struct netdev_queue_stats_tx *stats)
{
	struct labnic_tx_sample sample = {};

	labnic_tx_add(netdev_priv(dev), index, &sample);
	labnic_tx_fill(stats, &sample);
}

/* Queues that are out of use at present, and drops that are no queue's. */
static void labnic_get_base_stats(struct net_device *dev,
				  struct netdev_queue_stats_rx *rx,
				  struct netdev_queue_stats_tx *tx)
{
	struct labnic_end *end = netdev_priv(dev);
	struct labnic_rx_sample rx_sum = {};
	struct labnic_tx_sample tx_sum = {};
	unsigned int i;

	for (i = dev->real_num_rx_queues; i < dev->num_rx_queues; i++)
		labnic_rx_add(end, i, &rx_sum);
	for (i = dev->real_num_tx_queues; i < dev->num_tx_queues; i++)
		labnic_tx_add(end, i, &tx_sum);
	rx_sum.missed += atomic_long_read(&end->rule_drops);
	labnic_rx_fill(rx, &rx_sum);
	labnic_tx_fill(tx, &tx_sum);
}

const struct netdev_stat_ops labnic_stat_ops = {
	.get_queue_stats_rx	= labnic_get_queue_stats_rx,
	.get_queue_stats_tx	= labnic_get_queue_stats_tx,
	.get_base_stats		= labnic_get_base_stats,
};

static void labnic_rx_total(struct labnic_end *end, struct labnic_rx_sample *sum)
{
	unsigned int i;

	for (i = 0; i < end->dev->num_rx_queues; i++)
		labnic_rx_add(end, i, sum);
}

void labnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct labnic_end *end = netdev_priv(dev);
	struct labnic_rx_sample rx = {};
	struct labnic_tx_sample tx = {};
	unsigned int i;

	labnic_rx_total(end, &rx);
	for (i = 0; i < dev->num_tx_queues; i++)
		labnic_tx_add(end, i, &tx);

	stats->rx_packets = rx.value[LABNIC_RX_PACKETS];
	stats->rx_bytes = rx.value[LABNIC_RX_BYTES];
	stats->rx_missed_errors = rx.missed + rx.value[LABNIC_RX_ALLOC_FAIL];
	stats->rx_dropped = rx.value[LABNIC_RX_DROPS] -
			    rx.value[LABNIC_RX_ALLOC_FAIL] +
			    atomic_long_read(&end->rule_drops);
	stats->tx_packets = tx.value[LABNIC_TX_PACKETS];
	stats->tx_bytes = tx.value[LABNIC_TX_BYTES];
}

int labnic_get_sset_count(struct net_device *dev, int sset)
{
	return sset == ETH_SS_STATS ? ARRAY_SIZE(labnic_strings) : -EOPNOTSUPP;
}

void labnic_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	if (sset == ETH_SS_STATS)
		memcpy(data, labnic_strings, sizeof(labnic_strings));
}

void labnic_get_ethtool_stats(struct net_device *dev,
			      struct ethtool_stats *unused, u64 *data)
{
	struct labnic_end *end = netdev_priv(dev);
	struct labnic_rx_sample rx = {};

	labnic_rx_total(end, &rx);
	*data++ = rx.value[LABNIC_RX_SPLIT];
	*data++ = rx.value[LABNIC_RX_UNSPLIT];
	*data++ = rx.missed;
	*data++ = atomic_long_read(&end->rule_drops);
}

void labnic_stats_init(struct labnic_end *end)
{
	unsigned int i;

	for (i = 0; i < end->dev->num_rx_queues; i++)
		u64_stats_init(&end->rx_stats[i].syncp);
	for (i = 0; i < end->dev->num_tx_queues; i++)
		u64_stats_init(&end->txq[i].stats.syncp);
}
