// SPDX-License-Identifier: GPL-2.0
/* Entries of flow tables: the fields that a packet must match, and its destination. */
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		14
#define CX_ACTIONS	(MLX5_FLOW_CONTEXT_ACTION_ALLOW | MLX5_FLOW_CONTEXT_ACTION_DROP | \
			 MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_COUNT)

void cx_entry_free(struct cx_entry *entry)
{
	cx_let_go(&entry->group->object);
	if (entry->tir)
		cx_let_go(&entry->tir->object);
	if (entry->table)
		cx_let_go(&entry->table->object);
	if (entry->counter)
		cx_let_go(&entry->counter->object);
	list_del(&entry->list);
	kfree(entry);
}

static struct cx_entry *cx_entry_at(struct cx_table *table, u32 index)
{
	struct cx_entry *entry;

	list_for_each_entry(entry, &table->entries, list)
		if (entry->index >= index)
			return entry->index == index ? entry : NULL;
	return NULL;
}

static void cx_entry_link(struct cx_table *table, struct cx_entry *entry)
{
	struct cx_entry *other;

	list_for_each_entry(other, &table->entries, list)
		if (other->index > entry->index)
			break;
	list_add_tail(&entry->list, &other->list);
}

static u8 cx_entry_target(struct lab_device *dev, struct cx_message *m, struct cx_entry *draft,
			  const u8 *target)
{
	u32 id = MLX5_GET(dest_format_struct, target, destination_id);

	switch (MLX5_GET(dest_format_struct, target, destination_type)) {
	case MLX5_IFC_FLOW_DESTINATION_TYPE_TIR:
		draft->tir = cx_find(dev, CX_TIR, id);
		return draft->tir ? 0 : CX_REFUSE(m, BAD_RES_ERR);
	case MLX5_IFC_FLOW_DESTINATION_TYPE_FLOW_TABLE:
		draft->table = cx_find(dev, CX_TABLE, id);
		if (!draft->table)
			return CX_REFUSE(m, BAD_RES_ERR);
		return draft->table->level > draft->group->table->level ?
		       0 : CX_REFUSE(m, BAD_PARAM_ERR);
	}
	return CX_REFUSE(m, BAD_PARAM_ERR);
}

/* Reads an entry from a message, without references yet. */
static u8 cx_entry_read(struct lab_device *dev, struct cx_message *m, struct cx_table *table,
			struct cx_entry *draft)
{
	const u8 *context = MLX5_ADDR_OF(set_fte_in, m->in, flow_context);
	u32 targets = MLX5_GET(flow_context, context, destination_list_size);
	u32 counters = MLX5_GET(flow_context, context, flow_counter_list_size);
	const u8 *list = MLX5_ADDR_OF(flow_context, context, destination);
	u8 status = 0;

	if (targets > 1 || counters > 1 || MLX5_GET(flow_context, context, extended_destination))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	if (m->in_len < MLX5_ST_SZ_BYTES(set_fte_in) +
				(targets + counters) * MLX5_ST_SZ_BYTES(dest_format_struct))
		return CX_REFUSE(m, BAD_INP_LEN_ERR);
	draft->index = MLX5_GET(set_fte_in, m->in, flow_index);
	draft->group = cx_find(dev, CX_GROUP, MLX5_GET(flow_context, context, group_id));
	if (!draft->group || draft->group->table != table)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (draft->index < draft->group->first || draft->index > draft->group->last)
		return CX_REFUSE(m, IX_ERR);
	draft->action = MLX5_GET(flow_context, context, action);
	if (draft->action & ~CX_ACTIONS)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	draft->tag = MLX5_GET(flow_context, context, flow_tag);
	memcpy(draft->value, MLX5_ADDR_OF(flow_context, context, match_value.outer_headers),
	       CX_MATCH);
	if (draft->action & MLX5_FLOW_CONTEXT_ACTION_FWD_DEST)
		status = targets ? cx_entry_target(dev, m, draft, list) :
				   CX_REFUSE(m, BAD_PARAM_ERR);
	if (!status && draft->action & MLX5_FLOW_CONTEXT_ACTION_COUNT) {
		list += targets * MLX5_ST_SZ_BYTES(dest_format_struct);
		draft->counter = counters ? cx_find(dev, CX_FLOW_COUNTER,
						    MLX5_GET(flow_counter_list, list,
							     flow_counter_id)) : NULL;
		if (!draft->counter)
			status = CX_REFUSE(m, BAD_RES_ERR);
	}
	return status;
}

static void cx_entry_hold(const struct cx_entry *entry)
{
	cx_hold(&entry->group->object);
	if (entry->tir)
		cx_hold(&entry->tir->object);
	if (entry->table)
		cx_hold(&entry->table->object);
	if (entry->counter)
		cx_hold(&entry->counter->object);
}

/* The driver sends the whole entry even if it changes only a part of it. */
u8 cx_set_entry(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table = cx_find(dev, CX_TABLE, MLX5_GET(set_fte_in, m->in, table_id));
	struct cx_entry *old, *entry;
	u8 status;

	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	entry = kzalloc_obj(*entry);
	if (!entry)
		return CX_REFUSE(m, NO_RES_ERR);
	status = cx_entry_read(dev, m, table, entry);
	old = cx_entry_at(table, entry->index);
	/* Operation 1 changes an existing entry. */
	if (!status && m->op_mod && !old)
		status = CX_REFUSE(m, BAD_RES_ERR);
	if (status) {
		kfree(entry);
		return status;
	}
	cx_entry_hold(entry);
	if (old) {
		entry->hits = old->hits;
		cx_entry_free(old);
	}
	cx_entry_link(table, entry);
	return 0;
}

u8 cx_delete_entry(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table = cx_find(dev, CX_TABLE, MLX5_GET(delete_fte_in, m->in, table_id));
	struct cx_entry *entry;

	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	entry = cx_entry_at(table, MLX5_GET(delete_fte_in, m->in, flow_index));
	if (!entry)
		return CX_REFUSE(m, IX_ERR);
	cx_entry_free(entry);
	return 0;
}

void cx_show_entry(const struct cx_entry *entry, struct seq_file *file)
{
	const struct cx_group *group = entry->group;
	u32 i;

	seq_printf(file, "  %u: group %u action %#x", entry->index, group->object.id,
		   entry->action);
	if (entry->tir)
		seq_printf(file, " tir %u", entry->tir->object.id);
	if (entry->table)
		seq_printf(file, " table %u", entry->table->object.id);
	seq_printf(file, " hits %llu match", entry->hits);
	for (i = group->from; i < group->from + group->len; i++)
		if (group->mask[i])
			seq_printf(file, " [%u]=%02x/%02x", i, entry->value[i], group->mask[i]);
	seq_putc(file, '\n');
}
