// SPDX-License-Identifier: GPL-2.0
/* Sending: makes packets from WQEs.
 *
 * A WQE is made of segments of 16 bytes: control, Ethernet, then data. The packet's first
 * bytes may be in the Ethernet segment and continue in the following ones. An invalid WQE puts
 * its queue into the error state: it and all later ones complete with errors, and the driver
 * resets the queue.
 */
#include <linux/if_ether.h>

#include "mlx5.h"

#define CX_BLOCK	MLX5_SEND_WQE_BB
#define CX_SEGMENT	16
#define CX_INLINE_MASK	GENMASK(9, 0)
#define CX_BUDGET	64
/* Larger than the largest burst of any driver. */
#define CX_PACKET_MAX	SZ_1M

/* The result of a WQE. */
enum cx_sent { CX_SENT, CX_WAITS, CX_BAD };

struct cx_wqe {
	const struct mlx5_wqe_ctrl_seg *control;
	const struct mlx5_wqe_eth_seg *ethernet;
	const u8	*bytes;
	u32		len, blocks;
	u8		opcode;
};

static u16 cx_sq_posted(const struct cx_sq *sq)
{
	u16 producer = be32_to_cpu(READ_ONCE(sq->doorbell[MLX5_SND_DBR]));

	return producer - sq->consumer;
}

/* Copies the next WQE, which may wrap around the ring. False: its length is wrong. */
static bool cx_wqe_fetch(struct lab_device *dev, struct cx_sq *sq, struct cx_wqe *wqe)
{
	u32 mask = (1U << sq->log_size) - 1, posted = cx_sq_posted(sq), i;
	u8 *bytes = cx_of(dev)->wqe;

	memcpy(bytes, cx_ring_at(&sq->ring, (sq->consumer & mask) * CX_BLOCK), CX_BLOCK);
	wqe->bytes = bytes;
	wqe->control = (const void *)bytes;
	wqe->ethernet = (const void *)(bytes + CX_SEGMENT);
	wqe->opcode = be32_to_cpu(wqe->control->opmod_idx_opcode) & 0xff;
	wqe->len = (be32_to_cpu(wqe->control->qpn_ds) & 0x3f) * CX_SEGMENT;
	wqe->blocks = max(1U, DIV_ROUND_UP(wqe->len, CX_BLOCK));
	if (wqe->len < CX_SEGMENT || wqe->blocks > posted)
		return false;
	for (i = 1; i < wqe->blocks; i++)
		memcpy(bytes + i * CX_BLOCK,
		       cx_ring_at(&sq->ring, ((sq->consumer + i) & mask) * CX_BLOCK), CX_BLOCK);
	return true;
}

/* Adds the memory that a data segment describes. */
static bool cx_add_data(struct lab_device *dev, struct lab_packet *packet,
			const struct mlx5_wqe_data_seg *data)
{
	u32 len = be32_to_cpu(data->byte_count);
	u64 address = be64_to_cpu(data->addr);
	struct cx_mkey *key = cx_mkey_of(dev, data->lkey);
	u32 room;
	void *at;

	if (!len)
		return true;
	if (!key || len > CX_PACKET_MAX - packet->len)
		return false;
	/* A key for all memory translates the whole range at once. */
	if (key->mode == MLX5_MKC_ACCESS_MODE_PA) {
		at = lab_memory(dev, address, len);
		return at && lab_packet_add(packet, at, len);
	}
	for (; len; len -= room, address += room) {
		at = cx_mkey_at(dev, key, address, &room);
		if (!at)
			return false;
		room = min(room, len);
		if (!lab_packet_add(packet, at, room))
			return false;
	}
	return true;
}

/* Adds the packet's bytes in the WQE itself. Returns the start of the data segments, 0 if it
 * is invalid.
 */
static u32 cx_add_inline(struct lab_packet *packet, const struct cx_wqe *wqe)
{
	u32 len = be16_to_cpu(wqe->ethernet->inline_hdr.sz) & CX_INLINE_MASK;
	u32 start = 2 * CX_SEGMENT - sizeof(wqe->ethernet->inline_hdr.start);

	if (!len)
		return 2 * CX_SEGMENT;
	if (start + len > wqe->len || !lab_packet_add(packet, wqe->bytes + start, len))
		return 0;
	return max_t(u32, ALIGN(start + len, CX_SEGMENT), 2 * CX_SEGMENT);
}

