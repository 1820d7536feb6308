// SPDX-License-Identifier: GPL-2.0
/* Event queues, with interrupts.
 *
 * The driver rings the doorbells of all queues in one register of a UAR page. The device
 * only polls registers, so it would see the last doorbell and none of the others. So an event
 * queue is always armed: the driver may get an interrupt that it did not request, but it
 * misses none. The device does not know either how far the driver has read. A completion queue
 * adds one event each time it is armed, and the driver makes the event queues large enough for
 * that.
 */
#include "mlx5.h"

#define CX_FILE		6

static u8 cx_eq_setup(struct lab_device *dev, struct cx_message *m, struct cx_eq *eq)
{
	const u8 *context = MLX5_ADDR_OF(create_eq_in, m->in, eq_context_entry);
	u32 listed = (m->in_len - MLX5_ST_SZ_BYTES(create_eq_in)) / sizeof(u64);

	eq->uar = cx_find(dev, CX_UAR, MLX5_GET(eqc, context, uar_page));
	if (!eq->uar)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_hold(eq->uar);
	eq->log_size = MLX5_GET(eqc, context, log_eq_size);
	eq->mask = MLX5_GET64(create_eq_in, m->in, event_bitmask[0]);
	if (eq->log_size > 16 || MLX5_GET(eqc, context, page_offset))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (!cx_ring_create(dev, &eq->ring, MLX5_ADDR_OF(create_eq_in, m->in, pas), listed,
			    sizeof(struct mlx5_eqe) << eq->log_size,
			    MLX5_GET(eqc, context, log_page_size)))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	return 0;
}

u8 cx_create_eq(struct lab_device *dev, struct cx_message *m)
{
	u32 vector = MLX5_GET(eqc, MLX5_ADDR_OF(create_eq_in, m->in, eq_context_entry), intr);
	struct cx_eq *eq;
	u8 status;

	if (vector >= dev->kind->vectors())
		return CX_REFUSE(m, IX_ERR);
	eq = cx_create(dev, m, CX_EQ, &status);
	if (!eq)
		return status;
	eq->vector = vector;
	cx_of(dev)->vector_users[vector]++;
	status = cx_eq_setup(dev, m, eq);
	if (!status && !lab_vector_open(dev, vector))
		status = CX_REFUSE(m, BAD_PARAM_ERR);
	if (status)
		cx_discard(dev, CX_EQ, eq);
	return status;
}

u8 cx_destroy_eq(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_EQ, MLX5_GET(destroy_eq_in, m->in, eq_number));
}

void cx_eq_release(struct lab_device *dev, void *object)
{
	struct cx_eq *eq = object;

	if (!--cx_of(dev)->vector_users[eq->vector])
		lab_vector_close(dev, eq->vector);
	cx_let_go(eq->uar);
	cx_ring_destroy(&eq->ring);
}

u8 cx_query_eq(struct lab_device *dev, struct cx_message *m)
{
	struct cx_eq *eq = cx_find(dev, CX_EQ, MLX5_GET(query_eq_in, m->in, eq_number));
	u8 *context = MLX5_ADDR_OF(query_eq_out, m->out, eq_context_entry);

	if (!eq)
		return CX_REFUSE(m, BAD_RES_ERR);
	MLX5_SET(eqc, context, log_eq_size, eq->log_size);
	MLX5_SET(eqc, context, uar_page, eq->uar->id);
	MLX5_SET(eqc, context, intr, eq->vector);
	MLX5_SET(eqc, context, log_page_size, eq->ring.shift - MLX5_ADAPTER_PAGE_SHIFT);
	MLX5_SET(eqc, context, producer_counter, eq->producer);
	return 0;
}

struct cx_eq *cx_eq_for(struct lab_device *dev, u8 type)
{
	struct cx_eq *eq;
	unsigned long id;

	xa_for_each(&cx_of(dev)->object[CX_EQ], id, eq)
		if (eq->mask >> type & 1)
			return eq;
	return NULL;
}

static void cx_event(struct cx_eq *eq, u8 type, u8 sub_type, const union ev_data *data)
{
	u32 index = eq->producer & ((1U << eq->log_size) - 1);
	struct mlx5_eqe *eqe = cx_ring_at(&eq->ring, index * sizeof(*eqe));

	memset(eqe, 0, offsetof(struct mlx5_eqe, owner));
	eqe->type = type;
	eqe->sub_type = sub_type;
	eqe->data = *data;
	/* The owner bit changes with each round, and makes the entry valid. */
	smp_store_release(&eqe->owner, eq->producer >> eq->log_size & 1);
	eq->producer++;
	eq->events++;
	eq->due = true;
}

void cx_event_command(struct lab_device *dev, struct cx_eq *eq, u32 slots)
{
	union ev_data data = { .cmd.vector = cpu_to_be32(slots) };

	cx_event(eq, MLX5_EVENT_TYPE_CMD, 0, &data);
}

void cx_event_port(struct lab_device *dev, bool up)
{
	union ev_data data = { .port.port = 1 << 4 };
	struct cx_eq *eq = cx_eq_for(dev, MLX5_EVENT_TYPE_PORT_CHANGE);

	if (eq)
		cx_event(eq, MLX5_EVENT_TYPE_PORT_CHANGE,
			 up ? MLX5_PORT_CHANGE_SUBTYPE_ACTIVE : MLX5_PORT_CHANGE_SUBTYPE_DOWN,
			 &data);
}

void cx_event_completion(struct lab_device *dev, struct cx_cq *cq)
{
	union ev_data data = { .comp.cqn = cpu_to_be32(cq->object.id) };

	cx_event(cq->eq, MLX5_EVENT_TYPE_COMP, 0, &data);
}

void cx_event_overrun(struct lab_device *dev, struct cx_cq *cq)
{
	union ev_data data = {
		.cq_err.cqn = cpu_to_be32(cq->object.id),
		.cq_err.syndrome = MLX5_CQ_ERROR_SYNDROME_CQ_OVERRUN,
	};
	struct cx_eq *eq = cx_eq_for(dev, MLX5_EVENT_TYPE_CQ_ERROR);

	if (eq)
		cx_event(eq, MLX5_EVENT_TYPE_CQ_ERROR, 0, &data);
}

void cx_raise(struct lab_device *dev)
{
	struct cx_eq *eq;
	unsigned long id;

	cx_tell_completions(dev);
	xa_for_each(&cx_of(dev)->object[CX_EQ], id, eq) {
		if (!eq->due)
			continue;
		eq->due = false;
		cx_of(dev)->interrupts++;
		lab_interrupt(dev, eq->vector);
	}
}
