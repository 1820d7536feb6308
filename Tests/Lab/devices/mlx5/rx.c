// SPDX-License-Identifier: GPL-2.0
/* Receiving: a packet from the wire goes through the flow tables to a queue, and as
 * frames into its buffers.
 */
#include <linux/if_vlan.h>

#include "mlx5.h"

/* The kinds of headers, as a CQE reports them. */
#define CX_L3_IPV6	0x4
#define CX_L3_IPV4	0x8
#define CX_L4_SHIFT	4
#define CX_HAS_VLAN	1

u16 cx_rq_posted(const struct cx_rq *rq)
{
	return (u16)be32_to_cpu(READ_ONCE(rq->doorbell[MLX5_RCV_DBR])) - rq->consumer;
}

void *cx_rq_wqe(const struct cx_rq *rq, u32 index)
{
	return cx_ring_at(&rq->ring, (index & ((1U << rq->log_size) - 1)) << rq->log_stride);
}

bool cx_arrival_payload(struct lab_device *dev, struct cx_arrival *a,
			const struct cx_mkey *key, u64 address, u32 len, u32 *done)
{
	return cx_mkey_take(dev, key, address, a->packet, len, done, &a->sum);
}

void cx_arrival_header(struct cx_arrival *a)
{
	if (a->fill)
		lab_fill_checksum(a->packet, a->frame.header, a->frame.header_len, a->sum,
				  a->frame.len);
}

/* The sum of all bytes after the Ethernet header, if the driver has said that it
 * wants it.
 */
static __be16 cx_arrival_sum(const struct cx_arrival *a)
{
	const struct lab_frame *frame = &a->frame;
	u32 len = frame->header_len - ETH_HLEN, skip = a->stripped ? VLAN_HLEN : 0;
	__wsum sum = csum_partial(frame->header + ETH_HLEN + skip, len - skip, 0);

	sum = csum_block_add(sum, a->sum, len - skip);
	return (__force __be16)(u16)~(__force u16)csum_fold(sum);
}

static u8 cx_arrival_kinds(const struct cx_arrival *a)
{
	const struct lab_packet *packet = a->packet;
	u8 kinds = a->stripped ? CX_HAS_VLAN : 0;

	if (packet->ip_version)
		kinds |= packet->ip_version == 6 ? CX_L3_IPV6 : CX_L3_IPV4;
	if (lab_is_tcp(packet))
		kinds |= CQE_L4_HDR_TYPE_TCP_ACK_AND_DATA << CX_L4_SHIFT;
	else if (lab_has_ports(packet))
		kinds |= CQE_L4_HDR_TYPE_UDP << CX_L4_SHIFT;
	return kinds;
}

void cx_arrival_cqe(const struct cx_arrival *a, struct mlx5_cqe64 *cqe)
{
	memset(cqe, 0, sizeof(*cqe));
	cqe->rss_hash_result = cpu_to_be32(a->hash);
	cqe->rss_hash_type = a->hash_type;
	cqe->hds_ip_ext = CQE_L2_OK;
	if (a->packet->ip_version && a->checksums)
		cqe->hds_ip_ext |= CQE_L3_OK;
	if (lab_has_ports(a->packet) && a->checksums)
		cqe->hds_ip_ext |= CQE_L4_OK;
	cqe->l4_l3_hdr_type = cx_arrival_kinds(a);
	if (a->stripped)
		cqe->vlan_info = cpu_to_be16(a->packet->vlan);
	cqe->flags_rqpn = cpu_to_be32(a->rq->object.id);
	cqe->sop_drop_qpn = cpu_to_be32(a->tag);
	cqe->check_sum = cx_arrival_sum(a);
}

/* The fault is applied after the device computes the checksum. */
void cx_arrival_corrupt(struct lab_device *dev, struct cx_arrival *a,
			const struct cx_mkey *key, u64 address)
{
	u32 room;
	u8 *at;

	if (!a->packet->corrupt || !a->frame.len)
		return;
	a->packet->corrupt = false;
	at = cx_mkey_at(dev, key, address, &room);
	if (at)
		*at ^= 1;
}

static void cx_rq_fail(struct lab_device *dev, struct cx_rq *rq)
{
	bool cyclic = rq->type == MLX5_WQ_TYPE_CYCLIC;

	rq->state = MLX5_RQC_STATE_ERR;
	rq->errors++;
	cx_complete_error(dev, rq->cq, MLX5_CQE_RESP_ERR, MLX5_CQE_SYNDROME_LOCAL_PROT_ERR,
			  rq->object.id, cyclic ? rq->consumer : rq->current_wqe);
}

/* If the frame does not fit, closing the WQE needs a completion of its own. */
static bool cx_can_complete(const struct cx_rq *rq, u32 frames)
{
	return cx_cq_room(rq->cq) >= 2 * frames + 2;
}

