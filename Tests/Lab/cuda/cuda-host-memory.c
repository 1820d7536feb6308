// SPDX-License-Identifier: Apache-2.0
/* Memory of the host that the GPUs reach: registered, or allocated by the driver. */
#include "cuda-private.h"

#include <stdlib.h>
#include <sys/mman.h>

static struct {
	unsigned char *start;
	size_t size;
} registered[max_objects];

bool stand_in_is_registered(const void *host, size_t count)
{
	const unsigned char *start = host;

	for (size_t i = 0; i < max_objects; i++)
		if (registered[i].size && start >= registered[i].start &&
		    start + count <= registered[i].start + registered[i].size)
			return true;
	for (size_t i = 0; i < max_objects; i++) {
		const struct block *block = stand_in.blocks[i];

		if (block && block->is_host && start >= block->bytes &&
		    start + count <= block->bytes + block->size)
			return true;
	}
	return false;
}

static uint32_t register_host(void *host, size_t size, uint32_t flags)
{
	if ((uintptr_t)host % 4096 || !size || flags != 1 || stand_in_is_registered(host, 1))
		return invalid_value;
	if (stand_in_lacks("register"))
		return cdm_CUDA_ERROR_NOT_SUPPORTED;
	for (size_t i = 0; i < max_objects; i++)
		if (!registered[i].size) {
			registered[i].start = host;
			registered[i].size = size;
			stand_in.registrations++;
			return 0;
		}
	return cdm_CUDA_ERROR_OUT_OF_MEMORY;
}

DEFINE(cuMemHostRegister_v2, (void *host, size_t size, uint32_t flags), true,
       { result = register_host(host, size, flags); })

static uint32_t unregister_host(void *host)
{
	for (size_t i = 0; i < max_objects; i++)
		if (registered[i].size && registered[i].start == host) {
			/* Fails where nothing is mapped. */
			if (msync(host, registered[i].size, MS_ASYNC))
				return invalid_value;
			registered[i].size = 0;
			stand_in.registrations--;
			return 0;
		}
	return invalid_value;
}

DEFINE(cuMemHostUnregister, (void *host), true, { result = unregister_host(host); })

static uint32_t allocate_host(void **host, size_t size, uint32_t flags)
{
	struct block *block = calloc(1, sizeof(*block));
	uint64_t address;
	size_t place = 0;

	while (place < max_objects && stand_in.blocks[place])
		place++;
	if (!block || place == max_objects || !size || flags != cdm_CU_MEMHOSTALLOC_DEVICEMAP)
		goto refused;
	block->size = (size + 4095) / 4096 * 4096;
	block->is_host = block->is_plain = true;
	block->bytes = mmap(NULL, block->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block->bytes == MAP_FAILED)
		goto refused;
	if (stand_in_make_range(size, &address, block)) {
		munmap(block->bytes, block->size);
		goto refused;
	}
	stand_in.blocks[place] = block;
	*host = block->bytes;
	return 0;
refused:
	free(block);
	return invalid_value;
}

DEFINE(cuMemHostAlloc, (void **host, size_t size, uint32_t flags), true,
       { result = allocate_host(host, size, flags); })

static struct range *find_host(const void *host)
{
	for (size_t i = 0; i < max_objects; i++) {
		struct range *range = &stand_in.ranges[i];

		if (range->size && range->block && range->block->is_host && range->block->bytes == host)
			return range;
	}
	return NULL;
}

DEFINE(cuMemFreeHost, (void *host), true, {
	struct range *range = find_host(host);

	result = range ? 0 : invalid_value;
	if (range) {
		range->block->is_plain = false;
		stand_in_free_block(range->block);
		range->size = 0;
	}
})

DEFINE(cuMemHostGetDevicePointer_v2, (cdm_CUdeviceptr *address, void *host, uint32_t flags), true, {
	struct range *range = find_host(host);

	result = range && !flags ? 0 : invalid_value;
	if (!result)
		*address = range->address;
})
