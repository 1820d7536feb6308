// SPDX-License-Identifier: GPL-2.0
/* The destinations of flow tables: a TIR is one queue, or a hash over a table of queues (RQT). */
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		10
#define CX_RQT_MAX	BIT(11)

static void cx_rqt_drop(struct cx_rq **rq, u32 n)
{
	u32 i;

	for (i = 0; rq && i < n; i++)
		if (rq[i])
			cx_let_go(&rq[i]->object);
	kvfree(rq);
}

/* Replaces the queues of the table, all or none. */
static u8 cx_rqt_fill(struct lab_device *dev, struct cx_message *m, struct cx_rqt *rqt,
		      const u8 *context, u32 len)
{
	u32 n = MLX5_GET(rqtc, context, rqt_actual_size), i;
	struct cx_rq **rq;

	if (!n || n > rqt->max || MLX5_GET(rqtc, context, list_q_type) ||
	    MLX5_GET(rqtc, context, rq_vhca_id_format))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (len < MLX5_ST_SZ_BYTES(rqtc) + n * sizeof(u32))
		return CX_REFUSE(m, BAD_INP_LEN_ERR);
	rq = kvcalloc(n, sizeof(*rq), GFP_KERNEL);
	if (!rq)
		return CX_REFUSE(m, NO_RES_ERR);
	for (i = 0; i < n; i++) {
		rq[i] = cx_find(dev, CX_RQ, MLX5_GET(rqtc, context, rq_num[i].rq_num));
		if (!rq[i]) {
			cx_rqt_drop(rq, i);
			return CX_REFUSE(m, BAD_RES_ERR);
		}
		cx_hold(&rq[i]->object);
	}
	cx_rqt_drop(rqt->rq, rqt->entries);
	rqt->rq = rq;
	rqt->entries = n;
	return 0;
}

u8 cx_create_rqt(struct lab_device *dev, struct cx_message *m)
{
	const u8 *context = MLX5_ADDR_OF(create_rqt_in, m->in, rqt_context);
	u32 max = MLX5_GET(rqtc, context, rqt_max_size);
	struct cx_rqt *rqt;
	u8 status;

	if (!max || max > CX_RQT_MAX)
		return CX_REFUSE(m, LIM_ERR);
	rqt = cx_create(dev, m, CX_RQT, &status);
	if (!rqt)
		return status;
	rqt->max = max;
	status = cx_rqt_fill(dev, m, rqt, context,
			     m->in_len - MLX5_BYTE_OFF(create_rqt_in, rqt_context));
	if (status)
		cx_discard(dev, CX_RQT, rqt);
	return status;
}

u8 cx_modify_rqt(struct lab_device *dev, struct cx_message *m)
{
	struct cx_rqt *rqt = cx_find(dev, CX_RQT, MLX5_GET(modify_rqt_in, m->in, rqtn));

	if (!rqt)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (!MLX5_GET(modify_rqt_in, m->in, bitmask.rqn_list))
		return 0;
	return cx_rqt_fill(dev, m, rqt, MLX5_ADDR_OF(modify_rqt_in, m->in, ctx),
			   m->in_len - MLX5_BYTE_OFF(modify_rqt_in, ctx));
}

u8 cx_destroy_rqt(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_RQT, MLX5_GET(destroy_rqt_in, m->in, rqtn));
}

void cx_rqt_release(struct lab_device *dev, void *object)
{
	struct cx_rqt *rqt = object;

	cx_rqt_drop(rqt->rq, rqt->entries);
}

static u8 cx_tir_hash(struct cx_message *m, struct cx_tir *tir, const u8 *context)
{
	const u8 *fields = MLX5_ADDR_OF(tirc, context, rx_hash_field_selector_outer);
	u8 function = MLX5_GET(tirc, context, rx_hash_fn);

	if (function > MLX5_RX_HASH_FN_TOEPLITZ)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	tir->function = function;
	tir->symmetric = MLX5_GET(tirc, context, rx_hash_symmetric);
	tir->fields = MLX5_GET(rx_hash_field_select, fields, selected_fields);
	memcpy(tir->key, MLX5_ADDR_OF(tirc, context, rx_hash_toeplitz_key), CX_KEY);
	return 0;
}

static u8 cx_tir_setup(struct lab_device *dev, struct cx_message *m, struct cx_tir *tir)
{
	const u8 *context = MLX5_ADDR_OF(create_tir_in, m->in, ctx);
	u8 type = MLX5_GET(tirc, context, disp_type);

	tir->domain = cx_find(dev, CX_TD, MLX5_GET(tirc, context, transport_domain));
	if (!tir->domain)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(tir->domain);
	/* No merging by the device other than SHAMPO's, no tunnels, no TLS. */
	if (type > MLX5_TIRC_DISP_TYPE_INDIRECT || MLX5_GET(tirc, context, tls_en) ||
	    MLX5_GET(tirc, context, tunneled_offload_en))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	tir->indirect = type == MLX5_TIRC_DISP_TYPE_INDIRECT;
	if (tir->indirect) {
		tir->rqt = cx_find(dev, CX_RQT, MLX5_GET(tirc, context, indirect_table));
		if (!tir->rqt)
			return CX_REFUSE(m, BAD_RES_ERR);
		cx_hold(&tir->rqt->object);
	} else {
		tir->rq = cx_find(dev, CX_RQ, MLX5_GET(tirc, context, inline_rqn));
		if (!tir->rq)
			return CX_REFUSE(m, BAD_RES_ERR);
		cx_hold(&tir->rq->object);
	}
	return cx_tir_hash(m, tir, context);
}

u8 cx_create_tir(struct lab_device *dev, struct cx_message *m)
{
	struct cx_tir *tir;
	u8 status;

	tir = cx_create(dev, m, CX_TIR, &status);
	if (!tir)
		return status;
	status = cx_tir_setup(dev, m, tir);
	if (status)
		cx_discard(dev, CX_TIR, tir);
	return status;
}

u8 cx_modify_tir(struct lab_device *dev, struct cx_message *m)
{
	struct cx_tir *tir = cx_find(dev, CX_TIR, MLX5_GET(modify_tir_in, m->in, tirn));

	if (!tir)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (!MLX5_GET(modify_tir_in, m->in, bitmask.hash))
		return 0;
	return cx_tir_hash(m, tir, MLX5_ADDR_OF(modify_tir_in, m->in, ctx));
}

u8 cx_destroy_tir(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_TIR, MLX5_GET(destroy_tir_in, m->in, tirn));
}

void cx_tir_release(struct lab_device *dev, void *object)
{
	struct cx_tir *tir = object;

	cx_let_go(tir->domain);
	if (tir->rq)
		cx_let_go(&tir->rq->object);
	if (tir->rqt)
		cx_let_go(&tir->rqt->object);
}
