// SPDX-License-Identifier: GPL-2.0
/* Counters: the stack's per-queue and device statistics, and ethtool -S. */
#include <linux/ethtool.h>

#include "labnic.h"

/* ethtool -S has the counters that the other interfaces have no name for. */
static const char labnic_strings[][ETH_GSTRING_LEN] = {
	"rx_split",
	"rx_unsplit",
	"rx_dropped_queue_stopped",
	"rx_dropped_by_rule",
};

static void labnic_rx_add(struct labnic_port *end, unsigned int index,
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

static void labnic_tx_add(struct labnic_port *end, unsigned int index,
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

static void labnic_rx_subtract(struct labnic_rx_sample *from,
			       const struct labnic_rx_sample *what)
{
	unsigned int i;

	for (i = 0; i < LABNIC_RX_COUNTERS; i++)
		from->value[i] -= what->value[i];
	from->missed -= what->missed;
}

static void labnic_tx_subtract(struct labnic_tx_sample *from,
			       const struct labnic_tx_sample *what)
{
	unsigned int i;

	for (i = 0; i < LABNIC_TX_COUNTERS; i++)
		from->value[i] -= what->value[i];
	from->wake -= what->wake;
}

static void labnic_rx_sum(struct labnic_rx_sample *sum,
			  const struct labnic_rx_sample *what)
{
	unsigned int i;

	for (i = 0; i < LABNIC_RX_COUNTERS; i++)
		sum->value[i] += what->value[i];
	sum->missed += what->missed;
}

static void labnic_tx_sum(struct labnic_tx_sample *sum,
			  const struct labnic_tx_sample *what)
{
	unsigned int i;

	for (i = 0; i < LABNIC_TX_COUNTERS; i++)
		sum->value[i] += what->value[i];
	sum->wake += what->wake;
}

/* Returns what a queue has counted since its counters were last reset. */
static struct labnic_rx_sample labnic_rx_read(struct labnic_port *end,
					      unsigned int index)
{
	struct labnic_rx_sample sample = {};

	labnic_rx_add(end, index, &sample);
	labnic_rx_subtract(&sample, &end->rx_zero[index]);
	return sample;
}

static struct labnic_tx_sample labnic_tx_read(struct labnic_port *end,
					      unsigned int index)
{
	struct labnic_tx_sample sample = {};

	labnic_tx_add(end, index, &sample);
	labnic_tx_subtract(&sample, &end->tx_zero[index]);
	return sample;
}

/* Statistics that the manners do not have stay absent. */
static void labnic_rx_fill(const struct labnic_port *end,
			   struct netdev_queue_stats_rx *rx,
			   const struct labnic_rx_sample *s)
{
	u64 *const field[LABNIC_RX_COUNTERS] = {
		[LABNIC_RX_PACKETS]		= &rx->packets,
		[LABNIC_RX_BYTES]		= &rx->bytes,
		[LABNIC_RX_ALLOC_FAIL]		= &rx->alloc_fail,
		[LABNIC_RX_DROPS]		= &rx->hw_drops,
		[LABNIC_RX_CSUM_UNNECESSARY]	= &rx->csum_unnecessary,
		[LABNIC_RX_CSUM_NONE]		= &rx->csum_none,
		[LABNIC_RX_CSUM_BAD]		= &rx->csum_bad,
		[LABNIC_RX_GRO_PACKETS]		= &rx->hw_gro_packets,
		[LABNIC_RX_GRO_BYTES]		= &rx->hw_gro_bytes,
		[LABNIC_RX_GRO_WIRE_PACKETS]	= &rx->hw_gro_wire_packets,
		[LABNIC_RX_GRO_WIRE_BYTES]	= &rx->hw_gro_wire_bytes,
	};
	unsigned int i;

	for (i = 0; i < LABNIC_RX_COUNTERS; i++)
		if (field[i] && end->manners->rx_stats & BIT(i))
			*field[i] = s->value[i];
	if (end->manners->rx_stats & BIT(LABNIC_RX_DROPS))
		rx->hw_drops += s->missed;
}

static void labnic_tx_fill(const struct labnic_port *end,
			   struct netdev_queue_stats_tx *tx,
			   const struct labnic_tx_sample *s)
{
	u64 *const field[LABNIC_TX_COUNTERS] = {
		[LABNIC_TX_PACKETS]		= &tx->packets,
		[LABNIC_TX_BYTES]		= &tx->bytes,
		[LABNIC_TX_NEEDS_CSUM]		= &tx->needs_csum,
		[LABNIC_TX_CSUM_NONE]		= &tx->csum_none,
		[LABNIC_TX_GSO_PACKETS]		= &tx->hw_gso_packets,
		[LABNIC_TX_GSO_BYTES]		= &tx->hw_gso_bytes,
		[LABNIC_TX_GSO_WIRE_PACKETS]	= &tx->hw_gso_wire_packets,
		[LABNIC_TX_GSO_WIRE_BYTES]	= &tx->hw_gso_wire_bytes,
		[LABNIC_TX_STOP]		= &tx->stop,
	};
	unsigned int i;

	for (i = 0; i < LABNIC_TX_COUNTERS; i++)
		if (end->manners->tx_stats & BIT(i))
			*field[i] = s->value[i];
	if (end->manners->tx_stats & BIT(LABNIC_TX_STOP))
		tx->wake = s->wake;
}

static void labnic_get_queue_stats_rx(struct net_device *dev, int index,
				      struct netdev_queue_stats_rx *stats)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_rx_sample sample = labnic_rx_read(end, index);

	labnic_rx_fill(end, stats, &sample);
}

static void labnic_get_queue_stats_tx(struct net_device *dev, int index,
				      struct netdev_queue_stats_tx *stats)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_tx_sample sample = labnic_tx_read(end, index);

	labnic_tx_fill(end, stats, &sample);
}

