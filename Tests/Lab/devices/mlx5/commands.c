// SPDX-License-Identifier: GPL-2.0
/* The command interface: slots in the guest's memory, each with a command's first 16
 * bytes and lists of mailboxes for the rest, a doorbell, and an answer that the driver
 * polls for or that an event reports.
 */
#include <linux/jiffies.h>
#include <linux/seq_file.h>

#include "mlx5.h"

#define CX_FILE		1
#define CX_SLOTS	32
#define CX_LOG_STRIDE	6
#define CX_INLINE	16	/* bytes of a message in the slot itself */
#define CX_SUSPECT_MS	50
/* The seconds that the driver waits beyond the device's limit, and a margin. */
#define CX_GRACE	10

/* The delivery status: the command failed before it could return a status of its
 * own.
 */
enum cx_delivery {
	CX_DELIVERED		= 0x0,
	CX_BAD_TOKEN		= 0x2,
	CX_BAD_BLOCK		= 0x3,
	CX_BAD_OUT_POINTER	= 0x4,
	CX_BAD_IN_POINTER	= 0x5,
	CX_BAD_IN_LENGTH	= 0x7,
	CX_BAD_OUT_LENGTH	= 0x8,
	CX_BAD_DESCRIPTOR	= 0x10,
};

static enum cx_delivery cx_mailbox(struct lab_device *dev, u64 pointer, u32 number, u8 token,
				   struct mlx5_cmd_prot_block **block)
{
	*block = IS_ALIGNED(pointer, 512) ? lab_memory(dev, pointer, sizeof(**block)) : NULL;
	if (!*block)
		return CX_BAD_IN_POINTER;
	if ((*block)->token != token)
		return CX_BAD_TOKEN;
	if (be32_to_cpu((*block)->block_num) != number)
		return CX_BAD_BLOCK;
	return CX_DELIVERED;
}

static enum cx_delivery cx_fetch(struct lab_device *dev, const struct mlx5_cmd_layout *slot,
				 u8 *to, u32 len)
{
	u64 pointer = be64_to_cpu(slot->in_ptr);
	struct mlx5_cmd_prot_block *block;
	u32 done = min(len, CX_INLINE), number;
	enum cx_delivery bad;

	memcpy(to, slot->in, done);
	for (number = 0; done < len; number++) {
		u32 n = min_t(u32, len - done, sizeof(block->data));

		bad = cx_mailbox(dev, pointer, number, slot->token, &block);
		if (bad)
			return bad;
		memcpy(to + done, block->data, n);
		done += n;
		pointer = be64_to_cpu(block->next);
	}
	return CX_DELIVERED;
}

static enum cx_delivery cx_answer(struct lab_device *dev, struct mlx5_cmd_layout *slot,
				  const u8 *from, u32 len)
{
	u64 pointer = be64_to_cpu(slot->out_ptr);
	struct mlx5_cmd_prot_block *block;
	u32 done = min(len, CX_INLINE), number;
	enum cx_delivery bad;

	memcpy(slot->out, from, done);
	for (number = 0; done < len; number++) {
		u32 n = min_t(u32, len - done, sizeof(block->data));

		bad = cx_mailbox(dev, pointer, number, slot->token, &block);
		if (bad)
			return bad == CX_BAD_IN_POINTER ? CX_BAD_OUT_POINTER : bad;
		memcpy(block->data, from + done, n);
		done += n;
		pointer = be64_to_cpu(block->next);
	}
	return CX_DELIVERED;
}

static void cx_trace(struct lab_device *dev, const struct cx_message *m, u8 status, u32 slot)
{
	struct cx_state *cx = cx_of(dev);

	cx->trace[cx->commands++ % CX_TRACE] = (struct cx_trace) {
		.at = jiffies_to_msecs(jiffies - INITIAL_JIFFIES),
		.first = get_unaligned_be32(m->in + 8),
		.syndrome = m->syndrome,
		.opcode = MLX5_GET(cx_in, m->in, opcode),
		.op_mod = m->op_mod,
		.status = status,
		.slot = slot,
	};
}

static u8 cx_carry_out(struct lab_device *dev, struct cx_message *m)
{
	const struct cx_command *command = cx_command_find(MLX5_GET(cx_in, m->in, opcode));

	if (!command)
		return CX_REFUSE(m, BAD_OP_ERR);
	if (m->in_len < command->in_min)
		return CX_REFUSE(m, BAD_INP_LEN_ERR);
	if (m->out_len < command->out_min || m->out_len > CX_ANSWER_MAX)
		return CX_REFUSE(m, BAD_OUTP_LEN_ERR);
	return command->run(dev, m);
}