static bool cx_packet_make(struct lab_device *dev, struct lab_packet *packet,
			   const struct cx_wqe *wqe)
{
	const struct mlx5_wqe_eth_seg *ethernet = wqe->ethernet;
	u32 at;

	lab_packet_start(packet);
	if (wqe->len < 2 * CX_SEGMENT)
		return false;
	packet->checksum = ethernet->cs_flags & MLX5_ETH_WQE_L4_CSUM;
	if (wqe->opcode == MLX5_OPCODE_LSO) {
		packet->mss = be16_to_cpu(ethernet->mss) & 0x3fff;
		if (!packet->mss)
			return false;
	}
	at = cx_add_inline(packet, wqe);
	if (!at)
		return false;
	for (; at < wqe->len; at += CX_SEGMENT)
		if (!cx_add_data(dev, packet, (const void *)(wqe->bytes + at)))
			return false;
	return packet->len >= ETH_HLEN;
}

static enum cx_sent cx_send_packet(struct lab_device *dev, struct cx_sq *sq,
				   struct lab_packet *packet)
{
	if (!cx_link_up(dev)) {
		cx_of(dev)->port.tx_down++;
		lab_count_drop(dev, LAB_DROP_DOWN);
		return CX_SENT;
	}
	if (lab_send(dev, &sq->hold, packet) == LAB_WAIT)
		return CX_WAITS;
	cx_count_tx(dev, packet);
	sq->packets++;
	sq->octets += packet->len;
	return CX_SENT;
}

static enum cx_sent cx_send_one(struct lab_device *dev, struct cx_sq *sq,
				const struct cx_wqe *wqe)
{
	struct lab_packet *packet = &cx_of(dev)->packet;

	if (!sq->tis || !cx_packet_make(dev, packet, wqe)) {
		lab_count_drop(dev, LAB_DROP_BROKEN);
		return CX_BAD;
	}
	return cx_send_packet(dev, sq, packet);
}

/* Each segment after the Ethernet one is a packet of its own, in memory or inline. */
static bool cx_next_of_many(struct lab_device *dev, struct lab_packet *packet,
			    const struct cx_wqe *wqe, u32 *at)
{
	const struct mlx5_wqe_data_seg *data = (const void *)(wqe->bytes + *at);
	u32 len = be32_to_cpu(data->byte_count);

	lab_packet_start(packet);
	packet->checksum = wqe->ethernet->cs_flags & MLX5_ETH_WQE_L4_CSUM;
	if (!(len & MLX5_INLINE_SEG)) {
		*at += CX_SEGMENT;
		return cx_add_data(dev, packet, data) && packet->len >= ETH_HLEN;
	}
	len &= ~MLX5_INLINE_SEG;
	if (len < ETH_HLEN || len > wqe->len - *at - sizeof(data->byte_count))
		return false;
	lab_packet_add(packet, (const u8 *)data + sizeof(data->byte_count), len);
	*at += ALIGN(sizeof(data->byte_count) + len, CX_SEGMENT);
	return true;
}

static enum cx_sent cx_send_many(struct lab_device *dev, struct cx_sq *sq,
				 const struct cx_wqe *wqe)
{
	struct lab_packet *packet = &cx_of(dev)->packet;
	u32 at = max_t(u32, sq->segment, 2 * CX_SEGMENT);

	if (!sq->tis || wqe->len < 2 * CX_SEGMENT)
		return CX_BAD;
	while (at < wqe->len) {
		u32 next = at;

		if (!cx_next_of_many(dev, packet, wqe, &next)) {
			lab_count_drop(dev, LAB_DROP_BROKEN);
			return CX_BAD;
		}
		if (cx_send_packet(dev, sq, packet) == CX_WAITS) {
			sq->segment = at;
			return CX_WAITS;
		}
		at = next;
	}
	sq->segment = 0;
	return CX_SENT;
}

