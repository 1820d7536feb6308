// SPDX-License-Identifier: GPL-2.0
/* Commands that create and destroy queues, and that set up what queues need: interrupts,
 * doorbells, counters.
 */
#include <linux/log2.h>

#include "gve.h"

static void gve_tell_doorbells(void *to, u32 count, u32 stride)
{
	u32 i;

	for (i = 0; i < count; i++)
		*(__be32 *)(to + i * stride) = cpu_to_be32(GVE_DOORBELL_IRQ(i));
}

u32 gve_configure(struct lab_device *dev, const struct gve_command *command)
{
	u32 n_counters = be32_to_cpu(command->configure.n_counters);
	u32 blocks = be32_to_cpu(command->configure.n_doorbells);
	u32 stride = be32_to_cpu(command->configure.stride);
	u32 first = be32_to_cpu(command->configure.first_vector);
	struct gve *gve = gve_of(dev);
	void *counters, *doorbells;

	if (gve->configured)
		return GVE_ALREADY_EXISTS;
	if (command->configure.format != GVE_FORMAT_DQO_RDA || first > 1)
		return GVE_INVALID_ARGUMENT;
	if (!blocks || blocks > 2 * lab_queues || n_counters != 2 * lab_queues)
		return GVE_OUT_OF_RANGE;
	if (stride < sizeof(__be32) || stride > PAGE_SIZE || stride % sizeof(__be32))
		return GVE_INVALID_ARGUMENT;
	counters = gve_memory(dev, command->configure.counters, n_counters * sizeof(__be32));
	doorbells = gve_memory(dev, command->configure.doorbells,
			       (blocks - 1) * stride + sizeof(__be32));
	if (!counters || !doorbells)
		return GVE_INVALID_ARGUMENT;
	if (!gve_notify_open(dev, blocks, first))
		return GVE_FAILED_PRECONDITION;
	gve_tell_doorbells(doorbells, blocks, stride);
	gve->counters = counters;
	gve->n_counters = n_counters;
	gve->configured = true;
	return GVE_PASSED;
}

static bool gve_has_queues(const struct gve *gve)
{
	unsigned int i;

	for (i = 0; i < lab_queues; i++)
		if (gve->tx[i].exists || gve->rx[i].exists)
			return true;
	return false;
}

u32 gve_deconfigure(struct lab_device *dev, const struct gve_command *command)
{
	struct gve *gve = gve_of(dev);

	if (!gve->configured || gve_has_queues(gve))
		return GVE_FAILED_PRECONDITION;
	gve_notify_close(dev);
	gve->configured = false;
	gve->counters = NULL;
	gve->report.address = 0;
	return GVE_PASSED;
}

/* The checks for both kinds of queues. */
static u32 gve_check_queue(const struct gve *gve, u32 id, bool exists, u32 page_list, u32 notify)
{
	if (!gve->configured)
		return GVE_FAILED_PRECONDITION;
	if (id >= lab_queues || notify >= gve->n_notify)
		return GVE_OUT_OF_RANGE;
	if (exists)
		return GVE_ALREADY_EXISTS;
	/* Addresses are raw: there are no lists of pages. */
	if (page_list != GVE_NO_PAGE_LIST)
		return GVE_INVALID_ARGUMENT;
	return GVE_PASSED;
}

static bool gve_ring_fits(u32 size, u32 min)
{
	return is_power_of_2(size) && size >= min && size <= gve_ring_max;
}

static u32 gve_clamp_id(u32 id)
{
	return min_t(u32, id, LAB_MAX_QUEUES - 1);
}

