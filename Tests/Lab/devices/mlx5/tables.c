// SPDX-License-Identifier: GPL-2.0
/* Flow tables: a table has groups, each a range of indexes with one mask. An index holds an
 * entry, whose value is compared under the mask of its group. Tables have levels and lead only
 * to higher levels, so each search ends. entries.c has the entries.
 */
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mlx5.h"

#define CX_FILE		11
#define CX_LOG_TABLE	16
#define CX_OUTER	BIT(0)		/* of match_criteria_enable */
#define CX_NIC_RECEIVE	0

/* The destination of a packet that matches no entry. */
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
	/* Operation 1 removes the root. */
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

/* Adds the group to its table. False: ranges overlap. */
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

/* For developers */

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
