// SPDX-License-Identifier: Apache-2.0
/*
 * Decodes PTX, the text that NVIDIA's driver compiles for a GPU. It knows the instructions that our kernels
 * use and no others, and is as strict as NVIDIA's assembler about the sizes of registers. Of the text it
 * takes kernels with one parameter, an array of bytes; a statement must end on the line that it begins on.
 */
#include "ptx-kernel.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof(*(array)))

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