u32 gve_create_tx(struct lab_device *dev, const struct gve_command *command)
{
	u32 size = be16_to_cpu(command->create_tx.size);
	u32 done_size = be16_to_cpu(command->create_tx.done_size);
	u32 notify = be32_to_cpu(command->create_tx.notify);
	u32 id = be32_to_cpu(command->create_tx.id);
	struct gve *gve = gve_of(dev);
	struct gve_tx_queue *queue = &gve->tx[gve_clamp_id(id)];
	struct gve_queue_resources *resources;
	void *ring, *done;
	u32 status;

	status = gve_check_queue(gve, id, queue->exists, be32_to_cpu(command->create_tx.page_list),
				 notify);
	if (status != GVE_PASSED)
		return status;
	if (!gve_ring_fits(size, GVE_MIN_TX_RING) || !gve_ring_fits(done_size, GVE_MIN_TX_RING))
		return GVE_INVALID_ARGUMENT;
	ring = gve_memory(dev, command->create_tx.ring, size * sizeof(struct gve_tx_slot));
	done = gve_memory(dev, command->create_tx.done_ring, done_size * sizeof(*done));
	resources = gve_memory(dev, command->create_tx.resources, sizeof(*resources));
	if (!ring || !done || !resources)
		return GVE_INVALID_ARGUMENT;
	if (lab_knob_use(dev, LAB_FAIL_QUEUE_CREATE))
		return GVE_RESOURCE_EXHAUSTED;
	*queue = (struct gve_tx_queue) {
		.exists = true, .generation = true, .ring = ring, .done = done,
		.mask = size - 1, .done_mask = done_size - 1, .notify = notify,
		.counter = &gve->counters[id],
	};
	*queue->counter = 0;
	resources->doorbell = cpu_to_be32(GVE_DOORBELL_TX(id));
	resources->counter = cpu_to_be32(id);
	gve_doorbell_clear(dev, GVE_DOORBELL_TX(id));
	return GVE_PASSED;
}

static bool gve_buffers_fit(u32 buffer, u32 header)
{
	return is_power_of_2(buffer) && buffer >= GVE_MIN_BUFFER && buffer <= gve_buffer &&
	       (!header || header == gve_header_buffer);
}

u32 gve_create_rx(struct lab_device *dev, const struct gve_command *command)
{
	u32 header = be16_to_cpu(command->create_rx.header_size);
	u32 buffer = be16_to_cpu(command->create_rx.buffer_size);
	u32 done_size = be16_to_cpu(command->create_rx.done_size);
	u32 notify = be32_to_cpu(command->create_rx.notify);
	u32 size = be16_to_cpu(command->create_rx.size);
	u32 id = be32_to_cpu(command->create_rx.id);
	struct gve *gve = gve_of(dev);
	struct gve_rx_queue *queue = &gve->rx[gve_clamp_id(id)];
	struct gve_queue_resources *resources;
	void *ring, *done;
	u32 status;

	status = gve_check_queue(gve, id, queue->exists, be32_to_cpu(command->create_rx.page_list),
				 notify);
	if (status != GVE_PASSED)
		return status;
	if (!gve_ring_fits(size, GVE_MIN_RX_RING) || !gve_ring_fits(done_size, GVE_MIN_RX_RING) ||
	    done_size < size || !gve_buffers_fit(buffer, header) ||
	    command->create_rx.coalesce > 1)
		return GVE_INVALID_ARGUMENT;
	ring = gve_memory(dev, command->create_rx.ring, size * sizeof(struct gve_rx_slot));
	done = gve_memory(dev, command->create_rx.done_ring, done_size * sizeof(*done));
	resources = gve_memory(dev, command->create_rx.resources, sizeof(*resources));
	if (!ring || !done || !resources)
		return GVE_INVALID_ARGUMENT;
	if (lab_knob_use(dev, LAB_FAIL_QUEUE_CREATE))
		return GVE_RESOURCE_EXHAUSTED;
	*queue = (struct gve_rx_queue) {
		.exists = true, .generation = true, .ring = ring, .done = done,
		.mask = size - 1, .done_mask = done_size - 1, .notify = notify,
		.buffer_size = buffer, .header_size = header,
		.coalesces = command->create_rx.coalesce,
	};
	resources->doorbell = cpu_to_be32(GVE_DOORBELL_RX(id));
	resources->counter = cpu_to_be32(lab_queues + id);
	gve_doorbell_clear(dev, GVE_DOORBELL_RX(id));
	gve_stats_soon(dev);
	return GVE_PASSED;
}

u32 gve_destroy_tx(struct lab_device *dev, const struct gve_command *command)
{
	u32 id = be32_to_cpu(command->destroy.id);
	struct gve *gve = gve_of(dev);

	if (id >= lab_queues)
		return GVE_OUT_OF_RANGE;
	if (!gve->tx[id].exists)
		return GVE_NOT_FOUND;
	gve->tx[id].exists = false;
	return GVE_PASSED;
}

u32 gve_destroy_rx(struct lab_device *dev, const struct gve_command *command)
{
	u32 id = be32_to_cpu(command->destroy.id);
	struct gve *gve = gve_of(dev);

	if (id >= lab_queues)
		return GVE_OUT_OF_RANGE;
	if (!gve->rx[id].exists)
		return GVE_NOT_FOUND;
	gve->rx[id].exists = false;
	gve_stats_soon(dev);
	return GVE_PASSED;
}
