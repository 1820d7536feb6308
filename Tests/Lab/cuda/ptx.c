// SPDX-License-Identifier: Apache-2.0
/*
 * An interpreter of PTX, the text that NVIDIA's driver compiles for a GPU, so that the lab runs the very
 * kernels that a GPU runs. It knows the instructions that these use and no others, and is as strict as
 * NVIDIA's assembler about the sizes of registers. Of the text it takes kernels with one parameter, an
 * array of bytes; a statement must end on the line that it begins on.
 *
 * The threads of a block run an instruction together while they are at the same one; then those that are
 * behind go first. Blocks run one after the other. Registers begin with garbage.
 */
#include "ptx.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

enum {
	max_kernels = 4,
	max_instructions = 256,
	max_slots = 96,
	max_labels = 32,
	max_name = 32,
	max_operands = 3,
	max_steps = 16 << 20,
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

/*
 * The operands, one letter each: "4" and "8" a register of 32 and of 64 bits or, unless it is the
 * first, a number; "p" a predicate; "w" a register of at least the size that is accessed; "[" an
 * address in a register, "(" one in the parameter; "l" a label.
 */
static const struct form {
	const char *name;
	enum operation operation;
	const char *operands;
	/* Bytes that are calculated with or accessed. */
	unsigned size;
} forms[] = {
	{ "ld.param.u32", op_ld_param, "4(", 4 },
	{ "ld.param.u64", op_ld_param, "8(", 8 },
	{ "ld.global.u32", op_ld_global, "4[", 4 },
	{ "ld.global.u64", op_ld_global, "8[", 8 },
	{ "st.global.u8", op_st_global, "[w", 1 },
	{ "st.global.u64", op_st_global, "[8", 8 },
	{ "red.global.add.u64", op_red_add, "[8", 8 },
	{ "red.global.min.u64", op_red_min, "[8", 8 },
	{ "mov.u32", op_mov, "44", 4 },
	{ "mov.u64", op_mov, "88", 8 },
	{ "cvt.u64.u32", op_mov, "84", 8 },
	{ "add.u32", op_add, "444", 4 },
	{ "add.s32", op_add, "444", 4 },
	{ "add.u64", op_add, "888", 8 },
	{ "sub.u32", op_sub, "444", 4 },
	{ "sub.s32", op_sub, "444", 4 },
	{ "mul.wide.u32", op_mul_wide, "844", 8 },
	{ "rem.u32", op_rem, "444", 4 },
	{ "min.u64", op_min, "888", 8 },
	{ "max.s32", op_max_signed, "444", 4 },
	{ "and.b32", op_and, "444", 4 },
	{ "and.b64", op_and, "888", 8 },
	{ "or.b64", op_or, "888", 8 },
	{ "xor.b64", op_xor, "888", 8 },
	{ "shl.b32", op_shl, "444", 4 },
	{ "shl.b64", op_shl, "884", 8 },
	{ "shr.u32", op_shr, "444", 4 },
	{ "shr.u64", op_shr, "884", 8 },
	{ "brev.b64", op_brev, "88", 8 },
	{ "clz.b64", op_clz, "48", 8 },
	{ "popc.b64", op_popc, "48", 8 },
	{ "setp.eq.u64", op_eq, "p88", 8 },
	{ "setp.ge.u32", op_ge, "p44", 4 },
	{ "setp.gt.u32", op_gt, "p44", 4 },
	{ "setp.lt.u32", op_lt, "p44", 4 },
	{ "bra", op_bra, "l", 0 },
	{ "ret", op_ret, "", 0 },
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

struct parser {
	const char *at;
	unsigned line;
	char *error;
	size_t error_size;
	struct ptx_kernel *kernel;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct parser *parser, const char *format, ...)
{
	va_list arguments;
	int length = snprintf(parser->error, parser->error_size, "line %u: ", parser->line);

	va_start(arguments, format);
	if (length >= 0 && (size_t)length < parser->error_size)
		vsnprintf(parser->error + length, parser->error_size - length, format, arguments);
	va_end(arguments);
	return false;
}

/* Skips spaces within the line, and what follows "//". */
static void skip(struct parser *parser)
{
	while (*parser->at == ' ' || *parser->at == '\t')
		parser->at++;
	if (!strncmp(parser->at, "//", 2))
		parser->at += strcspn(parser->at, "\n");
}

/* Skips lines that are empty. */
static void skip_lines(struct parser *parser)
{
	for (skip(parser); *parser->at == '\n'; skip(parser)) {
		parser->at++;
		parser->line++;
	}
}

static bool take(struct parser *parser, const char *text)
{
	skip(parser);
	if (strncmp(parser->at, text, strlen(text)))
		return false;
	parser->at += strlen(text);
	return true;
}

static bool expect(struct parser *parser, const char *text)
{
	return take(parser, text) || refuse(parser, "\"%s\" is missing", text);
}

static bool is_of_word(char byte) { return isalnum((unsigned char)byte) || strchr("_$%.", byte); }

/* Reads a name, of an instruction with its dots. */
static bool read_word(struct parser *parser, char word[max_name])
{
	size_t length = 0;

	skip(parser);
	while (parser->at[length] && is_of_word(parser->at[length]))
		length++;
	if (!length || length >= max_name)
		return refuse(parser, "a name is missing or too long");
	memcpy(word, parser->at, length);
	word[length] = 0;
	parser->at += length;
	return true;
}

static bool read_number(struct parser *parser, uint64_t *number)
{
	char *end;

	skip(parser);
	*number = *parser->at == '-' ? (uint64_t)strtoll(parser->at, &end, 0) :
				       strtoull(parser->at, &end, 0);
	if (end == parser->at)
		return refuse(parser, "a number is missing");
	parser->at = end;
	return true;
}

static bool add_slot(struct parser *parser, const char *name, unsigned size, uint64_t number)
{
	struct ptx_kernel *kernel = parser->kernel;
	struct slot *slot = &kernel->slots[kernel->slot_count];

	for (unsigned i = 0; name && i < kernel->slot_count; i++)
		if (!strcmp(kernel->slots[i].name, name))
			return refuse(parser, "%s is there already", name);
	if (kernel->slot_count == max_slots)
		return refuse(parser, "too many registers and numbers");
	snprintf(slot->name, sizeof(slot->name), "%s", name ? name : "");
	slot->size = size;
	slot->is_number = !name;
	slot->number = number;
	kernel->slot_count++;
	return true;
}

static bool find_slot(struct parser *parser, const char *name, unsigned *found)
{
	for (unsigned i = 0; i < parser->kernel->slot_count; i++)
		if (!parser->kernel->slots[i].is_number && !strcmp(parser->kernel->slots[i].name, name)) {
			*found = i;
			return true;
		}
	return refuse(parser, "there is no register %s", name);
}

static bool find_label(struct parser *parser, const char *name, struct label **found)
{
	struct ptx_kernel *kernel = parser->kernel;

	for (unsigned i = 0; i < kernel->label_count; i++)
		if (!strcmp(kernel->labels[i].name, name)) {
			*found = &kernel->labels[i];
			return true;
		}
	if (kernel->label_count == max_labels)
		return refuse(parser, "too many labels");
	*found = &kernel->labels[kernel->label_count++];
	snprintf((*found)->name, sizeof((*found)->name), "%s", name);
	return true;
}

/* Reads ".reg .b32 %one, %two;" from its second word on. */
static bool read_registers(struct parser *parser)
{
	static const struct {
		const char *name;
		unsigned size;
	} types[] = { { ".pred", 0 }, { ".b32", 4 }, { ".b64", 8 } };
	char word[max_name];
	size_t type = 0;

	if (!read_word(parser, word))
		return false;
	while (type < ARRAY_SIZE(types) && strcmp(types[type].name, word))
		type++;
	if (type == ARRAY_SIZE(types))
		return refuse(parser, "unknown type %s", word);
	do
		if (!read_word(parser, word) || !add_slot(parser, word, types[type].size, 0))
			return false;
	while (take(parser, ","));
	return expect(parser, ";");
}

/* Reads an address, "[%register+8]" or "[parameter+8]". */
static bool read_address(struct parser *parser, struct instruction *made, bool of_parameter,
			 unsigned *slot)
{
	struct ptx_kernel *kernel = parser->kernel;
	char word[max_name];
	uint64_t offset = 0;

	if (!expect(parser, "[") || !read_word(parser, word) ||
	    (take(parser, "+") && !read_number(parser, &offset)) || !expect(parser, "]"))
		return false;
	made->offset = (int64_t)offset;
	if (of_parameter) {
		if (strcmp(word, kernel->parameter))
			return refuse(parser, "there is no parameter %s", word);
		if (offset > kernel->parameter_size || made->size > kernel->parameter_size - offset ||
		    offset % made->size)
			return refuse(parser, "the parameter has no such bytes");
		*slot = 0;
		return true;
	}
	if (!find_slot(parser, word, slot))
		return false;
	return kernel->slots[*slot].size == 8 || refuse(parser, "%s is no address", word);
}

static bool read_operand(struct parser *parser, struct instruction *made, char kind, bool is_target,
			 unsigned *slot)
{
	char word[max_name];
	uint64_t number;
	unsigned size = kind == '4' ? 4 : kind == '8' ? 8 : 0;

	if (kind == '[' || kind == '(')
		return read_address(parser, made, kind == '(', slot);
	if (kind == 'l') {
		struct label *label;

		if (!read_word(parser, word) || !find_label(parser, word, &label))
			return false;
		*slot = label - parser->kernel->labels;
		return true;
	}
	skip(parser);
	if (*parser->at != '%') {
		if (is_target || !size)
			return refuse(parser, "a register is missing");
		*slot = parser->kernel->slot_count;
		if (!read_number(parser, &number))
			return false;
		return add_slot(parser, NULL, size, size == 4 ? (uint32_t)number : number);
	}
	if (!read_word(parser, word) || !find_slot(parser, word, slot))
		return false;
	if (is_target && *slot < first_own_slot)
		return refuse(parser, "%s cannot be written", word);
	if (kind == 'w' ? parser->kernel->slots[*slot].size < made->size :
			  parser->kernel->slots[*slot].size != size)
		return refuse(parser, "%s has another size", word);
	return true;
}

static bool read_instruction(struct parser *parser)
{
	struct ptx_kernel *kernel = parser->kernel;
	struct instruction *made = &kernel->instructions[kernel->instruction_count];
	const struct form *form = NULL;
	char word[max_name];

	if (kernel->instruction_count++ == max_instructions)
		return refuse(parser, "too many instructions");
	made->predicate = max_slots;
	if (take(parser, "@") &&
	    (!read_word(parser, word) || !find_slot(parser, word, &made->predicate)))
		return false;
	if (made->predicate < max_slots && kernel->slots[made->predicate].size)
		return refuse(parser, "%s is no predicate", word);
	if (!read_word(parser, word))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (!strcmp(forms[i].name, word))
			form = &forms[i];
	if (!form)
		return refuse(parser, "unknown instruction %s", word);
	made->operation = form->operation;
	made->size = form->size;
	for (size_t i = 0; form->operands[i]; i++) {
		if (i && !expect(parser, ","))
			return false;
		if (!read_operand(parser, made, form->operands[i], !i, &made->operands[i]))
			return false;
	}
	return expect(parser, ";");
}

/* Reads what stands between the braces of a kernel. */
static bool read_body(struct parser *parser)
{
	struct ptx_kernel *kernel = parser->kernel;

	for (;;) {
		const char *start;
		char word[max_name];
		struct label *label;

		skip_lines(parser);
		if (take(parser, "}"))
			break;
		if (take(parser, ".reg")) {
			if (!read_registers(parser))
				return false;
			continue;
		}
		start = parser->at;
		if (*start != '@' && read_word(parser, word) && take(parser, ":")) {
			if (!find_label(parser, word, &label))
				return false;
			if (label->is_defined)
				return refuse(parser, "%s is there already", word);
			label->is_defined = true;
			label->place = kernel->instruction_count;
			continue;
		}
		parser->at = start;
		if (!read_instruction(parser))
			return false;
	}
	if (!kernel->instruction_count ||
	    (kernel->instructions[kernel->instruction_count - 1].operation != op_ret &&
	     kernel->instructions[kernel->instruction_count - 1].operation != op_bra))
		return refuse(parser, "%s has no end", kernel->name);
	for (unsigned i = 0; i < kernel->instruction_count; i++) {
		struct instruction *made = &kernel->instructions[i];

		if (made->operation != op_bra)
			continue;
		if (!kernel->labels[made->operands[0]].is_defined)
			return refuse(parser, "there is no label %s", kernel->labels[made->operands[0]].name);
		made->operands[0] = kernel->labels[made->operands[0]].place;
		if (made->operands[0] >= kernel->instruction_count)
			return refuse(parser, "a label has nothing behind it");
	}
	return true;
}

/* Reads a kernel from its name on. */
static bool read_kernel(struct parser *parser)
{
	static const char *const special[] = { "%tid.x", "%ntid.x", "%ctaid.x", "%nctaid.x" };
	struct ptx_kernel *kernel = parser->kernel;
	uint64_t size;

	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (!add_slot(parser, special[i], 4, 0))
			return false;
	if (!read_word(parser, kernel->name) || !expect(parser, "(") ||
	    !expect(parser, ".param .align 8 .b8") || !read_word(parser, kernel->parameter) ||
	    !expect(parser, "[") || !read_number(parser, &size) || !expect(parser, "])"))
		return false;
	if (size > max_parameter)
		return refuse(parser, "the parameter is too large");
	kernel->parameter_size = size;
	skip_lines(parser);
	return expect(parser, "{") && read_body(parser);
}

static bool read_module(struct parser *parser, struct ptx_module *module)
{
	skip_lines(parser);
	/* The first version that knows the GPUs from Turing on, which are those that export dma-bufs. */
	if (!expect(parser, ".version 6.3"))
		return false;
	skip_lines(parser);
	if (!expect(parser, ".target sm_75"))
		return false;
	skip_lines(parser);
	if (!expect(parser, ".address_size 64"))
		return false;
	for (skip_lines(parser); *parser->at; skip_lines(parser)) {
		if (!expect(parser, ".visible .entry"))
			return false;
		if (module->count == max_kernels)
			return refuse(parser, "too many kernels");
		parser->kernel = &module->kernels[module->count++];
		if (!read_kernel(parser))
			return false;
	}
	return true;
}

struct ptx_module *ptx_load(const char *text, char *error, size_t error_size)
{
	struct ptx_module *module = calloc(1, sizeof(*module));
	struct parser parser = { .at = text, .line = 1, .error = error, .error_size = error_size };

	if (module && read_module(&parser, module))
		return module;
	free(module);
	return NULL;
}

void ptx_free(struct ptx_module *module) { free(module); }

const struct ptx_kernel *ptx_find(const struct ptx_module *module, const char *name)
{
	for (unsigned i = 0; i < module->count; i++)
		if (!strcmp(module->kernels[i].name, name))
			return &module->kernels[i];
	return NULL;
}

size_t ptx_parameter_size(const struct ptx_kernel *kernel) { return kernel->parameter_size; }

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
