// SPDX-License-Identifier: GPL-2.0
/* SHAMPO, "split headers and merge payloads": TCP's headers go to a buffer of their own, and
 * the payloads of consecutive segments are adjacent in the WQE, so that the driver makes one
 * large packet of them. The device merges the segments of one burst, as a burst has the
 * segments of one flow in order. The last segment is marked for the driver to deliver the
 * packet, so there is no timer.
 */
#include <linux/if_vlan.h>

#include "mlx5.h"

/* The largest value of the completion's field. */
#define CX_HEADER_MAX	U8_MAX

bool cx_shampo_takes(const struct cx_rq *rq, const struct lab_packet *packet)
{
	return rq->shampo && lab_is_tcp(packet) && !packet->unsplit &&
	       packet->header_len <= min(1U << rq->log_header, CX_HEADER_MAX);
}

static bool cx_shampo_header(struct lab_device *dev, struct cx_arrival *a, u32 strip)
{
	struct cx_rq *rq = a->rq;

	return cx_mkey_write(dev, rq->headers,
			     rq->headers->start + ((u64)rq->next_header << rq->log_header),
			     a->frame.header + strip, a->frame.header_len - strip);
}

enum cx_taken cx_shampo_frame(struct lab_device *dev, struct cx_arrival *a)
{
	u32 strip = a->stripped ? VLAN_HLEN : 0, header = a->frame.header_len - strip, done = 0;
	struct cx_rq *rq = a->rq;
	struct mlx5_cqe64 cqe;
	struct cx_mkey *key;
	/* An empty frame uses no space, so it moves nothing. */
	bool beside = a->follows || !a->frame.len;
	enum cx_taken taken;
	u64 address;

	taken = cx_stride_place(dev, rq, a->frame.len, &beside, &key, &address);
	if (taken != CX_TAKEN)
		return taken;
	if (!cx_arrival_payload(dev, a, key, address, a->frame.len, &done))
		return CX_BAD_WQE;
	cx_arrival_header(a);
	if (!cx_shampo_header(dev, a, strip))
		return CX_BAD_WQE;
	cx_arrival_cqe(a, &cqe);
	cx_arrival_corrupt(dev, a, key, address);
	cqe.shampo.match = a->follows && beside;
	cqe.shampo.flush = a->frame.last;
	cqe.shampo.header_size = header;
	cqe.shampo.header_entry_index = cpu_to_be16(rq->next_header);
	cqe.shampo.data_offset = cpu_to_be32(rq->used);
	rq->next_header = (rq->next_header + 1) & ((1U << rq->log_headers) - 1);
	rq->split++;
	rq->merged += cqe.shampo.match;
	cx_stride_complete(dev, rq, &cqe, a->frame.len, header + a->frame.len);
	return CX_TAKEN;
}