/* Whether there is room for all frames of a packet. */
static bool cx_has_room(const struct cx_rq *rq, const struct lab_packet *packet)
{
	u32 frames = cx_frames(packet);
	u32 frame = frames > 1 ? packet->mss : lab_payload_len(packet);

	if (!cx_can_complete(rq, frames))
		return false;
	if (rq->type == MLX5_WQ_TYPE_CYCLIC)
		return cx_cyclic_has_room(rq, frames);
	if (!cx_shampo_takes(rq, packet))
		frame = ALIGN(packet->header_len + frame, 1U << rq->log_stride_size);
	return cx_striding_has_room(rq, frames, frame);
}

/* A frame's header is changed before its bytes are written, so removing the tag there
 * is enough.
 */
static void cx_strip_vlan(struct cx_arrival *a)
{
	struct lab_frame *frame = &a->frame;

	a->stripped = a->packet->l3 == VLAN_ETH_HLEN && !a->rq->keep_vlan;
	if (!a->stripped)
		return;
	memmove(frame->header + VLAN_HLEN, frame->header, 2 * ETH_ALEN);
}

static enum cx_taken cx_frame_in(struct lab_device *dev, struct cx_arrival *a)
{
	struct cx_rq *rq = a->rq;

	a->sum = 0;
	cx_strip_vlan(a);
	if (!cx_can_complete(rq, 1))
		return CX_NO_WQE;
	if (rq->type == MLX5_WQ_TYPE_CYCLIC)
		return cx_cyclic_frame(dev, a);
	if (cx_shampo_takes(rq, a->packet))
		return cx_shampo_frame(dev, a);
	return cx_striding_frame(dev, a);
}

static void cx_missed(struct lab_device *dev, struct cx_rq *rq, u32 frames)
{
	struct cx_q_counter *counter = cx_find(dev, CX_Q_COUNTER, rq->counter_set);

	rq->missed += frames;
	cx_of(dev)->port.rx_discards += frames;
	if (counter)
		counter->out_of_buffer += frames;
	lab_count_drop(dev, LAB_DROP_BUFFERS);
}

/* If a burst does not fit, the frames that fit are received. */
static void cx_frames_in(struct lab_device *dev, struct cx_arrival *a)
{
	u32 left = cx_frames(a->packet), chunk = a->packet->mss;
	enum cx_taken taken;

	a->checksums = lab_checksums_right(a->packet);
	a->fill = lab_has_ports(a->packet) && (a->packet->checksum || a->packet->mss);
	a->follows = false;
	lab_seek(a->packet, a->packet->header_len);
	lab_frame_first(a->packet, chunk, &a->frame);
	do {
		taken = cx_frame_in(dev, a);
		if (taken != CX_TAKEN)
			break;
		a->rq->packets++;
		a->rq->octets += a->frame.header_len + a->frame.len;
		a->follows = true;
		left--;
	} while (lab_frame_next(a->packet, chunk, &a->frame));
	if (taken == CX_NO_WQE)
		cx_missed(dev, a->rq, left);
	else if (taken == CX_BAD_WQE)
		cx_rq_fail(dev, a->rq);
}

/* Whether the packet reaches the flow tables. */
static bool cx_port_takes(struct lab_device *dev, const struct lab_packet *packet)
{
	struct cx_state *cx = cx_of(dev);

	if (cx->broken || !cx->enabled || !cx_link_up(dev)) {
		cx->port.rx_down++;
		lab_count_drop(dev, LAB_DROP_DOWN);
		return false;
	}
	/* The other end may be a device of another kind, with another limit. */
	if (packet->len < ETH_HLEN) {
		lab_count_drop(dev, LAB_DROP_BROKEN);
		return false;
	}
	if (cx_too_long(dev, packet)) {
		cx->port.rx_too_long++;
		lab_count_drop(dev, LAB_DROP_OVERSIZE);
		return false;
	}
	return true;
}

/* The driver leads unwanted packets to a queue that never has a WQE. */
static bool cx_is_empty(const struct cx_rq *rq)
{
	return !rq->consumer && !rq->open && !cx_rq_posted(rq);
}

enum lab_fate cx_receive(struct lab_device *dev, struct lab_packet *packet)
{
	struct cx_arrival a = { .packet = packet };

	if (!cx_port_takes(dev, packet))
		return LAB_DONE;
	a.rq = cx_steer(dev, packet, &a);
	if (a.rq && a.rq->state == MLX5_RQC_STATE_RDY && !packet->last_chance &&
	    !cx_has_room(a.rq, packet) && !cx_is_empty(a.rq))
		return LAB_WAIT;
	cx_count_rx(dev, packet);
	cx_count_path(dev, packet);
	if (!a.rq || a.rq->state != MLX5_RQC_STATE_RDY) {
		cx_of(dev)->port.steering_discards++;
		lab_count_drop(dev, LAB_DROP_QUEUE);
	} else {
		cx_frames_in(dev, &a);
	}
	return LAB_DONE;
}
