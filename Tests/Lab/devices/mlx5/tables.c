// SPDX-License-Identifier: GPL-2.0
/* Flow tables: a table has groups, each a range of places with one mask; a place holds an
 * entry, whose value is compared under its group's mask. Tables have levels, and lead to
 * higher levels only, so each search ends.
 */
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		11
#define CX_LOG_TABLE	16
#define CX_OUTER	BIT(0)		/* of match_criteria_enable */
#define CX_ACTIONS	(MLX5_FLOW_CONTEXT_ACTION_ALLOW | MLX5_FLOW_CONTEXT_ACTION_DROP | \
			 MLX5_FLOW_CONTEXT_ACTION_FWD_DEST | MLX5_FLOW_CONTEXT_ACTION_COUNT)
#define CX_NIC_RECEIVE	0

/* Where a packet goes that no entry takes. */
static u8 cx_table_miss(struct lab_device *dev, struct cx_message *m, struct cx_table *table,
			const u8 *context)
{
	struct cx_table *miss = NULL;

	if (MLX5_GET(flow_table_context, context, table_miss_action) ==
	    MLX5_FLOW_TABLE_MISS_ACTION_FWD) {
		miss = cx_find(dev, CX_TABLE,
			       MLX5_GET(flow_table_context, context, table_miss_id));
		if (!miss)
			return CX_REFUSE(m, BAD_RES_ERR);
		if (miss->level <= table->level)
			return CX_REFUSE(m, BAD_PARAM_ERR);
		cx_hold(&miss->object);
	}
	if (table->miss)
		cx_let_go(&table->miss->object);
	table->miss = miss;
	return 0;
}

u8 cx_create_table(struct lab_device *dev, struct cx_message *m)
{
	const u8 *context = MLX5_ADDR_OF(create_flow_table_in, m->in, flow_table_context);
	struct cx_table *table;
	u8 status;

	if (MLX5_GET(create_flow_table_in, m->in, table_type) != CX_NIC_RECEIVE || m->op_mod ||
	    MLX5_GET(create_flow_table_in, m->in, other_vport) ||
	    MLX5_GET(flow_table_context, context, log_size) > CX_LOG_TABLE)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	table = cx_create(dev, m, CX_TABLE, &status);
	if (!table)
		return status;
	INIT_LIST_HEAD(&table->entries);
	INIT_LIST_HEAD(&table->groups);
	table->level = MLX5_GET(flow_table_context, context, level);
	table->log_size = MLX5_GET(flow_table_context, context, log_size);
	status = cx_table_miss(dev, m, table, context);
	if (status)
		cx_discard(dev, CX_TABLE, table);
	return status;
}

u8 cx_modify_table(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table = cx_find(dev, CX_TABLE,
					 MLX5_GET(modify_flow_table_in, m->in, table_id));

	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (!(MLX5_GET(modify_flow_table_in, m->in, modify_field_select) &
	      MLX5_MODIFY_FLOW_TABLE_MISS_TABLE_ID))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	return cx_table_miss(dev, m, table,
			     MLX5_ADDR_OF(modify_flow_table_in, m->in, flow_table_context));
}

u8 cx_destroy_table(struct lab_device *dev, struct cx_message *m)
{
	u32 id = MLX5_GET(destroy_flow_table_in, m->in, table_id);
	struct cx_state *cx = cx_of(dev);
	struct cx_table *table = cx_find(dev, CX_TABLE, id);
	u8 status = cx_destroy(dev, m, CX_TABLE, id);

	if (!status && cx->root == table)
		cx->root = NULL;
	return status;
}

static void cx_entry_free(struct cx_entry *entry)
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

void cx_table_release(struct lab_device *dev, void *object)
{
	struct cx_table *table = object;

	if (table->miss)
		cx_let_go(&table->miss->object);
}

void cx_tables_unlink(struct lab_device *dev)
{
	struct cx_table *table;
	unsigned long id;

	cx_of(dev)->root = NULL;
	xa_for_each(&cx_of(dev)->object[CX_TABLE], id, table)
		table->miss = NULL;
}

u8 cx_set_root(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table;

	if (MLX5_GET(set_flow_table_root_in, m->in, table_type) != CX_NIC_RECEIVE)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	/* Operation 1 takes the root away. */
	if (m->op_mod) {
		cx_of(dev)->root = NULL;
		return 0;
	}
	table = cx_find(dev, CX_TABLE, MLX5_GET(set_flow_table_root_in, m->in, table_id));
	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	cx_of(dev)->root = table;
	return 0;
}

