// SPDX-License-Identifier: Apache-2.0
/* Modules and their kernels, which an interpreter runs (ptx.c). */
#include "cuda-private.h"

#include <stdlib.h>
#include <string.h>

struct CUmod_st {
	struct CUmod_st *next;
	struct ptx_module *module;
};

static struct CUmod_st *modules;

/* Whether the kernel that runs does not see yet what a NIC wrote. */
static bool is_stale;

/* The bytes at an address of a GPU, for a kernel. */
static void *bytes_of_kernel(uint64_t address, size_t size, bool writes)
{
	static unsigned char stale[8] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
	/* The pieces, the words, and the memory that is compared, in turn. */
	static struct range *last[4];
	static unsigned turn;
	struct range *range = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(last) && !range; i++)
		if (last[i] && address >= last[i]->address && size <= last[i]->size &&
		    address - last[i]->address <= last[i]->size - size)
			range = last[i];
	if (!range) {
		range = stand_in_find_range(address, size);
		last[turn++ % ARRAY_SIZE(last)] = range;
	}
	if (!range || !range->block || !range->has_access)
		return NULL;
	if (!writes && range->block->is_exported && is_stale)
		return stale;
	return range->block->bytes + (address - range->address);
}

uint32_t stand_in_run_kernel(const struct work *work, bool memory_is_stale)
{
	is_stale = memory_is_stale;
	switch (ptx_run(work->kernel, work->parameter, work->blocks, work->threads, bytes_of_kernel)) {
	case ptx_done: return 0;
	case ptx_illegal_address: return cdm_CUDA_ERROR_ILLEGAL_ADDRESS;
	case ptx_misaligned_address: return cdm_CUDA_ERROR_MISALIGNED_ADDRESS;
	case ptx_endless: return cdm_CUDA_ERROR_LAUNCH_TIMEOUT;
	case ptx_division_by_zero: break;
	}
	return cdm_CUDA_ERROR_LAUNCH_FAILED;
}

static uint32_t load(cdm_CUmodule *out, const char *text)
{
	cdm_CUmodule made = calloc(1, sizeof(*made));
	char error[128];

	if (!made)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	made->module = ptx_load(text, error, sizeof(error));
	if (!made->module) {
		free(made);
		return cdm_CUDA_ERROR_INVALID_PTX;
	}
	made->next = modules;
	modules = made;
	stand_in.modules++;
	*out = made;
	return 0;
}

DEFINE(cuModuleLoadData, (cdm_CUmodule *module, const void *image), true, { result = load(module, image); })

DEFINE(cuModuleUnload, (cdm_CUmodule module), true, {
	struct CUmod_st **place = &modules;

	while (*place && *place != module)
		place = &(*place)->next;
	result = *place ? 0 : invalid_value;
	if (*place) {
		*place = module->next;
		stand_in.modules--;
		ptx_free(module->module);
		free(module);
	}
})

DEFINE(cuModuleGetFunction, (cdm_CUfunction *function, cdm_CUmodule module, const char *name), true, {
	const struct ptx_kernel *kernel = ptx_find(module->module, name);

	*function = (cdm_CUfunction)kernel;
	result = kernel ? 0 : cdm_CUDA_ERROR_NOT_FOUND;
})

static uint32_t launch(const struct ptx_kernel *kernel, unsigned blocks_of_threads, unsigned threads,
		       cdm_CUstream stream, void **parameters)
{
	struct work *work;

	if (!kernel || !blocks_of_threads || !threads || threads > 1024 || !parameters)
		return invalid_value;
	work = calloc(1, sizeof(*work));
	if (!work)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	work->kernel = kernel;
	work->blocks = blocks_of_threads;
	work->threads = threads;
	memcpy(work->parameter, parameters[0], ptx_parameter_size(kernel));
	stand_in_start(stream, work);
	return 0;
}

DEFINE(cuLaunchKernel,
       (cdm_CUfunction function, uint32_t grid_x, uint32_t grid_y, uint32_t grid_z, uint32_t block_x,
	uint32_t block_y, uint32_t block_z, uint32_t shared, cdm_CUstream stream, void **parameters,
	void **extra),
       true, {
	       if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1 || shared || extra)
		       result = invalid_value;
	       else
		       result = launch((const struct ptx_kernel *)function, grid_x, block_x, stream,
				       parameters);
       })
