// SPDX-License-Identifier: GPL-2.0
/* Completion queues. Records in the driver's memory show how far it has read a queue, and
 * whether it wants an event for the next entry.
 */
#include "mlx5.h"

#define CX_FILE		7
#define CX_INDEX	GENMASK(23, 0)
/* The driver's arming record after it has created a queue. */
#define CX_NOT_ARMED	(2U << 28)

static u8 cx_cq_setup(struct lab_device *dev, struct cx_message *m, struct cx_cq *cq)
{
	const u8 *context = MLX5_ADDR_OF(create_cq_in, m->in, cq_context);
	u32 listed = (m->in_len - MLX5_ST_SZ_BYTES(create_cq_in)) / sizeof(u64);

	cq->eq = cx_find(dev, CX_EQ, MLX5_GET(cqc, context, c_eqn_or_apu_element));
	if (!cq->eq)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(&cq->eq->object);
	cq->uar = cx_find(dev, CX_UAR, MLX5_GET(cqc, context, uar_page));
	if (!cq->uar)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(cq->uar);
	cq->log_size = MLX5_GET(cqc, context, log_cq_size);
	/* Entries of 64 bytes, none compressed. */
	if (cq->log_size > 22 || MLX5_GET(cqc, context, cqe_sz) ||
	    MLX5_GET(cqc, context, cqe_comp_en) || MLX5_GET(cqc, context, page_offset))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	cq->doorbell = lab_memory(dev, MLX5_GET64(cqc, context, dbr_addr), 8);
	if (!cq->doorbell ||
	    !cx_ring_create(dev, &cq->ring, MLX5_ADDR_OF(create_cq_in, m->in, pas), listed,
			    sizeof(struct mlx5_cqe64) << cq->log_size,
			    MLX5_GET(cqc, context, log_page_size)))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	cq->period = MLX5_GET(cqc, context, cq_period);
	cq->count = MLX5_GET(cqc, context, cq_max_count);
	cq->arm = CX_NOT_ARMED;
	return 0;
}

u8 cx_create_cq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_cq *cq;
	u8 status;

	cq = cx_create(dev, m, CX_CQ, &status);
	if (!cq)
		return status;
	INIT_LIST_HEAD(&cq->news);
	status = cx_cq_setup(dev, m, cq);
	if (status)
		cx_discard(dev, CX_CQ, cq);
	return status;
}

/* The driver sets the delay of interrupts; the device never delays any. */
u8 cx_modify_cq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_cq *cq = cx_find(dev, CX_CQ, MLX5_GET(modify_cq_in, m->in, cqn));
	const u8 *context = MLX5_ADDR_OF(modify_cq_in, m->in, cq_context);

	if (!cq)
		return CX_REFUSE(m, BAD_RES_ERR);
	/* Resizing is another operation. */
	if (m->op_mod)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	cq->period = MLX5_GET(cqc, context, cq_period);
	cq->count = MLX5_GET(cqc, context, cq_max_count);
	return 0;
}

u8 cx_query_cq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_cq *cq = cx_find(dev, CX_CQ, MLX5_GET(query_cq_in, m->in, cqn));
	u8 *context = MLX5_ADDR_OF(query_cq_out, m->out, cq_context);

	if (!cq)
		return CX_REFUSE(m, BAD_RES_ERR);
	MLX5_SET(cqc, context, log_cq_size, cq->log_size);
	MLX5_SET(cqc, context, uar_page, cq->uar->id);
	MLX5_SET(cqc, context, c_eqn_or_apu_element, cq->eq->object.id);
	MLX5_SET(cqc, context, cq_period, cq->period);
	MLX5_SET(cqc, context, cq_max_count, cq->count);
	MLX5_SET(cqc, context, producer_counter, cq->producer);
	MLX5_SET(cqc, context, consumer_counter, be32_to_cpu(cq->doorbell[0]) & CX_INDEX);
	return 0;
}

u8 cx_destroy_cq(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_CQ, MLX5_GET(destroy_cq_in, m->in, cqn));
}