/* A driver without an event queue polls, gives up, and later waits for the slot for ever, as
 * no event reports a late answer. For such a driver a command that should hang fails instead.
 */
static enum lab_command_fault cx_fault(struct lab_device *dev, const struct cx_message *m)
{
	enum lab_command_fault fault = lab_knob_command(dev, MLX5_GET(cx_in, m->in, opcode));

	return fault == LAB_COMMAND_HANGS && !cx_eq_for(dev, MLX5_EVENT_TYPE_CMD) ?
	       LAB_COMMAND_FAILS : fault;
}

/* Writes the answer. False: the command is never answered. */
static bool cx_run(struct lab_device *dev, struct cx_message *m, u32 slot)
{
	enum lab_command_fault fault = cx_fault(dev, m);
	struct cx_state *cx = cx_of(dev);
	u8 status;

	if (fault == LAB_COMMAND_HANGS) {
		cx->hung |= BIT(slot);
		cx->hung_since = jiffies;
		return false;
	}
	memset(m->out, 0, m->out_len);
	status = fault == LAB_COMMAND_FAILS ? CX_REFUSE(m, INT_ERR) : cx_carry_out(dev, m);
	if (status) {
		memset(m->out, 0, m->out_len);
		cx->invalid_commands++;
	}
	MLX5_SET(cx_out, m->out, status, status);
	MLX5_SET(cx_out, m->out, syndrome, m->syndrome);
	cx_trace(dev, m, status, slot);
	return true;
}

static enum cx_delivery cx_deliver(struct lab_device *dev, struct mlx5_cmd_layout *slot,
				   u32 index, bool *answered)
{
	struct cx_state *cx = cx_of(dev);
	struct cx_message m = {
		.in = cx->message,
		.out = cx->answer,
		.in_len = be32_to_cpu(slot->inlen),
		.out_len = be32_to_cpu(slot->outlen),
	};
	enum cx_delivery bad;

	if (slot->type != MLX5_PCI_CMD_XPORT)
		return CX_BAD_DESCRIPTOR;
	if (m.in_len < MLX5_ST_SZ_BYTES(cx_in) || m.in_len > CX_MESSAGE_MAX)
		return CX_BAD_IN_LENGTH;
	if (m.out_len < MLX5_ST_SZ_BYTES(cx_out) || m.out_len > CX_ANSWER_MAX)
		return CX_BAD_OUT_LENGTH;
	/* Nothing of the last command may remain after a short one. */
	memset(cx->message, 0, 2 * CX_INLINE);
	bad = cx_fetch(dev, slot, cx->message, m.in_len);
	if (bad)
		return bad;
	m.op_mod = MLX5_GET(cx_in, m.in, op_mod);
	*answered = cx_run(dev, &m, index);
	return *answered ? cx_answer(dev, slot, m.out, m.out_len) : CX_DELIVERED;
}

static void cx_slot(struct lab_device *dev, struct mlx5_cmd_layout *slot, u32 index)
{
	/* This command may create or destroy the event queue of commands. */
	struct cx_eq *before = cx_eq_for(dev, MLX5_EVENT_TYPE_CMD);
	bool answered = true;
	enum cx_delivery bad = cx_deliver(dev, slot, index, &answered);

	if (!answered)
		return;
	/* The driver owns the slot and its output from here on. */
	smp_store_release(&slot->status_own, bad << 1);
	if (before && cx_eq_for(dev, MLX5_EVENT_TYPE_CMD) == before)
		cx_event_command(dev, before, BIT(index));
}

/* A command that hangs is not executed, and the driver gives up. It keeps the slot, and cannot
 * be unloaded until an answer arrives, so the device answers much later. It writes only to the
 * slot, as the mailboxes belong to the driver again.
 */
static void cx_answer_hung(struct lab_device *dev, struct mlx5_cmd_layout *slots)
{
	struct cx_state *cx = cx_of(dev);
	unsigned long hung = cx->hung;
	u32 i;

	if (!hung || time_before(jiffies, cx->hung_since + (cx_command_seconds + CX_GRACE) * HZ))
		return;
	cx->hung = 0;
	for_each_set_bit(i, &hung, CX_SLOTS) {
		struct cx_eq *eq = cx_eq_for(dev, MLX5_EVENT_TYPE_CMD);

		/* The driver owns the slot from here on. */
		smp_store_release(&slots[i].status_own, 0);
		if (eq)
			cx_event_command(dev, eq, BIT(i));
	}
}

