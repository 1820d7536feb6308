// SPDX-License-Identifier: GPL-2.0
/* The device's part of the statistics, written to the driver's memory from time to time. The
 * array is shared: the driver writes its beginning, and the device its end, for each receive
 * queue.
 */
#include <linux/jiffies.h>

#include "gve.h"

#define GVE_STATS_MAX_LEN	SZ_1M
#define GVE_STATS_MAX_MS	(3600 * MSEC_PER_SEC)

u32 gve_report_stats(struct lab_device *dev, const struct gve_command *command)
{
	u64 interval = be64_to_cpu(command->stats.interval);
	u64 address = be64_to_cpu(command->stats.address);
	u64 len = be64_to_cpu(command->stats.len);
	struct gve *gve = gve_of(dev);

	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	gve->report.address = 0;
	if (!address && !len)
		return GVE_PASSED;
	if (len < GVE_STATS_HEAD || len > GVE_STATS_MAX_LEN || !lab_memory(dev, address, len) ||
	    !interval || interval > GVE_STATS_MAX_MS)
		return GVE_INVALID_ARGUMENT;
	gve->report = (struct gve_report) {
		.address	= address + GVE_STATS_HEAD,
		.entries	= (len - GVE_STATS_HEAD) / sizeof(struct gve_stat),
		.interval	= msecs_to_jiffies(interval),
		.next		= jiffies,
	};
	return GVE_PASSED;
}

void gve_stats_soon(struct lab_device *dev)
{
	gve_of(dev)->report.next = jiffies;
}

static u64 gve_stat_value(const struct gve_rx_queue *queue, u32 name)
{
	switch (name) {
	case GVE_STAT_NO_BUFFERS:
		return queue->no_buffers;
	case GVE_STAT_OVERSIZE:
		return queue->oversize;
	case GVE_STAT_BAD_CHECKSUM:
		return queue->bad_checksums;
	default:	/* everything that the queue has dropped */
		return queue->no_buffers + queue->oversize;
	}
}

static void gve_stats_write(const struct gve *gve, struct gve_stat *to)
{
	u32 id, name;

	for (id = 0; id < lab_queues; id++) {
		if (!gve->rx[id].exists)
			continue;
		for (name = GVE_STAT_DROPS; name <= GVE_STAT_BAD_CHECKSUM; name++, to++) {
			to->queue = cpu_to_be32(id);
			to->value = cpu_to_be64(gve_stat_value(&gve->rx[id], name));
			smp_wmb();	/* the name shows that the rest is written */
			WRITE_ONCE(to->name, cpu_to_be32(name));
		}
	}
}

void gve_stats_poll(struct lab_device *dev)
{
	struct gve *gve = gve_of(dev);
	struct gve_report *report = &gve->report;
	struct gve_stat *stats;
	u32 id, ours = 0;

	if (!report->address || time_before(jiffies, report->next))
		return;
	report->next = jiffies + report->interval;
	for (id = 0; id < lab_queues; id++)
		ours += gve->rx[id].exists ? GVE_STATS_A_QUEUE : 0;
	stats = lab_memory(dev, report->address, report->entries * sizeof(*stats));
	if (stats && ours <= report->entries)
		gve_stats_write(gve, stats + report->entries - ours);
}
