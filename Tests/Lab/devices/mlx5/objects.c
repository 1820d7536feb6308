// SPDX-License-Identifier: GPL-2.0
/* The objects that commands create and destroy. Each kind has its numbers, and each object a
 * count of references.
 */
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		4
/* All answers have the number of a new object at the same offset. */
#define CX_NUMBER	8

struct cx_kind_of_object {
	const char	*name;
	size_t		size;
	u32		first, last;
	/* Frees its memory, and drops its references. */
	void		(*release)(struct lab_device *dev, void *object);
};

/* The capabilities limit the numbers. */
static const struct cx_kind_of_object cx_kinds[CX_KINDS] = {
	[CX_UAR]	= { "uar", sizeof(struct cx_simple), CX_UAR_FIRST, CX_UAR_LAST },
	[CX_PD]		= { "pd", sizeof(struct cx_simple), 1, BIT(10) - 1 },
	[CX_TD]		= { "domain", sizeof(struct cx_simple), 1, BIT(10) - 1 },
	[CX_MKEY]	= { "mkey", sizeof(struct cx_mkey), 1, BIT(16) - 1, cx_mkey_release },
	[CX_EQ]		= { "eq", sizeof(struct cx_eq), 1, U8_MAX, cx_eq_release },
	[CX_CQ]		= { "cq", sizeof(struct cx_cq), 1, BIT(16) - 1, cx_cq_release },
	[CX_Q_COUNTER]	= { "q_counter", sizeof(struct cx_q_counter), 1, U8_MAX },
	[CX_FLOW_COUNTER] = { "flow_counter", sizeof(struct cx_flow_counter), 1, U16_MAX },
	[CX_TIS]	= { "tis", sizeof(struct cx_tis), 1, BIT(12) - 1, cx_tis_release },
	[CX_SQ]		= { "sq", sizeof(struct cx_sq), 1, BIT(12) - 1, cx_sq_release },
	[CX_RQ]		= { "rq", sizeof(struct cx_rq), 1, BIT(12) - 1, cx_rq_release },
	[CX_RQT]	= { "rqt", sizeof(struct cx_rqt), 1, BIT(10) - 1, cx_rqt_release },
	[CX_TIR]	= { "tir", sizeof(struct cx_tir), 1, BIT(12) - 1, cx_tir_release },
	[CX_TABLE]	= { "table", sizeof(struct cx_table), 1, BIT(8) - 1, cx_table_release },
	[CX_GROUP]	= { "group", sizeof(struct cx_group), 1, BIT(16) - 1, cx_group_release },
};

void *cx_find(struct lab_device *dev, enum cx_kind kind, u32 id)
{
	return xa_load(&cx_of(dev)->object[kind], id);
}

void *cx_create(struct lab_device *dev, struct cx_message *m, enum cx_kind kind, u8 *status)
{
	const struct cx_kind_of_object *k = &cx_kinds[kind];
	struct cx_state *cx = cx_of(dev);
	struct cx_object *object = kvzalloc(k->size, GFP_KERNEL);
	int err;

	if (!object) {
		*status = CX_REFUSE(m, NO_RES_ERR);
		return NULL;
	}
	err = xa_alloc_cyclic(&cx->object[kind], &object->id, object,
			      XA_LIMIT(k->first, k->last), &cx->next[kind], GFP_KERNEL);
	if (err < 0) {
		kvfree(object);
		*status = err == -EBUSY ? CX_REFUSE(m, LIM_ERR) : CX_REFUSE(m, NO_RES_ERR);
		return NULL;
	}
	*status = 0;
	put_unaligned_be32(object->id, m->out + CX_NUMBER);
	return object;
}

void cx_discard(struct lab_device *dev, enum cx_kind kind, void *object)
{
	xa_erase(&cx_of(dev)->object[kind], ((struct cx_object *)object)->id);
	if (cx_kinds[kind].release)
		cx_kinds[kind].release(dev, object);
	kvfree(object);
}

u8 cx_destroy(struct lab_device *dev, struct cx_message *m, enum cx_kind kind, u32 id)
{
	struct cx_object *object = cx_find(dev, kind, id);

	if (!object)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (object->users)
		return CX_REFUSE(m, RES_BUSY);
	cx_discard(dev, kind, object);
	return 0;
}

void cx_objects_create(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);
	int kind;

	for (kind = 0; kind < CX_KINDS; kind++)
		xa_init_flags(&cx->object[kind], XA_FLAGS_ALLOC);
	INIT_LIST_HEAD(&cx->sqs);
	INIT_LIST_HEAD(&cx->news);
}

/* The kinds are ordered: each refers only to earlier ones. */
void cx_objects_reset(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);
	struct cx_object *object;
	unsigned long id;
	int kind;

	cx_tables_unlink(dev);
	for (kind = CX_KINDS - 1; kind >= 0; kind--) {
		xa_for_each(&cx->object[kind], id, object)
			cx_discard(dev, kind, object);
		xa_destroy(&cx->object[kind]);
	}
}

