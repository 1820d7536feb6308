// SPDX-License-Identifier: Apache-2.0
/* The memory of the GPUs: blocks, their addresses, allocations, and the export of a dma-buf. */
#include "cuda-private.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void stand_in_free_block(struct block *block)
{
	if (block->is_plain || block->has_handle || block->mappings)
		return;
	for (size_t i = 0; i < max_objects; i++)
		if (stand_in.blocks[i] == block)
			stand_in.blocks[i] = NULL;
	munmap(block->bytes, block->size);
	if (!block->is_host) {
		stand_in.gpus[block->gpu].used -= block->size;
		close(block->fd);
	}
	free(block);
}

static int make_file(size_t size)
{
	struct dma_heap_allocation_data request = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	int result;

	if (heap >= 0) {
		result = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request);
		close(heap);
		return result ? -1 : (int)request.fd;
	}
	result = memfd_create("cuda-stand-in", MFD_CLOEXEC);
	if (result >= 0 && ftruncate(result, size)) {
		close(result);
		return -1;
	}
	return result;
}

uint32_t stand_in_make_block(size_t size, int gpu, struct block **made)
{
	struct block *block;
	size_t place = 0;

	if (!size || size % 4096)
		return invalid_value;
	if (size > stand_in.gpu_memory - stand_in.gpus[gpu].used)
		return cdm_CUDA_ERROR_OUT_OF_MEMORY;
	while (place < max_objects && stand_in.blocks[place])
		place++;
	block = calloc(1, sizeof(*block));
	if (place == max_objects || !block)
		goto out_of_memory;
	block->fd = make_file(size);
	if (block->fd < 0)
		goto out_of_memory;
	block->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, block->fd, 0);
	if (block->bytes == MAP_FAILED) {
		close(block->fd);
		goto out_of_memory;
	}
	block->size = size;
	block->gpu = gpu;
	stand_in.gpus[gpu].used += size;
	stand_in.blocks[place] = block;
	*made = block;
	return 0;
out_of_memory:
	free(block);
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

uint32_t stand_in_make_range(size_t size, uint64_t *address, struct block *block)
{
	static uint64_t next_address = 0x7f0000000000;

	for (size_t i = 0; i < max_objects; i++) {
		if (stand_in.ranges[i].size)
			continue;
		stand_in.ranges[i] = (struct range){ next_address, size, block, block };
		*address = next_address;
		/* A gap, so that what runs over the end is found. */
		next_address += (size + 2 * granularity - 1) / granularity * granularity;
		return 0;
	}
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

struct range *stand_in_find_range(uint64_t address, size_t size)
{
	for (size_t i = 0; i < max_objects; i++) {
		struct range *range = &stand_in.ranges[i];

		if (range->size && address >= range->address && address - range->address <= range->size &&
		    size <= range->size - (address - range->address))
			return range;
	}
	return NULL;
}

DEFINE(cuMemAlloc_v2, (cdm_CUdeviceptr *address, size_t size), true, {
	struct block *block = NULL;

	result = stand_in_make_block((size + 4095) / 4096 * 4096, stand_in_current_gpu(), &block);
	if (!result) {
		uint64_t made = 0;

		block->is_plain = true;
		result = stand_in_make_range(size, &made, block);
		*address = made;
	}
})

DEFINE(cuMemFree_v2, (cdm_CUdeviceptr address), true, {
	struct range *range = stand_in_find_range(address, 1);

	if (range && range->address == address && range->block && range->block->is_plain) {
		range->block->is_plain = false;
		stand_in_free_block(range->block);
		range->size = 0;
	} else {
		result = invalid_value;
	}
})

static uint32_t export(uint64_t address, size_t size, uint64_t flags, int *out)
{
	struct range *range = stand_in_find_range(address, size);

	if (!range || !range->block || !range->has_access || address != range->address ||
	    size != range->size)
		return invalid_value;
	if (range->block->is_plain && stand_in_lacks("plain"))
		return cdm_CUDA_ERROR_NOT_SUPPORTED;
	if (flags & ~1ull || (flags && (stand_in_lacks("pcie") || stand_in.version < 12080)))
		return invalid_value;
	/* Without close-on-exec: the caller has to set it. */
	range->block->is_exported = true;
	*out = dup(range->block->fd);
	return *out < 0 ? cdm_CUDA_ERROR_UNKNOWN : 0;
}

DEFINE(cuMemGetHandleForAddressRange,
       (void *handle, cdm_CUdeviceptr address, size_t size, uint32_t type, unsigned long long flags),
       true, {
	       if (type == cdm_CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD)
		       result = export(address, size, flags, handle);
	       else
		       result = invalid_value;
       })