/* Resets the counters of one queue, or keeps them. */
static void labnic_rx_reset(struct labnic_port *end, unsigned int index,
			    enum labnic_stats_fate fate)
{
	struct labnic_rx_sample sample = labnic_rx_read(end, index);

	if (fate == LABNIC_STATS_STAY)
		return;
	if (fate == LABNIC_STATS_TO_BASE)
		labnic_rx_sum(&end->rx_base, &sample);
	labnic_rx_sum(&end->rx_zero[index], &sample);
}

static void labnic_tx_reset(struct labnic_port *end, unsigned int index,
			    enum labnic_stats_fate fate)
{
	struct labnic_tx_sample sample = labnic_tx_read(end, index);

	if (fate == LABNIC_STATS_STAY)
		return;
	if (fate == LABNIC_STATS_TO_BASE)
		labnic_tx_sum(&end->tx_base, &sample);
	labnic_tx_sum(&end->tx_zero[index], &sample);
}

void labnic_stats_restart(struct labnic_port *end, unsigned int index)
{
	labnic_rx_reset(end, index, end->manners->stats_restart);
}

void labnic_stats_reopen(struct labnic_port *end)
{
	unsigned int i;

	for (i = 0; i < end->dev->num_rx_queues; i++)
		labnic_rx_reset(end, i, end->manners->stats_reopen);
	for (i = 0; i < end->dev->num_tx_queues; i++)
		labnic_tx_reset(end, i, end->manners->stats_reopen);
}

/* Queues that are not in use, and drops that belong to no queue. */
static void labnic_get_base_stats(struct net_device *dev,
				  struct netdev_queue_stats_rx *rx,
				  struct netdev_queue_stats_tx *tx)
{
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_rx_sample rx_sum = end->rx_base, rx_one;
	struct labnic_tx_sample tx_sum = end->tx_base, tx_one;
	unsigned int i;

	for (i = dev->real_num_rx_queues; i < dev->num_rx_queues; i++) {
		rx_one = labnic_rx_read(end, i);
		labnic_rx_sum(&rx_sum, &rx_one);
	}
	for (i = dev->real_num_tx_queues; i < dev->num_tx_queues; i++) {
		tx_one = labnic_tx_read(end, i);
		labnic_tx_sum(&tx_sum, &tx_one);
	}
	rx_sum.missed += atomic_long_read(&end->rule_drops);
	labnic_rx_fill(end, rx, &rx_sum);
	labnic_tx_fill(end, tx, &tx_sum);
}

const struct netdev_stat_ops labnic_stat_ops = {
	.get_queue_stats_rx	= labnic_get_queue_stats_rx,
	.get_queue_stats_tx	= labnic_get_queue_stats_tx,
	.get_base_stats		= labnic_get_base_stats,
};

static void labnic_rx_total(struct labnic_port *end,
			    struct labnic_rx_sample *sum)
{
	unsigned int i;

	for (i = 0; i < end->dev->num_rx_queues; i++)
		labnic_rx_add(end, i, sum);
}

void labnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct labnic_port *end = netdev_priv(dev);
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
	struct labnic_port *end = netdev_priv(dev);
	struct labnic_rx_sample rx = {};

	labnic_rx_total(end, &rx);
	*data++ = rx.value[LABNIC_RX_SPLIT];
	*data++ = rx.value[LABNIC_RX_UNSPLIT];
	*data++ = rx.missed;
	*data++ = atomic_long_read(&end->rule_drops);
}

int labnic_stats_init(struct labnic_port *end)
{
	unsigned int i, rx = end->dev->num_rx_queues;
	unsigned int tx = end->dev->num_tx_queues;

	for (i = 0; i < rx; i++)
		u64_stats_init(&end->rx_stats[i].syncp);
	for (i = 0; i < tx; i++)
		u64_stats_init(&end->txq[i].stats.syncp);
	end->rx_zero = kvcalloc(rx, sizeof(*end->rx_zero), GFP_KERNEL);
	end->tx_zero = kvcalloc(tx, sizeof(*end->tx_zero), GFP_KERNEL);
	return end->rx_zero && end->tx_zero ? 0 : -ENOMEM;
}

void labnic_stats_destroy(struct labnic_port *end)
{
	kvfree(end->rx_zero);
	kvfree(end->tx_zero);
}
