// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a decoded kernel. The threads of a block run an instruction together while they are at the same one;
 * then those that are behind go first. Blocks run one after the other. Registers begin with garbage.
 */
#include "ptx-kernel.h"

#include <stdlib.h>
#include <string.h>

enum { max_steps = 16 << 20 };

/* The processor has the order of bytes of a GPU. */
static uint64_t load(const unsigned char *bytes, unsigned size)
{
	uint32_t half;
	uint64_t whole;

	/* Of a known size each, which is faster. */
	if (size == 8) {
		memcpy(&whole, bytes, 8);
		return whole;
	}
	memcpy(&half, bytes, 4);
	return half;
}

/* A block of threads that runs. */
struct block {
	const struct ptx_kernel *kernel;
	const unsigned char *parameter;
	void *(*at)(uint64_t address, size_t size, bool writes);
	unsigned threads;
	/* The slots of all threads, one after the other for each slot. */
	uint64_t *slots;
	/* Where each thread is, unless all are at the same instruction. */
	unsigned *places;
	/* Those that have not ended, those that run the next instruction, and those whose predicate lets them. */
	unsigned *live, *next, *let;
	unsigned live_count;
};

static uint64_t *slots_of(const struct block *block, unsigned slot)
{
	return block->slots + (size_t)slot * block->threads;
}

/* Reads or writes bytes of the GPU's memory in one thread. */
static enum ptx_end reach(const struct block *block, const struct instruction *made, bool writes,
			  unsigned thread)
{
	uint64_t address = slots_of(block, made->operands[writes ? 0 : 1])[thread] + (uint64_t)made->offset;
	uint64_t value;
	unsigned char *bytes;

	if (address & (made->size - 1))
		return ptx_misaligned_address;
	bytes = block->at(address, made->size, writes);
	if (!bytes)
		return ptx_illegal_address;
	if (!writes) {
		slots_of(block, made->operands[0])[thread] = load(bytes, made->size);
		return ptx_done;
	}
	value = slots_of(block, made->operands[1])[thread];
	if (made->operation != op_st_global) {
		uint64_t old = load(bytes, 8);

		if (made->operation == op_red_add)
			value += old;
		else if (old < value)
			value = old;
	}
	memcpy(bytes, &value, made->size);
	return ptx_done;
}

static uint64_t reversed(uint64_t value)
{
	uint64_t result = 0;

	for (int i = 0; i < 64; i++)
		result |= (value >> i & 1) << (63 - i);
	return result;
}

/* Runs an instruction that is no jump in threads. */
static enum ptx_end run(const struct block *block, const struct instruction *made, const unsigned *who,
			unsigned count)
{
	uint64_t *to = slots_of(block, made->operands[0]);
	const uint64_t *first = slots_of(block, made->operands[1]);
	const uint64_t *second = slots_of(block, made->operands[2]);
	/* A target is as large as what is calculated with, or holds a small number. */
	uint64_t mask = made->size == 4 ? UINT32_MAX : UINT64_MAX;
	unsigned bits = made->size * 8;

#define EACH(value)                                               \
	for (unsigned i = 0; i < count; i++) {                    \
		uint64_t a = first[who[i]], b = second[who[i]];   \
                                                                  \
		(void)a, (void)b;                                 \
		to[who[i]] = (value) & mask;                      \
	}                                                         \
	break

	switch (made->operation) {
	case op_ld_global:
	case op_st_global:
	case op_red_add:
	case op_red_min:
		for (unsigned i = 0; i < count; i++) {
			enum ptx_end end = reach(block, made, made->operation != op_ld_global, who[i]);

			if (end != ptx_done)
				return end;
		}
		break;
	case op_rem:
		for (unsigned i = 0; i < count; i++)
			if (!second[who[i]])
				return ptx_division_by_zero;
		EACH(a % b);
	case op_ld_param: EACH(load(block->parameter + made->offset, made->size));
	case op_mov: EACH(a);
	case op_add: EACH(a + b);
	case op_sub: EACH(a - b);
	case op_mul_wide: EACH(a * b);
	case op_min: EACH(a < b ? a : b);
	case op_max_signed: EACH((int32_t)a > (int32_t)b ? a : b);
	case op_and: EACH(a & b);
	case op_or: EACH(a | b);
	case op_xor: EACH(a ^ b);
	case op_shl: EACH(b < bits ? a << b : 0);
	case op_shr: EACH(b < bits ? a >> b : 0);
	case op_brev: EACH(reversed(a));
	case op_clz: EACH(a ? (uint64_t)__builtin_clzll(a) : 64);
	case op_popc: EACH((uint64_t)__builtin_popcountll(a));
	case op_eq: EACH(a == b);
	case op_ge: EACH(a >= b);
	case op_gt: EACH(a > b);
	case op_lt: EACH(a < b);
	case op_bra:
	case op_ret:
		break;
	}
#undef EACH
	return ptx_done;
}

