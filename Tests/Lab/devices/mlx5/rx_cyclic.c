// SPDX-License-Identifier: GPL-2.0
/* The legacy receive queue: a ring of WQEs, each with a few buffers, for one frame each. */
#include <linux/if_vlan.h>

#include "mlx5.h"

/* An unused entry after the last one of a WQE. */
#define CX_LENGTH	GENMASK(30, 0)

bool cx_cyclic_has_room(const struct cx_rq *rq, u32 frames)
{
	return cx_rq_posted(rq) >= frames;
}

/* Fills the buffers in order; the header is not known yet, so its place is noted. */
struct cx_scatter {
	const struct mlx5_wqe_data_seg *segment;
	u32	segments;
	u32	used;		/* of the current one */
};

static bool cx_scatter_next(struct lab_device *dev, struct cx_scatter *s, u32 len,
			    struct cx_mkey **key, u64 *address, u32 *room)
{
	u32 size;

	for (; s->segments; s->segments--, s->segment++, s->used = 0) {
		size = be32_to_cpu(s->segment->byte_count) & CX_LENGTH;
		if (s->used >= size)
			continue;
		*key = cx_mkey_of(dev, s->segment->lkey);
		*address = be64_to_cpu(s->segment->addr) + s->used;
		*room = min(len, size - s->used);
		s->used += *room;
		return *key;
	}
	return false;
}

static bool cx_scatter_header(struct lab_device *dev, struct cx_scatter *s,
			      const u8 *from, u32 len)
{
	struct cx_mkey *key;
	u64 address;
	u32 n;

	for (; len; len -= n, from += n)
		if (!cx_scatter_next(dev, s, len, &key, &address, &n) ||
		    !cx_mkey_write(dev, key, address, from, n))
			return false;
	return true;
}

static bool cx_scatter_payload(struct lab_device *dev, struct cx_arrival *a,
			       struct cx_scatter *s, u32 skip)
{
	struct cx_mkey *key;
	u32 n, done = 0;
	u64 address;

	for (; skip; skip -= n)
		if (!cx_scatter_next(dev, s, skip, &key, &address, &n))
			return false;
	while (done < a->frame.len) {
		bool first = !done;

		if (!cx_scatter_next(dev, s, a->frame.len - done, &key, &address, &n) ||
		    !cx_arrival_payload(dev, a, key, address, n, &done))
			return false;
		if (first)
			cx_arrival_corrupt(dev, a, key, address);
	}
	return true;
}

enum cx_taken cx_cyclic_frame(struct lab_device *dev, struct cx_arrival *a)
{
	u32 strip = a->stripped ? VLAN_HLEN : 0, header = a->frame.header_len - strip;
	struct cx_rq *rq = a->rq;
	struct cx_scatter start = {
		.segment = cx_rq_wqe(rq, rq->consumer),
		.segments = (1U << rq->log_stride) / sizeof(struct mlx5_wqe_data_seg),
	}, s = start;
	struct mlx5_cqe64 cqe;

	if (!cx_rq_posted(rq))
		return CX_NO_WQE;
	/* Read the doorbell before the WQE. */
	smp_rmb();
	if (!cx_scatter_payload(dev, a, &s, header))
		return CX_BAD_WQE;
	cx_arrival_header(a);
	s = start;
	if (!cx_scatter_header(dev, &s, a->frame.header + strip, header))
		return CX_BAD_WQE;
	cx_arrival_cqe(a, &cqe);
	cqe.wqe_counter = cpu_to_be16(rq->consumer);
	cqe.byte_cnt = cpu_to_be32(header + a->frame.len);
	rq->consumer++;
	cx_complete_receive(dev, rq->cq, &cqe, MLX5_CQE_RESP_SEND);
	return CX_TAKEN;
}
