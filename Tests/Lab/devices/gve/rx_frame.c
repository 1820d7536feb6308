// SPDX-License-Identifier: GPL-2.0
/* Receiving: one frame into buffers, a completion for each. */
#include "gve.h"

/* The state of writing a frame. */
struct gve_writing {
	struct gve_rx_done *first;	/* its completion, published last */
	__le16	first_len;		/* the word with its generation */
	u8	*header;		/* where the headers go */
	u32	done;			/* payload written */
	__wsum	sum;			/* of that */
	bool	sums;			/* the checksum of TCP or UDP must be computed */
};

static __le16 gve_len_word(u32 len, bool generation)
{
	return cpu_to_le16(len | (generation ? GVE_RX_GENERATION : 0));
}

/* Copies the descriptor of the next buffer, as the driver might change it. */
static struct gve_rx_slot gve_take_slot(struct gve_rx_queue *queue)
{
	struct gve_rx_slot slot = queue->ring[queue->head];

	queue->head = (queue->head + 1) & queue->mask;
	return slot;
}

/* Writes as much payload as fits a buffer; returns the number of bytes. */
static u32 gve_write_payload(struct gve_writing *writing, struct lab_packet *packet,
			     const struct lab_frame *frame, u8 *to, u32 room)
{
	u32 len = min(frame->len - writing->done, room);
	__wsum sum;

	if (!len)
		return 0;
	lab_seek(packet, frame->header_len + frame->offset + writing->done);
	if (!writing->sums) {
		lab_copy(packet, to, len);
	} else {
		sum = lab_copy_sum(packet, to, len);
		writing->sum = csum_block_add(writing->sum, sum, writing->done);
	}
	if (packet->corrupt && !frame->offset && !writing->done)
		to[0] ^= 1;
	return len;
}

/* The fields that differ between a frame's first completion and the others. */
static void gve_fill_first(struct gve_rx_done *done, const struct gve_rx_queue *queue,
			   const struct lab_packet *packet, const struct gve_rx_frame *out)
{
	const struct lab_frame *frame = &out->frame;
	bool too_long = queue->header_size && lab_has_ports(packet) &&
			frame->header_len > queue->header_size;

	if (out->split || too_long)
		done->header |= cpu_to_le16(GVE_RX_SPLIT);
	if (out->split)
		done->header |= cpu_to_le16(frame->header_len);
	if (too_long)
		done->status |= GVE_RX_HEADER_TOO_LONG;
}

static void gve_fill_done(struct gve_rx_done *done, const struct lab_packet *packet,
			  const struct gve_rx_frame *out, bool last)
{
	done->format = GVE_RX_FORMAT;
	done->ptype = cpu_to_le16(out->ptype);
	done->status = GVE_RX_DONE | out->status | (last ? GVE_RX_END : 0);
	done->hash = cpu_to_le32(out->hash);
	if (out->frame.segments > 1) {
		done->header = cpu_to_le16(GVE_RX_COALESCED);
		done->mss = cpu_to_le16(packet->mss);
	}
}

/* Writes a completion. The first one of a frame keeps the old generation until the
 * rest is written.
 */
static void gve_put_done(struct gve_rx_queue *queue, struct gve_writing *writing,
			 struct gve_rx_done *done, u32 len)
{
	struct gve_rx_done *to = &queue->done[queue->done_tail];

	done->len = gve_len_word(len, queue->generation ^ !writing->first);
	if (!writing->first) {
		writing->first = to;
		writing->first_len = gve_len_word(len, queue->generation);
	}
	memcpy(to, done, sizeof(*to));
	queue->done_tail = (queue->done_tail + 1) & queue->done_mask;
	if (!queue->done_tail)
		queue->generation = !queue->generation;
}

/* Fills one buffer. */
static void gve_write_buffer(struct lab_device *dev, struct gve_rx_queue *queue,
			     struct lab_packet *packet, const struct gve_rx_frame *out,
			     struct gve_writing *writing)
{
	const struct lab_frame *frame = &out->frame;
	struct gve_rx_slot slot = gve_take_slot(queue);
	u8 *to = lab_memory(dev, le64_to_cpu(slot.address), queue->buffer_size);
	u32 used = !writing->first && !out->split ? frame->header_len : 0, len;
	struct gve_rx_done done = { .id = slot.id };

	if (!writing->first)
		writing->header = out->split ? lab_memory(dev, le64_to_cpu(slot.header_address),
							  queue->header_size) : to;
	if (to)
		len = gve_write_payload(writing, packet, frame, to + used,
					queue->buffer_size - used);
	else
		len = min(frame->len - writing->done, queue->buffer_size - used);
	writing->done += len;
	gve_fill_done(&done, packet, out, writing->done == frame->len);
	if (!writing->first)
		gve_fill_first(&done, queue, packet, out);
	/* A buffer with an invalid address makes the packet an error. */
	if (!to || !writing->header)
		done.flags |= GVE_RX_ERROR;
	gve_put_done(queue, writing, &done, used + len);
}

/* With the wrong generation the driver sees neither this frame nor later ones. */
static void gve_publish(struct lab_device *dev, const struct gve_writing *writing)
{
	__le16 len = writing->first_len;

	if (lab_knob_nth(dev, LAB_WRONG_GENERATION_NTH))
		return;
	/* The generation bit in it makes the frame's entries valid. */
	smp_wmb();
	WRITE_ONCE(writing->first->len, len);
}

void gve_rx_write(struct lab_device *dev, u32 id, struct lab_packet *packet,
		  struct gve_rx_frame *out)
{
	struct gve_rx_queue *queue = &gve_of(dev)->rx[id];
	struct lab_frame *frame = &out->frame;
	/* A coalesced packet's checksum does not matter. */
	struct gve_writing writing = { .sums = packet->checksum && frame->segments == 1 };

	do {
		gve_write_buffer(dev, queue, packet, out, &writing);
	} while (writing.done < frame->len);
	if (writing.sums)
		lab_fill_checksum(packet, frame->header, frame->header_len, writing.sum,
				  frame->len);
	if (writing.header)
		memcpy(writing.header, frame->header, frame->header_len);
	gve_publish(dev, &writing);

	queue->packets++;
	queue->bytes += frame->header_len + frame->len;
	queue->split += out->split;
	queue->coalesced += frame->segments > 1;
	gve_of(dev)->notify[queue->notify].due = true;
}
