// SPDX-License-Identifier: GPL-2.0
/* Sending: serves the queues in turn, each up to a limit, and writes completions. */
#include <linux/bitfield.h>

#include "gve.h"

/* The number of packets that one queue may send in a row. */
#define GVE_TX_BUDGET	64

static void gve_complete(struct gve_tx_queue *queue, u32 id, u32 type, u16 value)
{
	struct gve_tx_done *done = &queue->done[queue->done_tail];
	u16 what = FIELD_PREP(GVE_TX_DONE_QUEUE, id) | FIELD_PREP(GVE_TX_DONE_TYPE, type) |
		   (queue->generation ? GVE_TX_DONE_GENERATION : 0);

	done->value = cpu_to_le16(value);
	/* The generation bit in it makes the entry valid. */
	smp_wmb();
	WRITE_ONCE(done->what, cpu_to_le16(what));
	queue->done_tail = (queue->done_tail + 1) & queue->done_mask;
	if (!queue->done_tail)
		queue->generation = !queue->generation;
}

/* The packet is sent or dropped: the driver gets its memory back. */
static void gve_sent(struct lab_device *dev, u32 id, const struct gve_sending *sending)
{
	struct gve *gve = gve_of(dev);
	struct gve_tx_queue *queue = &gve->tx[id];

	queue->head = sending->next;
	if (sending->report)
		gve_complete(queue, id, GVE_TX_DONE_SLOTS, queue->head);
	if (!lab_knob_nth(dev, LAB_LOSE_COMPLETION_NTH))
		gve_complete(queue, id, GVE_TX_DONE_PACKET, sending->tag);
	be32_add_cpu(queue->counter, 1);
	gve->notify[queue->notify].due = true;
}

static enum gve_found gve_tx_next(struct lab_device *dev, u32 id, u32 tail)
{
	struct gve_tx_queue *queue = &gve_of(dev)->tx[id];
	struct lab_packet *packet = &gve_of(dev)->packet;
	struct gve_sending sending;
	enum gve_found found = gve_tx_gather(dev, queue, tail, packet, &sending);

	if (found == GVE_NOTHING)
		return found;
	if (found == GVE_BROKEN) {
		lab_count_drop(dev, LAB_DROP_BROKEN);
		queue->broken++;
	} else {
		if (lab_send(dev, &queue->hold, packet) == LAB_WAIT)
			return GVE_NOTHING;
		queue->packets++;
		queue->bytes += packet->len;
		queue->bursts += packet->mss != 0;
	}
	gve_sent(dev, id, &sending);
	return found;
}

static bool gve_tx_queue_poll(struct lab_device *dev, u32 id)
{
	struct gve_tx_queue *queue = &gve_of(dev)->tx[id];
	u32 tail = gve_doorbell(dev, GVE_DOORBELL_TX(id)) & queue->mask;
	int sent;

	/* Slots are read after the doorbell that announced them. */
	smp_rmb();
	for (sent = 0; sent < GVE_TX_BUDGET && queue->head != tail; sent++)
		if (gve_tx_next(dev, id, tail) == GVE_NOTHING)
			break;
	return sent;
}

bool gve_tx_poll(struct lab_device *dev)
{
	bool busy = false;
	u32 id;

	for (id = 0; id < lab_queues; id++)
		if (gve_of(dev)->tx[id].exists)
			busy |= gve_tx_queue_poll(dev, id);
	return busy;
}
