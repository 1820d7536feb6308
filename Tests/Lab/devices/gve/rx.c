// SPDX-License-Identifier: GPL-2.0
/* Receiving: chooses a packet's queue, checks the packet, and splits it into frames. */
#include <linux/if_vlan.h>
#include <linux/ip.h>

#include "gve.h"

u32 gve_rx_buffers(struct lab_device *dev, u32 id)
{
	const struct gve_rx_queue *queue = &gve_of(dev)->rx[id];
	u32 tail = gve_doorbell(dev, GVE_DOORBELL_RX(id));

	/* Buffers are read after the doorbell that announced them. */
	smp_rmb();
	return (tail - queue->head) & queue->mask;
}

/* How a packet is to be written. */
struct gve_rx_plan {
	u32	chunk;		/* payload of a frame, at most */
	bool	split;
};

/* Headers that the device knows go into the header buffer, if the queue has one. */
static bool gve_splits(const struct gve_rx_queue *queue, const struct lab_packet *packet)
{
	return lab_has_ports(packet) && packet->header_len <= queue->header_size &&
	       !packet->unsplit;
}

/* A burst arrives as segments, or if the queue wants it, as the fewest packets that fit an IP
 * datagram and the number of buffers that the driver expects of one.
 */
static struct gve_rx_plan gve_plan(const struct gve_rx_queue *queue,
				   const struct lab_packet *packet)
{
	struct gve_rx_plan plan = { .split = gve_splits(queue, packet) };
	u32 room;

	if (!packet->mss) {
		plan.chunk = lab_payload_len(packet);
		return plan;
	}
	plan.chunk = packet->mss;
	if (!queue->coalesces || !lab_is_tcp(packet))
		return plan;
	room = GVE_COALESCE_BUFFERS * queue->buffer_size - (plan.split ? 0 : packet->header_len);
	room = min(room, IP_MAX_MTU - packet->header_len);
	plan.chunk = max(rounddown(room, packet->mss), packet->mss);
	return plan;
}

static u32 gve_buffers_for(const struct gve_rx_queue *queue, const struct gve_rx_plan *plan,
			   u32 header_len, u32 payload)
{
	u32 bytes = payload + (plan->split ? 0 : header_len);

	return max(DIV_ROUND_UP(bytes, queue->buffer_size), 1U);
}

static u32 gve_buffers_for_all(const struct gve_rx_queue *queue, const struct gve_rx_plan *plan,
			       const struct lab_packet *packet)
{
	u32 payload = lab_payload_len(packet), full = 0, rest = payload;
	u32 need = 0;

	if (plan->chunk) {
		full = payload / plan->chunk;
		rest = payload % plan->chunk;
	}
	if (full)
		need = full * gve_buffers_for(queue, plan, packet->header_len, plan->chunk);
	if (rest || !full)
		need += gve_buffers_for(queue, plan, packet->header_len, rest);
	return need;
}

static u16 gve_ptype_of(const struct lab_packet *packet)
{
	bool v6 = packet->ip_version == 6;

	if (!packet->ip_version)
		return GVE_PTYPE_OTHER;
	if (!lab_has_ports(packet))
		return v6 ? GVE_PTYPE_IP6 : GVE_PTYPE_IP4;
	if (lab_is_tcp(packet))
		return v6 ? GVE_PTYPE_TCP6 : GVE_PTYPE_TCP4;
	return v6 ? GVE_PTYPE_UDP6 : GVE_PTYPE_UDP4;
}

/* A packet with a wrong checksum is delivered and marked; the driver decides. */
static u8 gve_checksum_status(struct gve_rx_queue *queue, struct lab_packet *packet)
{
	const struct iphdr *ip = (const void *)(packet->header + packet->l3);

	if (!packet->ip_version)
		return 0;
	if (lab_checksums_right(packet))
		return GVE_RX_PARSED;
	queue->bad_checksums++;
	if (packet->ip_version == 4 && ip_fast_csum(ip, ip->ihl))
		return GVE_RX_PARSED | GVE_RX_BAD_IP_CHECKSUM;
	return GVE_RX_PARSED | GVE_RX_BAD_L4_CHECKSUM;
}

static void gve_drop(struct lab_device *dev, enum lab_drop why, u64 *counter)
{
	lab_count_drop(dev, why);
	++*counter;
}

/* Whether the packet, or each of its segments, is too long. */
static bool gve_oversize(const struct gve *gve, const struct lab_packet *packet)
{
	u32 len = packet->mss ? packet->header_len + packet->mss : packet->len;

	len = min(len, packet->len);
	return len > gve->mtu + (packet->vlan ? VLAN_ETH_HLEN : ETH_HLEN);
}

static u32 gve_queue_for(struct lab_device *dev, const struct lab_packet *packet, u32 *hash)
{
	const struct gve_rule *rule = gve_rule_for(dev, packet);
	u32 queue = gve_rss_queue(gve_of(dev), packet, hash);

	return rule ? be16_to_cpu(rule->queue) : queue;
}

/* Writes the frames for which there are buffers. */
static void gve_write_all(struct lab_device *dev, u32 id, struct lab_packet *packet,
			  const struct gve_rx_plan *plan, u32 hash)
{
	struct gve_rx_queue *queue = &gve_of(dev)->rx[id];
	struct gve_rx_frame out = {
		.ptype = gve_ptype_of(packet), .hash = hash, .split = plan->split,
		.status = gve_checksum_status(queue, packet),
	};

	lab_frame_first(packet, plan->chunk, &out.frame);
	do {
		if (gve_rx_buffers(dev, id) < gve_buffers_for(queue, plan, out.frame.header_len,
							      out.frame.len))
			gve_drop(dev, LAB_DROP_BUFFERS, &queue->no_buffers);
		else
			gve_rx_write(dev, id, packet, &out);
	} while (lab_frame_next(packet, plan->chunk, &out.frame));
}

enum lab_fate gve_receive(struct lab_device *dev, struct lab_packet *packet)
{
	struct gve *gve = gve_of(dev);
	struct gve_rx_queue *queue;
	struct gve_rx_plan plan;
	u32 id, hash, need;

	if (!gve->configured || gve->broken) {
		lab_count_drop(dev, LAB_DROP_DOWN);
		return LAB_DONE;
	}
	id = gve_queue_for(dev, packet, &hash);
	queue = &gve->rx[id];
	if (!queue->exists) {
		lab_count_drop(dev, LAB_DROP_QUEUE);
		return LAB_DONE;
	}
	if (gve_oversize(gve, packet)) {
		gve_drop(dev, LAB_DROP_OVERSIZE, &queue->oversize);
		return LAB_DONE;
	}
	plan = gve_plan(queue, packet);
	need = gve_buffers_for_all(queue, &plan, packet);
	/* A packet that needs more than half a ring uses what there is. */
	if (gve_rx_buffers(dev, id) >= min(need, queue->mask / 2))
		queue->starving = false;
	else if (packet->last_chance)
		queue->starving = true;
	else if (!queue->starving)
		return LAB_WAIT;
	gve_write_all(dev, id, packet, &plan, hash);
	return LAB_DONE;
}