static u32 cx_count(struct lab_device *dev, enum cx_kind kind)
{
	struct cx_object *object;
	unsigned long id;
	u32 n = 0;

	xa_for_each(&cx_of(dev)->object[kind], id, object)
		n++;
	return n;
}

/* Objects that have only a number, and transport interfaces to send from. */

static u8 cx_alloc(struct lab_device *dev, struct cx_message *m, enum cx_kind kind)
{
	u8 status;

	cx_create(dev, m, kind, &status);
	return status;
}

u8 cx_alloc_uar(struct lab_device *dev, struct cx_message *m)
{
	return cx_alloc(dev, m, CX_UAR);
}

u8 cx_dealloc_uar(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_UAR, MLX5_GET(dealloc_uar_in, m->in, uar));
}

u8 cx_alloc_pd(struct lab_device *dev, struct cx_message *m)
{
	return cx_alloc(dev, m, CX_PD);
}

u8 cx_dealloc_pd(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_PD, MLX5_GET(dealloc_pd_in, m->in, pd));
}

u8 cx_alloc_td(struct lab_device *dev, struct cx_message *m)
{
	return cx_alloc(dev, m, CX_TD);
}

u8 cx_dealloc_td(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_TD,
			  MLX5_GET(dealloc_transport_domain_in, m->in, transport_domain));
}

u8 cx_create_tis(struct lab_device *dev, struct cx_message *m)
{
	const u8 *context = MLX5_ADDR_OF(create_tis_in, m->in, ctx);
	struct cx_object *domain = cx_find(dev, CX_TD,
					   MLX5_GET(tisc, context, transport_domain));
	struct cx_tis *tis;
	u8 status;

	if (!domain)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (MLX5_GET(tisc, context, tls_en))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	tis = cx_create(dev, m, CX_TIS, &status);
	if (!tis)
		return status;
	tis->domain = domain;
	cx_hold(domain);
	return 0;
}

u8 cx_destroy_tis(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_TIS, MLX5_GET(destroy_tis_in, m->in, tisn));
}

void cx_tis_release(struct lab_device *dev, void *object)
{
	cx_let_go(((struct cx_tis *)object)->domain);
}

/* For developers */

static void cx_show_queues(struct lab_device *dev, struct seq_file *file)
{
	struct cx_state *cx = cx_of(dev);
	struct cx_eq *eq;
	struct cx_cq *cq;
	struct cx_sq *sq;
	struct cx_rq *rq;
	unsigned long id;

	xa_for_each(&cx->object[CX_EQ], id, eq)
		seq_printf(file, "eq %lu: size %u vector %u events %llu mask %#llx\n", id,
			   1U << eq->log_size, eq->vector, eq->events, eq->mask);
	xa_for_each(&cx->object[CX_CQ], id, cq)
		seq_printf(file, "cq %lu: size %u eq %u produced %u consumed %u arm %#x%s%s events %llu\n",
			   id, 1U << cq->log_size, cq->eq->object.id, cq->producer,
			   be32_to_cpu(cq->doorbell[0]) & 0xffffff, be32_to_cpu(cq->doorbell[1]),
			   cq->armed ? " armed" : "", cq->overrun ? " overrun" : "", cq->events);
	xa_for_each(&cx->object[CX_SQ], id, sq)
		seq_printf(file, "sq %lu: size %u cq %u state %u posted %u done %u wqes %llu packets %llu octets %llu umrs %llu errors %llu\n",
			   id, 1U << sq->log_size, sq->cq->object.id, sq->state,
			   be32_to_cpu(sq->doorbell[MLX5_SND_DBR]) & 0xffff, sq->consumer,
			   sq->wqes, sq->packets, sq->octets, sq->umrs, sq->errors);
	xa_for_each(&cx->object[CX_RQ], id, rq)
		seq_printf(file, "rq %lu: type %u size %u strides %ux%u cq %u state %u left %u packets %llu octets %llu split %llu merged %llu unsplit %llu fillers %llu errors %llu missed %llu\n",
			   id, rq->type, 1U << rq->log_size, 1U << rq->log_strides,
			   1U << rq->log_stride_size, rq->cq->object.id, rq->state,
			   cx_rq_posted(rq), rq->packets, rq->octets, rq->split, rq->merged,
			   rq->unsplit, rq->fillers, rq->errors, rq->missed);
}

void cx_show_objects(struct lab_device *dev, struct seq_file *file)
{
	int kind;

	seq_puts(file, "objects");
	for (kind = 0; kind < CX_KINDS; kind++)
		seq_printf(file, " %s %u", cx_kinds[kind].name, cx_count(dev, kind));
	seq_putc(file, '\n');
	cx_show_queues(dev, file);
}