static enum cx_sent cx_wqe_run(struct lab_device *dev, struct cx_sq *sq,
			       const struct cx_wqe *wqe)
{
	switch (wqe->opcode) {
	case MLX5_OPCODE_NOP:
		return CX_SENT;
	case MLX5_OPCODE_SEND:
	case MLX5_OPCODE_LSO:
		return cx_send_one(dev, sq, wqe);
	case MLX5_OPCODE_ENHANCED_MPSW:
		return cx_send_many(dev, sq, wqe);
	case MLX5_OPCODE_UMR:
		return cx_umr(dev, sq, wqe->bytes, wqe->len) ? CX_SENT : CX_BAD;
	}
	return CX_BAD;
}

static void cx_sq_complete(struct lab_device *dev, struct cx_sq *sq, const struct cx_wqe *wqe)
{
	struct mlx5_cqe64 cqe = {};

	if ((wqe->control->fm_ce_se & MLX5_WQE_CTRL_CQ_UPDATE) != MLX5_WQE_CTRL_CQ_UPDATE)
		return;
	/* Only for sent packets: without completions of UMRs the receive queues would run dry. */
	if (sq->tis && lab_knob_nth(dev, LAB_LOSE_COMPLETION_NTH))
		return;
	cqe.wqe_counter = cpu_to_be16(sq->consumer);
	cqe.sop_drop_qpn = cpu_to_be32((u32)wqe->opcode << 24 | sq->object.id);
	cx_complete(dev, sq->cq, &cqe, MLX5_CQE_REQ);
}

static void cx_sq_fail(struct lab_device *dev, struct cx_sq *sq, u8 syndrome)
{
	sq->state = MLX5_SQC_STATE_ERR;
	sq->errors++;
	cx_complete_error(dev, sq->cq, MLX5_CQE_REQ_ERR, syndrome, sq->object.id, sq->consumer);
}

/* In the error state all posted WQEs complete with an error. */
static bool cx_sq_flush(struct lab_device *dev, struct cx_sq *sq)
{
	int budget = CX_BUDGET;
	struct cx_wqe wqe;
	bool busy = false;

	while (cx_sq_posted(sq) && budget-- && cx_cq_room(sq->cq) > 1) {
		/* The entry is read after the doorbell that announced it. */
		smp_rmb();
		if (!cx_wqe_fetch(dev, sq, &wqe))
			wqe.blocks = 1;
		cx_complete_error(dev, sq->cq, MLX5_CQE_REQ_ERR, MLX5_CQE_SYNDROME_WR_FLUSH_ERR,
				  sq->object.id, sq->consumer);
		sq->consumer += wqe.blocks;
		busy = true;
	}
	return busy;
}

static bool cx_sq_run(struct lab_device *dev, struct cx_sq *sq)
{
	int budget = CX_BUDGET;
	bool busy = false;
	struct cx_wqe wqe;
	enum cx_sent sent;

	while (cx_sq_posted(sq) && budget-- && cx_cq_room(sq->cq) > 1) {
		/* Read the doorbell before the WQE. */
		smp_rmb();
		sent = cx_wqe_fetch(dev, sq, &wqe) ? cx_wqe_run(dev, sq, &wqe) : CX_BAD;
		if (sent == CX_WAITS)
			return busy;
		busy = true;
		sq->wqes++;
		if (sent == CX_BAD) {
			cx_sq_fail(dev, sq, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR);
			sq->consumer += wqe.blocks;
			return true;
		}
		cx_sq_complete(dev, sq, &wqe);
		sq->consumer += wqe.blocks;
	}
	return busy;
}

bool cx_send(struct lab_device *dev)
{
	struct cx_sq *sq;
	bool busy = false;

	list_for_each_entry(sq, &cx_of(dev)->sqs, list) {
		if (sq->state == MLX5_SQC_STATE_RDY)
			busy |= cx_sq_run(dev, sq);
		else if (sq->state == MLX5_SQC_STATE_ERR)
			busy |= cx_sq_flush(dev, sq);
	}
	return busy;
}
