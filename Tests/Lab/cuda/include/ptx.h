/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interpreter of PTX, the text that NVIDIA's driver compiles for a GPU, so that the lab runs the very
 * kernels that a GPU runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptx_module;
struct ptx_kernel;

/* Decodes a module. Returns NULL if anything in it is unknown, and says what in the error. */
struct ptx_module *ptx_load(const char *text, char *error, size_t error_size);
void ptx_free(struct ptx_module *module);

/* Returns a kernel, or NULL. */
const struct ptx_kernel *ptx_find(const struct ptx_module *module, const char *name);

/* The size in bytes of a kernel's parameter. */
size_t ptx_parameter_size(const struct ptx_kernel *kernel);

/* How a kernel ended. */
enum ptx_end {
	ptx_done,
	ptx_illegal_address,
	ptx_misaligned_address,
	ptx_division_by_zero,
	/* A block ran more than 16 million instructions, or there is no memory for it. */
	ptx_endless,
};

/*
 * Runs all blocks of a kernel, one after the other.
 *
 * "at" returns the bytes at an address that a thread reads or writes, or NULL.
 */
enum ptx_end ptx_run(const struct ptx_kernel *kernel, const void *parameter, unsigned blocks,
		     unsigned threads, void *(*at)(uint64_t address, size_t size, bool writes));
