/* SPDX-License-Identifier: Apache-2.0 */
/* A decoded kernel: what ptx-read.c leaves and ptx-run.c runs. */
#pragma once

#include "ptx.h"

enum {
	max_kernels = 4,
	max_instructions = 256,
	max_slots = 96,
	max_labels = 32,
	max_name = 32,
	max_operands = 3,
	max_parameter = 256,
};

enum operation {
	op_ld_param,
	op_ld_global,
	op_st_global,
	op_red_add,
	op_red_min,
	op_mov,
	op_add,
	op_sub,
	op_mul_wide,
	op_rem,
	op_min,
	op_max_signed,
	op_and,
	op_or,
	op_xor,
	op_shl,
	op_shr,
	op_brev,
	op_clz,
	op_popc,
	op_eq,
	op_ge,
	op_gt,
	op_lt,
	op_bra,
	op_ret,
};

/* An operand is a register, or a number in a place of its own. */
struct slot {
	char name[max_name];
	/* 0 for a predicate. */
	unsigned size;
	bool is_number;
	uint64_t number;
};

enum { slot_tid, slot_ntid, slot_ctaid, slot_nctaid, first_own_slot };

struct instruction {
	enum operation operation;
	unsigned size;
	/* Slots; of a branch the target. */
	unsigned operands[max_operands];
	/* Added to an address. */
	int64_t offset;
	/* Runs only if this slot is not 0; the number of slots for always. */
	unsigned predicate;
};

struct label {
	char name[max_name];
	unsigned place;
	bool is_defined;
};

struct ptx_kernel {
	char name[max_name];
	char parameter[max_name];
	size_t parameter_size;
	unsigned slot_count, instruction_count, label_count;
	struct slot slots[max_slots];
	struct instruction instructions[max_instructions];
	struct label labels[max_labels];
};

struct ptx_module {
	unsigned count;
	struct ptx_kernel kernels[max_kernels];
};
