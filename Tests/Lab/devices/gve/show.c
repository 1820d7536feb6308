// SPDX-License-Identifier: GPL-2.0
/* The device's state in debugfs. */
#include <linux/seq_file.h>

#include "gve.h"

static void gve_show_admin(const struct gve *gve, struct seq_file *file)
{
	seq_printf(file, "%s%s%s mtu %u commands %llu refused %llu",
		   gve->running ? "running" : "reset", gve->broken ? ", broken down" : "",
		   gve->admin_hangs ? ", admin queue hangs" : "", gve->mtu, gve->commands,
		   gve->refused);
	if (gve->refused)
		seq_printf(file, " the last %#x with %#x", gve->refused_opcode,
			   gve->refused_status);
	seq_puts(file, "\n");
}

static void gve_show_notify(const struct gve *gve, struct seq_file *file)
{
	u32 i;

	for (i = 0; i < gve->n_notify; i++)
		if (gve->notify[i].armed || gve->notify[i].due)
			seq_printf(file, "block %u interval_us %u%s%s\n", i,
				   gve->notify[i].interval_us, gve->notify[i].armed ? " armed" : "",
				   gve->notify[i].due ? " due" : "");
}

static void gve_show_tx(struct lab_device *dev, u32 id, struct seq_file *file)
{
	const struct gve_tx_queue *queue = &gve_of(dev)->tx[id];

	if (queue->exists)
		seq_printf(file, "tx %u ring %u packets %llu bytes %llu bursts %llu broken %llu head %u tail %u%s\n",
			   id, queue->mask + 1, queue->packets, queue->bytes, queue->bursts,
			   queue->broken, queue->head, gve_doorbell(dev, GVE_DOORBELL_TX(id)),
			   queue->hold.since ? " waits" : "");
}

static void gve_show_rx(struct lab_device *dev, u32 id, struct seq_file *file)
{
	const struct gve_rx_queue *queue = &gve_of(dev)->rx[id];

	if (!queue->exists)
		return;
	seq_printf(file, "rx %u ring %u buffers of %u, %u waiting, headers %u%s packets %llu bytes %llu split %llu coalesced %llu",
		   id, queue->mask + 1, queue->buffer_size, gve_rx_buffers(dev, id),
		   queue->header_size, queue->coalesces ? ", coalesces" : "", queue->packets,
		   queue->bytes, queue->split, queue->coalesced);
	seq_printf(file, " no_buffers %llu too_long %llu bad_checksums %llu%s\n", queue->no_buffers,
		   queue->oversize, queue->bad_checksums, queue->starving ? " starving" : "");
}

static void gve_show_rules(const struct gve *gve, struct seq_file *file)
{
	u32 i;

	for (i = 0; i < gve_rules; i++)
		if (gve->rule_set[i])
			seq_printf(file, "rule %u type %u queue %u\n", i,
				   be16_to_cpu(gve->rule[i].type), be16_to_cpu(gve->rule[i].queue));
}

void gve_show(struct lab_device *dev, struct seq_file *file)
{
	const struct gve *gve = gve_of(dev);
	u32 id;

	gve_show_admin(gve, file);
	gve_show_notify(gve, file);
	for (id = 0; id < lab_queues; id++)
		gve_show_tx(dev, id, file);
	for (id = 0; id < lab_queues; id++)
		gve_show_rx(dev, id, file);
	gve_show_rules(gve, file);
}