void cx_cq_release(struct lab_device *dev, void *object)
{
	struct cx_cq *cq = object;

	list_del(&cq->news);
	if (cq->eq)
		cx_let_go(&cq->eq->object);
	cx_let_go(cq->uar);
	cx_ring_destroy(&cq->ring);
}

u32 cx_cq_room(const struct cx_cq *cq)
{
	u32 consumed = be32_to_cpu(READ_ONCE(cq->doorbell[0]));
	u32 used = (cq->producer - consumed) & CX_INDEX;

	return used < 1U << cq->log_size ? (1U << cq->log_size) - used : 0;
}

/* Returns the place of the next entry. NULL: the queue has overrun. */
static struct mlx5_cqe64 *cx_cq_next(struct lab_device *dev, struct cx_cq *cq)
{
	u32 index = cq->producer & ((1U << cq->log_size) - 1);

	if (!cq->overrun && cx_cq_room(cq))
		return cx_ring_at(&cq->ring, index * sizeof(struct mlx5_cqe64));
	if (!cq->overrun) {
		cq->overrun = true;
		cx_of(dev)->cq_overruns++;
		cx_event_overrun(dev, cq);
	}
	return NULL;
}

static void cx_cq_post(struct lab_device *dev, struct cx_cq *cq, const struct mlx5_cqe64 *cqe,
		       u8 opcode, bool wrong_owner)
{
	u8 owner = (cq->producer >> cq->log_size & 1) ^ wrong_owner;
	struct mlx5_cqe64 *to = cx_cq_next(dev, cq);

	if (!to)
		return;
	memcpy(to, cqe, offsetof(struct mlx5_cqe64, op_own));
	/* Write the data and the entry before the entry's owner bit. */
	smp_store_release(&to->op_own, opcode << 4 | owner);
	cq->producer = (cq->producer + 1) & CX_INDEX;
	if (list_empty(&cq->news))
		list_add_tail(&cq->news, &cx_of(dev)->news);
}

void cx_complete(struct lab_device *dev, struct cx_cq *cq, const struct mlx5_cqe64 *cqe,
		 u8 opcode)
{
	cx_cq_post(dev, cq, cqe, opcode, false);
}

void cx_complete_receive(struct lab_device *dev, struct cx_cq *cq,
			 const struct mlx5_cqe64 *cqe, u8 opcode)
{
	cx_cq_post(dev, cq, cqe, opcode, lab_knob_nth(dev, LAB_WRONG_GENERATION_NTH));
}

void cx_complete_error(struct lab_device *dev, struct cx_cq *cq, u8 opcode, u8 syndrome,
		       u32 queue, u16 wqe)
{
	struct mlx5_cqe64 cqe = {};
	struct mlx5_err_cqe *error = (void *)&cqe;

	static_assert(sizeof(*error) == sizeof(cqe));
	error->syndrome = syndrome;
	error->s_wqe_opcode_qpn = cpu_to_be32(queue);
	error->wqe_counter = cpu_to_be16(wqe);
	/* The field in which a striding receive queue finds its WQE. */
	cqe.wqe_id = cpu_to_be16(wqe);
	cx_cq_post(dev, cq, &cqe, opcode, false);
}

/* The arming record has a number that changes with each event, so a new value is a new
 * request. An entry that the driver has already read needs no event.
 */
static void cx_tell_completion(struct lab_device *dev, struct cx_cq *cq)
{
	u32 arm = be32_to_cpu(READ_ONCE(cq->doorbell[1]));

	if (arm != cq->arm) {
		cq->arm = arm;
		cq->armed = true;
	}
	if (!cq->armed)
		return;
	list_del_init(&cq->news);
	if ((arm & CX_INDEX) == cq->producer)
		return;
	cq->armed = false;
	cq->events++;
	cx_event_completion(dev, cq);
}

void cx_tell_completions(struct lab_device *dev)
{
	struct cx_cq *cq, *next;

	list_for_each_entry_safe(cq, next, &cx_of(dev)->news, news)
		cx_tell_completion(dev, cq);
}
