// SPDX-License-Identifier: GPL-2.0
/* The commands for send queues. */
#include "mlx5.h"

#define CX_FILE		8
#define CX_LOG_BLOCK	6	/* a WQE is counted in blocks of 64 bytes */

static u8 cx_sq_needs(struct lab_device *dev, struct cx_message *m, struct cx_sq *sq,
		      const u8 *context, const u8 *wq)
{
	sq->cq = cx_find(dev, CX_CQ, MLX5_GET(sqc, context, cqn));
	if (!sq->cq)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(&sq->cq->object);
	sq->uar = cx_find(dev, CX_UAR, MLX5_GET(wq, wq, uar_page));
	if (!sq->uar)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(sq->uar);
	/* A queue that only changes memory keys sends nothing. */
	if (!MLX5_GET(sqc, context, tis_lst_sz))
		return 0;
	sq->tis = cx_find(dev, CX_TIS, MLX5_GET(sqc, context, tis_num_0));
	if (!sq->tis)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(sq->tis);
	return 0;
}

static u8 cx_sq_setup(struct lab_device *dev, struct cx_message *m, struct cx_sq *sq)
{
	const u8 *context = MLX5_ADDR_OF(create_sq_in, m->in, ctx);
	const u8 *wq = MLX5_ADDR_OF(sqc, context, wq);
	u32 listed = (m->in_len - MLX5_ST_SZ_BYTES(create_sq_in)) / sizeof(u64);
	u8 status = cx_sq_needs(dev, m, sq, context, wq);

	if (status)
		return status;
	sq->umr = MLX5_GET(sqc, context, reg_umr);
	sq->log_size = MLX5_GET(wq, wq, log_wq_sz);
	if (MLX5_GET(sqc, context, state) != MLX5_SQC_STATE_RST ||
	    MLX5_GET(sqc, context, hairpin) || sq->log_size > 15 ||
	    MLX5_GET(wq, wq, wq_type) != MLX5_WQ_TYPE_CYCLIC ||
	    MLX5_GET(wq, wq, log_wq_stride) != CX_LOG_BLOCK ||
	    MLX5_GET(wq, wq, page_offset))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	sq->doorbell = lab_memory(dev, MLX5_GET64(wq, wq, dbr_addr), 8);
	if (!sq->doorbell ||
	    !cx_ring_create(dev, &sq->ring, MLX5_ADDR_OF(wq, wq, pas), listed,
			    1U << (sq->log_size + CX_LOG_BLOCK),
			    MLX5_GET(wq, wq, log_wq_pg_sz)))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	return 0;
}

u8 cx_create_sq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_sq *sq;
	u8 status;

	if (lab_knob_use(dev, LAB_FAIL_QUEUE_CREATE))
		return CX_REFUSE(m, LIM_ERR);
	sq = cx_create(dev, m, CX_SQ, &status);
	if (!sq)
		return status;
	list_add_tail(&sq->list, &cx_of(dev)->sqs);
	status = cx_sq_setup(dev, m, sq);
	if (status)
		cx_discard(dev, CX_SQ, sq);
	return status;
}

/* The message contains the state that the driver believes the queue is in. It may be wrong:
 * an error may occur at any time.
 */
u8 cx_modify_sq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_sq *sq = cx_find(dev, CX_SQ, MLX5_GET(modify_sq_in, m->in, sqn));
	u8 from = MLX5_GET(modify_sq_in, m->in, sq_state);
	u8 to = MLX5_GET(sqc, MLX5_ADDR_OF(modify_sq_in, m->in, ctx), state);

	if (!sq)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (from != sq->state)
		return CX_REFUSE(m, BAD_RES_STATE_ERR);
	if (to != MLX5_SQC_STATE_RST && to != MLX5_SQC_STATE_RDY && to != MLX5_SQC_STATE_ERR)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (from == MLX5_SQC_STATE_ERR && to == MLX5_SQC_STATE_RDY)
		return CX_REFUSE(m, BAD_RES_STATE_ERR);
	if (to == MLX5_SQC_STATE_RST) {
		sq->consumer = 0;
		sq->segment = 0;
		sq->hold.since = 0;
	}
	sq->state = to;
	return 0;
}

u8 cx_query_sq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_sq *sq = cx_find(dev, CX_SQ, MLX5_GET(query_sq_in, m->in, sqn));
	u8 *context = MLX5_ADDR_OF(query_sq_out, m->out, sq_context), *wq;

	if (!sq)
		return CX_REFUSE(m, BAD_RES_ERR);
	MLX5_SET(sqc, context, state, sq->state);
	MLX5_SET(sqc, context, cqn, sq->cq->object.id);
	wq = MLX5_ADDR_OF(sqc, context, wq);
	MLX5_SET(wq, wq, log_wq_sz, sq->log_size);
	MLX5_SET(wq, wq, hw_counter, sq->consumer);
	MLX5_SET(wq, wq, sw_counter, be32_to_cpu(sq->doorbell[MLX5_SND_DBR]) & 0xffff);
	return 0;
}

u8 cx_destroy_sq(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_SQ, MLX5_GET(destroy_sq_in, m->in, sqn));
}

void cx_sq_release(struct lab_device *dev, void *object)
{
	struct cx_sq *sq = object;

	list_del(&sq->list);
	if (sq->cq)
		cx_let_go(&sq->cq->object);
	cx_let_go(sq->tis);
	cx_let_go(sq->uar);
	cx_ring_destroy(&sq->ring);
}
