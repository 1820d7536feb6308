// SPDX-License-Identifier: Apache-2.0
/* Virtual memory management: memory and addresses that are made apart. */
#include "cuda-private.h"

static bool are_proper(const struct cdm_CUmemAllocationProp *properties)
{
	return properties->type == 1 && properties->location.type == 1 &&
	       stand_in_is_gpu(properties->location.id) && !properties->requestedHandleTypes &&
	       !properties->win32HandleMetaData;
}

DEFINE(cuMemGetAllocationGranularity,
       (size_t *out, const struct cdm_CUmemAllocationProp *properties, uint32_t option), false, {
	       *out = granularity;
	       result = are_proper(properties) && option < 2 ? 0 : invalid_value;
       })

DEFINE(cuMemCreate,
       (cdm_CUmemGenericAllocationHandle *handle, size_t size,
	const struct cdm_CUmemAllocationProp *properties, unsigned long long flags),
       false, {
	       struct block *block = NULL;

	       result = stand_in_lacks("vmm") ? cdm_CUDA_ERROR_NOT_SUPPORTED :
			!are_proper(properties) || flags || size % granularity ||
					!properties->allocFlags.gpuDirectRDMACapable ?
				       invalid_value :
				       stand_in_make_block(size, properties->location.id, &block);
	       if (!result) {
		       block->has_handle = true;
		       *handle = (uintptr_t)block;
	       }
       })

DEFINE(cuMemRelease, (cdm_CUmemGenericAllocationHandle handle), false, {
	struct block *block = (struct block *)(uintptr_t)handle;

	if (block && block->has_handle) {
		block->has_handle = false;
		stand_in_free_block(block);
	} else {
		result = invalid_value;
	}
})

DEFINE(cuMemAddressReserve,
       (cdm_CUdeviceptr *address, size_t size, size_t alignment, cdm_CUdeviceptr wish,
	unsigned long long flags),
       false, {
	       uint64_t made = 0;

	       (void)wish;
	       if (size % granularity || alignment & (alignment - 1) || alignment > granularity || flags)
		       result = invalid_value;
	       else
		       result = stand_in_make_range(size, &made, NULL);
	       *address = made;
       })

DEFINE(cuMemAddressFree, (cdm_CUdeviceptr address, size_t size), false, {
	struct range *range = stand_in_find_range(address, size);

	if (range && range->address == address && range->size == size && !range->block)
		range->size = 0;
	else
		result = invalid_value;
})

DEFINE(cuMemMap,
       (cdm_CUdeviceptr address, size_t size, size_t offset, cdm_CUmemGenericAllocationHandle handle,
	unsigned long long flags),
       false, {
	       struct range *range = stand_in_find_range(address, size);
	       struct block *block = (struct block *)(uintptr_t)handle;

	       if (range && !range->block && block && block->size == size && !offset && !flags) {
		       range->block = block;
		       range->has_access = false;
		       block->mappings++;
	       } else {
		       result = invalid_value;
	       }
       })

DEFINE(cuMemUnmap, (cdm_CUdeviceptr address, size_t size), false, {
	struct range *range = stand_in_find_range(address, size);

	if (range && range->block && range->block->mappings && range->size == size) {
		range->block->mappings--;
		stand_in_free_block(range->block);
		range->block = NULL;
	} else {
		result = invalid_value;
	}
})

DEFINE(cuMemSetAccess,
       (cdm_CUdeviceptr address, size_t size, const struct cdm_CUmemAccessDesc *access, size_t count),
       false, {
	       struct range *range = stand_in_find_range(address, size);

	       if (range && range->block && count == 1 && access->flags == 3 &&
		   access->location.type == 1 && access->location.id == range->block->gpu)
		       range->has_access = true;
	       else
		       result = invalid_value;
       })