static u32 cx_owned(struct lab_device *dev, const struct mlx5_cmd_layout *slots)
{
	u32 owned = 0, i;

	for (i = 0; i < CX_SLOTS; i++)
		if (READ_ONCE(slots[i].status_own) & CMD_OWNER_HW)
			owned |= BIT(i);
	/* The driver has used the slot again, so it is not the one that hung. */
	cx_of(dev)->hung &= owned;
	return owned & ~cx_of(dev)->hung;
}

/* Handles slots whose doorbell was rung. All slots share one register, and the device only
 * polls it, so the doorbell of one slot may overwrite that of another. A slot that the device
 * owned when the doorbell of another slot arrived is a suspect, and is executed a little later
 * if its own doorbell has not arrived. The driver rings the doorbell after it has filled the
 * slot and its own records, so executing a slot too early would confuse it.
 */
static u32 cx_rung(struct lab_device *dev, const struct mlx5_cmd_layout *slots)
{
	struct cx_state *cx = cx_of(dev);
	u32 bell = lab_take(dev, 0, offsetof(struct mlx5_init_seg, cmd_dbell)), owned, rung;

	/* A slot is filled before its doorbell rings, so it is read only afterwards: otherwise a
	 * doorbell that rings in between would be lost.
	 */
	smp_rmb();
	owned = cx_owned(dev, slots);
	rung = bell & owned;
	cx->suspect &= owned & ~rung;
	if (bell && owned & ~rung & ~cx->suspect) {
		cx->suspect |= owned & ~rung;
		cx->suspect_since = jiffies;
	}
	if (cx->suspect &&
	    time_after(jiffies, cx->suspect_since + msecs_to_jiffies(CX_SUSPECT_MS))) {
		rung |= cx->suspect;
		cx->suspect = 0;
	}
	return rung;
}

/* Whether the driver has written the address of a new queue: its value has zeros
 * where the device reports the queue's size.
 */
static void cx_find_queue(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);
	u32 high = cx_segment_read(dev, offsetof(struct mlx5_init_seg, cmdq_addr_h));
	u64 queue = (u64)high << 32 | (cx_queue_register(dev) & ~0xfffU);

	if (queue == cx->queue)
		return;
	cx->queue = queue;
	cx->hung = 0;
	cx->suspect = 0;
}

bool cx_commands(struct lab_device *dev)
{
	struct mlx5_cmd_layout *slots;
	unsigned long rung;
	u32 i;

	static_assert(sizeof(*slots) == 1 << CX_LOG_STRIDE);
	cx_find_queue(dev);
	slots = cx_of(dev)->queue ?
		lab_memory(dev, cx_of(dev)->queue, CX_SLOTS << CX_LOG_STRIDE) : NULL;
	if (!slots)
		return false;
	rung = cx_rung(dev, slots);
	cx_answer_hung(dev, slots);
	if (!rung)
		return false;
	/* Read the ownership before the contents. */
	smp_rmb();
	for_each_set_bit(i, &rung, CX_SLOTS)
		cx_slot(dev, &slots[i], i);
	return true;
}

void cx_command_reset(struct lab_device *dev)
{
	struct cx_state *cx = cx_of(dev);

	cx->queue = 0;
	cx->hung = 0;
	cx->suspect = 0;
	lab_take(dev, 0, offsetof(struct mlx5_init_seg, cmd_dbell));
}

void cx_show_commands(struct lab_device *dev, struct seq_file *file)
{
	struct cx_state *cx = cx_of(dev);
	u64 i;

	seq_printf(file, "commands %llu, refused %llu\n", cx->commands, cx->invalid_commands);
	for (i = cx->commands > CX_TRACE ? cx->commands - CX_TRACE : 0; i < cx->commands; i++) {
		const struct cx_trace *t = &cx->trace[i % CX_TRACE];
		const struct cx_command *command = cx_command_find(t->opcode);

		seq_printf(file, "%llu ms slot %u %s (%#x/%#x) %#x: status %#x syndrome %#x\n",
			   t->at, t->slot, command ? command->name : "?", t->opcode, t->op_mod,
			   t->first, t->status, t->syndrome);
	}
}