/* Forgets threads that have ended. */
static void drop(struct block *block, const unsigned *who, unsigned count)
{
	unsigned kept = 0, next = 0;

	/* Both lists are in order. */
	for (unsigned i = 0; i < block->live_count; i++)
		if (next < count && who[next] == block->live[i])
			next++;
		else
			block->live[kept++] = block->live[i];
	block->live_count = kept;
}

static enum ptx_end run_block(struct block *block)
{
	unsigned place = 0;
	bool are_together = true;

	block->live_count = block->threads;
	for (unsigned i = 0; i < block->threads; i++)
		block->live[i] = i;
	for (unsigned steps = 0; steps < max_steps; steps++) {
		const struct instruction *made;
		const unsigned *who = block->live, *let;
		unsigned count = block->live_count, let_count, place_of_let;
		enum ptx_end end;

		if (!count)
			return ptx_done;
		if (!are_together) {
			place = block->places[block->live[0]];
			for (unsigned i = 1; i < block->live_count; i++)
				if (block->places[block->live[i]] < place)
					place = block->places[block->live[i]];
			count = 0;
			for (unsigned i = 0; i < block->live_count; i++)
				if (block->places[block->live[i]] == place)
					block->next[count++] = block->live[i];
			who = block->next;
			are_together = count == block->live_count;
		}
		made = &block->kernel->instructions[place];
		let = who;
		let_count = count;
		if (made->predicate < max_slots) {
			const uint64_t *predicate = slots_of(block, made->predicate);

			let_count = 0;
			for (unsigned i = 0; i < count; i++)
				if (predicate[who[i]])
					block->let[let_count++] = who[i];
			let = block->let;
		}
		end = run(block, made, let, let_count);
		if (end != ptx_done)
			return end;
		place_of_let = made->operation == op_bra ? made->operands[0] : place + 1;
		if (are_together && let_count == count && made->operation != op_ret) {
			place = place_of_let;
			continue;
		}
		if (are_together && (!let_count || place_of_let == place + 1)) {
			if (made->operation == op_ret)
				drop(block, let, let_count);
			place++;
			continue;
		}
		for (unsigned i = 0; i < count; i++)
			block->places[who[i]] = place + 1;
		for (unsigned i = 0; i < let_count; i++)
			block->places[let[i]] = place_of_let;
		if (made->operation == op_ret)
			drop(block, let, let_count);
		are_together = false;
	}
	return ptx_endless;
}

enum ptx_end ptx_run(const struct ptx_kernel *kernel, const void *parameter, unsigned blocks,
		     unsigned threads, void *(*at)(uint64_t address, size_t size, bool writes))
{
	size_t count = (size_t)kernel->slot_count * threads;
	struct block block = { .kernel = kernel, .parameter = parameter, .at = at, .threads = threads };
	unsigned *lists = calloc(threads, 4 * sizeof(*lists));
	enum ptx_end end = ptx_done;

	block.slots = calloc(count, sizeof(*block.slots));
	if (!block.slots || !lists) {
		free(block.slots);
		free(lists);
		return ptx_endless;
	}
	block.places = lists;
	block.live = lists + threads;
	block.next = lists + 2 * threads;
	block.let = lists + 3 * threads;
	for (unsigned number = 0; number < blocks && end == ptx_done; number++) {
		for (unsigned i = 0; i < kernel->slot_count; i++) {
			const struct slot *slot = &kernel->slots[i];
			uint64_t value = slot->is_number  ? slot->number :
					 slot->size == 8 ? 0xa5a5a5a5a5a5a5a5 :
					 slot->size == 4 ? 0xa5a5a5a5 :
							   1;

			for (unsigned thread = 0; thread < threads; thread++)
				slots_of(&block, i)[thread] = value;
		}
		for (unsigned i = 0; i < threads; i++) {
			slots_of(&block, slot_tid)[i] = i;
			slots_of(&block, slot_ntid)[i] = threads;
			slots_of(&block, slot_ctaid)[i] = number;
			slots_of(&block, slot_nctaid)[i] = blocks;
		}
		end = run_block(&block);
	}
	free(block.slots);
	free(lists);
	return end;
}