/* Groups */

static void cx_group_range(struct cx_group *group)
{
	u32 to;

	for (to = CX_MATCH; to && !group->mask[to - 1];)
		to--;
	while (group->from < to && !group->mask[group->from])
		group->from++;
	group->len = to - group->from;
}

/* Puts the group among the others of its table. False: ranges overlap. */
static bool cx_group_link(struct cx_group *group)
{
	struct cx_group *other;

	list_for_each_entry(other, &group->table->groups, list) {
		if (other->first > group->last)
			break;
		if (other->last >= group->first)
			return false;
	}
	list_add_tail(&group->list, &other->list);
	return true;
}

u8 cx_create_group(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table = cx_find(dev, CX_TABLE,
					 MLX5_GET(create_flow_group_in, m->in, table_id));
	u32 first = MLX5_GET(create_flow_group_in, m->in, start_flow_index);
	u32 last = MLX5_GET(create_flow_group_in, m->in, end_flow_index);
	u8 criteria = MLX5_GET(create_flow_group_in, m->in, match_criteria_enable), status;
	struct cx_group *group;

	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	if (first > last || last >> table->log_size)
		return CX_REFUSE(m, IX_ERR);
	if (criteria & ~CX_OUTER)
		return CX_REFUSE(m, BAD_PARAM_ERR);
	group = cx_create(dev, m, CX_GROUP, &status);
	if (!group)
		return status;
	INIT_LIST_HEAD(&group->list);
	group->table = table;
	cx_hold(&table->object);
	group->first = first;
	group->last = last;
	if (criteria & CX_OUTER)
		memcpy(group->mask, MLX5_ADDR_OF(create_flow_group_in, m->in,
						 match_criteria.outer_headers), CX_MATCH);
	cx_group_range(group);
	if (cx_group_link(group))
		return 0;
	cx_discard(dev, CX_GROUP, group);
	return CX_REFUSE(m, BAD_PARAM_ERR);
}

u8 cx_destroy_group(struct lab_device *dev, struct cx_message *m)
{
	return cx_destroy(dev, m, CX_GROUP, MLX5_GET(destroy_flow_group_in, m->in, group_id));
}

void cx_group_release(struct lab_device *dev, void *object)
{
	struct cx_group *group = object;
	struct cx_entry *entry, *next;

	list_for_each_entry_safe(entry, next, &group->table->entries, list)
		if (entry->group == group)
			cx_entry_free(entry);
	list_del(&group->list);
	cx_let_go(&group->table->object);
}

/* Entries */

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

/* Reads an entry out of a message; nothing is held yet. */
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

/* The driver sends the whole entry also if it changes a part of it. */
u8 cx_set_entry(struct lab_device *dev, struct cx_message *m)
{
	struct cx_table *table = cx_find(dev, CX_TABLE, MLX5_GET(set_fte_in, m->in, table_id));
	struct cx_entry *old, *entry;
	u8 status;

	if (!table)
		return CX_REFUSE(m, BAD_RES_ERR);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return CX_REFUSE(m, NO_RES_ERR);
	status = cx_entry_read(dev, m, table, entry);
	old = cx_entry_at(table, entry->index);
	/* Operation 1 changes an entry that is there. */
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

/* For developers */

static void cx_show_entry(const struct cx_entry *entry, struct seq_file *file)
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

void cx_show_tables(struct lab_device *dev, struct seq_file *file)
{
	struct cx_state *cx = cx_of(dev);
	const struct cx_entry *entry;
	const struct cx_tir *tir;
	const struct cx_table *table;
	unsigned long id;

	xa_for_each(&cx->object[CX_TABLE], id, table) {
		seq_printf(file, "table %lu%s: level %u size %u miss %u\n", id,
			   table == cx->root ? " (root)" : "", table->level,
			   1U << table->log_size, table->miss ? table->miss->object.id : 0);
		list_for_each_entry(entry, &table->entries, list)
			cx_show_entry(entry, file);
	}
	xa_for_each(&cx->object[CX_TIR], id, tir)
		seq_printf(file, "tir %lu: rq %u rqt %u function %u fields %#x%s\n", id,
			   tir->rq ? tir->rq->object.id : 0, tir->rqt ? tir->rqt->object.id : 0,
			   tir->function, tir->fields, tir->symmetric ? " symmetric" : "");
}
