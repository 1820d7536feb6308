// SPDX-License-Identifier: GPL-2.0
/* The striding receive queue: each WQE is a large buffer of many strides, and frames lie in
 * it one after the other, each at the start of a stride. WQEs form a list.
 */
#include <linux/if_vlan.h>

#include "mlx5.h"

#define CX_FILLER	BIT(31)		/* of a completion's byte count */

static u32 cx_stride(const struct cx_rq *rq)
{
	return 1U << rq->log_stride_size;
}

static u32 cx_wqe_size(const struct cx_rq *rq)
{
	return cx_stride(rq) << rq->log_strides;
}

/* Whether this number of frames of this length still fits. */
bool cx_striding_has_room(const struct cx_rq *rq, u32 frames, u32 frame_len)
{
	u32 size = max(frame_len, 1U), posted = cx_rq_posted(rq), room = 0;

	/* The place of a header is free once the driver has read its completion. */
	if (rq->shampo &&
	    (1U << rq->cq->log_size) - cx_cq_room(rq->cq) + frames >= 1U << rq->log_headers)
		return false;
	if (!posted)
		return false;
	if (rq->open) {
		room = (cx_wqe_size(rq) - ALIGN(rq->used, cx_stride(rq))) / size;
		posted--;
	}
	return room + (u64)posted * (cx_wqe_size(rq) / size) >= frames;
}

static bool cx_wqe_open(struct cx_rq *rq)
{
	if (rq->open)
		return true;
	if (!cx_rq_posted(rq))
		return false;
	/* Read the doorbell before the WQE. */
	smp_rmb();
	rq->open = true;
	rq->used = 0;
	rq->told = 0;
	return true;
}

static void cx_wqe_close(struct cx_rq *rq)
{
	const struct mlx5_wqe_srq_next_seg *next = cx_rq_wqe(rq, rq->current_wqe);

	rq->open = false;
	rq->consumer++;
	rq->current_wqe = be16_to_cpu(READ_ONCE(next->next_wqe_index)) &
			  ((1U << rq->log_size) - 1);
}

/* Returns the unused strides to the driver, without a frame. */
static void cx_wqe_fill(struct lab_device *dev, struct cx_rq *rq)
{
	u32 left = (1U << rq->log_strides) - rq->told;
	struct mlx5_cqe64 cqe = {
		.wqe_id = cpu_to_be16(rq->current_wqe),
		.wqe_counter = cpu_to_be16(rq->told),
		.flags_rqpn = cpu_to_be32(rq->object.id),
		.byte_cnt = cpu_to_be32(CX_FILLER | left << 16),
	};

	rq->fillers++;
	cx_wqe_close(rq);
	cx_complete(dev, rq->cq, &cqe, MLX5_CQE_RESP_SEND);
}

enum cx_taken cx_stride_place(struct lab_device *dev, struct cx_rq *rq, u32 len, bool *beside,
			      struct cx_mkey **key, u64 *address)
{
	const struct mlx5_wqe_data_seg *data;
	int i;

	/* A WQE that is too full is returned also if there is no other: the driver may need
	 * its memory for the next one.
	 */
	for (i = 0; i < 2 && cx_wqe_open(rq); i++) {
		if (!*beside)
			rq->used = ALIGN(rq->used, cx_stride(rq));
		if (rq->used + len <= cx_wqe_size(rq)) {
			data = cx_rq_wqe(rq, rq->current_wqe) +
			       sizeof(struct mlx5_wqe_srq_next_seg);
			*key = cx_mkey_of(dev, data->lkey);
			*address = be64_to_cpu(data->addr) + rq->used;
			return *key ? CX_TAKEN : CX_BAD_WQE;
		}
		cx_wqe_fill(dev, rq);
		*beside = false;
	}
	return CX_NO_WQE;
}

void cx_stride_complete(struct lab_device *dev, struct cx_rq *rq, struct mlx5_cqe64 *cqe,
			u32 len, u32 frame_len)
{
	u32 strides;

	cqe->wqe_id = cpu_to_be16(rq->current_wqe);
	cqe->wqe_counter = cpu_to_be16(rq->used >> rq->log_stride_size);
	rq->used += len;
	strides = DIV_ROUND_UP(rq->used, cx_stride(rq));
	cqe->byte_cnt = cpu_to_be32((strides - rq->told) << 16 | frame_len);
	rq->told = strides;
	if (strides == 1U << rq->log_strides)
		cx_wqe_close(rq);
	cx_complete_receive(dev, rq->cq, cqe, MLX5_CQE_RESP_SEND);
}

enum cx_taken cx_striding_frame(struct lab_device *dev, struct cx_arrival *a)
{
	u32 strip = a->stripped ? VLAN_HLEN : 0, header = a->frame.header_len - strip;
	u32 len = header + a->frame.len, done = 0;
	struct cx_rq *rq = a->rq;
	struct mlx5_cqe64 cqe;
	struct cx_mkey *key;
	enum cx_taken taken;
	bool beside = false;
	u64 address;

	taken = cx_stride_place(dev, rq, len, &beside, &key, &address);
	if (taken != CX_TAKEN)
		return taken;
	if (!cx_arrival_payload(dev, a, key, address + header, a->frame.len, &done))
		return CX_BAD_WQE;
	cx_arrival_header(a);
	if (!cx_mkey_write(dev, key, address, a->frame.header + strip, header))
		return CX_BAD_WQE;
	cx_arrival_cqe(a, &cqe);
	cx_arrival_corrupt(dev, a, key, address + header);
	if (rq->shampo) {
		cqe.shampo.flush = 1;
		cqe.shampo.data_offset = cpu_to_be32(rq->used);
		rq->unsplit++;
	}
	cx_stride_complete(dev, rq, &cqe, len, len);
	return CX_TAKEN;
}
