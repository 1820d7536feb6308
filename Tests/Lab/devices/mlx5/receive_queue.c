// SPDX-License-Identifier: GPL-2.0
/* The commands for receive queues. */
#include "mlx5.h"

#define CX_FILE		9

static u8 cx_rq_shampo(struct lab_device *dev, struct cx_message *m, struct cx_rq *rq,
		       const u8 *wq)
{
	if (!MLX5_GET(wq, wq, shampo_enable))
		return 0;
	if (rq->type != MLX5_WQ_TYPE_LINKED_LIST_STRIDING_RQ)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	rq->headers = cx_find(dev, CX_MKEY, MLX5_GET(wq, wq, headers_mkey) >> 8);
	if (!rq->headers)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(&rq->headers->object);
	rq->shampo = true;
	rq->log_header = MLX5_GET(wq, wq, log_headers_entry_size) + 6;
	rq->log_headers = MLX5_GET(wq, wq, log_headers_buffer_entry_num);
	return 0;
}

static u8 cx_rq_striding(struct cx_message *m, struct cx_rq *rq, const u8 *wq)
{
	/* A signed number of four bits, relative to 512 strides; and one relative to 64 bytes. */
	s8 strides = (s8)(MLX5_GET(wq, wq, log_wqe_num_of_strides) << 4) >> 4;

	rq->log_strides = 9 + strides;
	rq->log_stride_size = 6 + MLX5_GET(wq, wq, log_wqe_stride_size);
	if (rq->log_strides + rq->log_stride_size > 24 ||
	    1U << rq->log_stride < sizeof(struct mlx5_wqe_srq_next_seg) +
					   sizeof(struct mlx5_wqe_data_seg))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	return 0;
}

static u8 cx_rq_setup(struct lab_device *dev, struct cx_message *m, struct cx_rq *rq)
{
	const u8 *context = MLX5_ADDR_OF(create_rq_in, m->in, ctx);
	const u8 *wq = MLX5_ADDR_OF(rqc, context, wq);
	u32 listed = (m->in_len - MLX5_ST_SZ_BYTES(create_rq_in)) / sizeof(u64);
	u8 status = 0;

	rq->cq = cx_find(dev, CX_CQ, MLX5_GET(rqc, context, cqn));
	if (!rq->cq)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(&rq->cq->object);
	rq->type = MLX5_GET(wq, wq, wq_type);
	rq->log_size = MLX5_GET(wq, wq, log_wq_sz);
	rq->log_stride = MLX5_GET(wq, wq, log_wq_stride);
	rq->keep_vlan = MLX5_GET(rqc, context, vsd);
	rq->counter_set = MLX5_GET(rqc, context, counter_set_id);
	if (MLX5_GET(rqc, context, state) != MLX5_RQC_STATE_RST ||
	    MLX5_GET(rqc, context, hairpin) || MLX5_GET(rqc, context, mem_rq_type) ||
	    MLX5_GET(rqc, context, scatter_fcs) || MLX5_GET(wq, wq, page_offset) ||
	    rq->log_size > 15 || rq->log_stride < 4 || rq->log_stride > 9)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (rq->type == MLX5_WQ_TYPE_LINKED_LIST_STRIDING_RQ)
		status = cx_rq_striding(m, rq, wq);
	else if (rq->type != MLX5_WQ_TYPE_CYCLIC)
		status = CX_REFUSE(m, BAD_PARAM_ERR);
	if (!status)
		status = cx_rq_shampo(dev, m, rq, wq);
	if (status)
		return status;
	rq->doorbell = lab_memory(dev, MLX5_GET64(wq, wq, dbr_addr), 8);
	if (!rq->doorbell ||
	    !cx_ring_create(dev, &rq->ring, MLX5_ADDR_OF(wq, wq, pas), listed,
			    1U << (rq->log_size + rq->log_stride),
			    MLX5_GET(wq, wq, log_wq_pg_sz)))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	return 0;
}

u8 cx_create_rq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_rq *rq;
	u8 status;

	if (lab_knob_use(dev, LAB_FAIL_QUEUE_CREATE))
		return CX_REFUSE(m, LIM_ERR);
	rq = cx_create(dev, m, CX_RQ, &status);
	if (!rq)
		return status;
	status = cx_rq_setup(dev, m, rq);
	if (status)
		cx_discard(dev, CX_RQ, rq);
	return status;
}

static void cx_rq_restart(struct cx_rq *rq)
{
	rq->consumer = 0;
	rq->current_wqe = 0;
	rq->open = false;
	rq->used = 0;
	rq->told = 0;
	rq->next_header = 0;
}

u8 cx_modify_rq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_rq *rq = cx_find(dev, CX_RQ, MLX5_GET(modify_rq_in, m->in, rqn));
	const u8 *context = MLX5_ADDR_OF(modify_rq_in, m->in, ctx);
	u64 fields = MLX5_GET64(modify_rq_in, m->in, modify_bitmask);
	u8 from = MLX5_GET(modify_rq_in, m->in, rq_state), to = MLX5_GET(rqc, context, state);

	if (!rq)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (from != rq->state)
		return CX_REFUSE(m, BAD_RES_STATE_ERR);
	if (to != MLX5_RQC_STATE_RST && to != MLX5_RQC_STATE_RDY && to != MLX5_RQC_STATE_ERR)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (from == MLX5_RQC_STATE_ERR && to == MLX5_RQC_STATE_RDY)
		return CX_REFUSE(m, BAD_RES_STATE_ERR);
	if (fields & MLX5_MODIFY_RQ_IN_MODIFY_BITMASK_SCATTER_FCS &&
	    MLX5_GET(rqc, context, scatter_fcs))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (fields & MLX5_MODIFY_RQ_IN_MODIFY_BITMASK_VSD)
		rq->keep_vlan = MLX5_GET(rqc, context, vsd);
	if (fields & MLX5_MODIFY_RQ_IN_MODIFY_BITMASK_RQ_COUNTER_SET_ID)
		rq->counter_set = MLX5_GET(rqc, context, counter_set_id);
	if (to == MLX5_RQC_STATE_RST)
		cx_rq_restart(rq);
	rq->state = to;
	return 0;
}

u8 cx_query_rq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_rq *rq = cx_find(dev, CX_RQ, MLX5_GET(query_rq_in, m->in, rqn));
	u8 *context = MLX5_ADDR_OF(query_rq_out, m->out, rq_context), *wq;

	if (!rq)
		return CX_REFUSE(m, BAD_RES_ERR);
	MLX5_SET(rqc, context, state, rq->state);
	MLX5_SET(rqc, context, cqn, rq->cq->object.id);
	MLX5_SET(rqc, context, vsd, rq->keep_vlan);
	MLX5_SET(rqc, context, counter_set_id, rq->counter_set);
	wq = MLX5_ADDR_OF(rqc, context, wq);
	MLX5_SET(wq, wq, wq_type, rq->type);
	MLX5_SET(wq, wq, log_wq_sz, rq->log_size);
	MLX5_SET(wq, wq, hw_counter, rq->consumer);
	MLX5_SET(wq, wq, sw_counter, (u16)be32_to_cpu(rq->doorbell[MLX5_RCV_DBR]));
	return 0;
}

u8 cx_destroy_rq(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_RQ, MLX5_GET(destroy_rq_in, m->in, rqn));
}

void cx_rq_release(struct lab_device *dev, void *object)
{
	struct cx_rq *rq = object;

	if (rq->cq)
		cx_let_go(&rq->cq->object);
	if (rq->headers)
		cx_let_go(&rq->headers->object);
	cx_ring_destroy(&rq->ring);
}
